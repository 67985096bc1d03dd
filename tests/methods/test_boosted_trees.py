"""Gradient-boosted trees: arrays of trees against scikit-learn's predictions, and what they learn."""

import sys

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from ctran.data.feature_table import FeatureTable
from ctran.errors import UserError
from ctran.methods import boosted_trees
from ctran.methods.boosted_trees import rounded_down
from ctran.model import Features
from tests.methods.training import LargestTensor, mean_ap, model_of, random_truth

FLAGS = ("--model.trees", "12", "--model.components", "3", "--model.image_l2", "0.1", "--model.least_pictures", "2")


def parity(pictures, seed=0):
    """Two frequent labels, and one that is there if exactly one of them is: a tree finds it, as one alone tells something."""
    first = (torch.rand(pictures, 2, generator=torch.Generator().manual_seed(seed)) < 0.7).long()
    return torch.cat([first, first.sum(dim=1, keepdim=True) % 2], dim=1) + 1


def fitted(truth, *flags, seed=0, signal=0.0):
    """A model, and features that say as much about the labels as ``signal``."""
    model = model_of("boosted_trees", truth.shape[1], *FLAGS, *flags)
    vectors = torch.randn(len(truth), model.backbone.channels, generator=torch.Generator().manual_seed(seed))
    vectors[:, : truth.shape[1]] += signal * truth
    model.fit_features(FeatureTable(vectors[None], truth, seed))
    return model, vectors


def logits_of(model, vectors, states):
    with torch.no_grad():
        return model.predict_labels(Features(vectors[:, None], (1, 1)), states)


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_trees_as_arrays_predict_what_scikit_learn_does(monkeypatch, depth):
    made = []

    def kept(*options, original=boosted_trees.boosting):
        made.append(original(*options))
        return made[-1]

    monkeypatch.setattr(boosted_trees, "boosting", kept)
    truth = random_truth(150, 3)
    model, vectors = fitted(truth, "--model.depth", str(depth), signal=1.0)
    states = torch.where(torch.rand(60, 3, generator=torch.Generator().manual_seed(4)) < 0.5, truth[:60], 0)
    found = logits_of(model, vectors[:60], states).numpy()
    cache = model.prepare(Features(vectors[:60, None], (1, 1))).image_cache
    for label, trees in enumerate(made):
        inputs = np.delete(model.inputs(cache["logits"], cache["axes"], states).numpy(), model._own_column(label), axis=1)
        assert isinstance(trees, HistGradientBoostingClassifier)
        assert np.abs(found[:, label] - trees.decision_function(inputs)).max() < 1e-5
        assert np.ptp(found[:, label]) > 0.1


def test_known_labels_decide_where_only_all_of_them_together_tell_something():
    """What a model that is linear in known labels cannot learn."""
    model, _ = fitted(parity(600), "--model.trees", "30")
    fresh = parity(200, seed=7)
    vectors, states = torch.randn(200, model.backbone.channels), fresh.clone()
    states[:, 2] = 0
    known, unknown = (logits_of(model, vectors, each)[:, 2] > 0 for each in (states, torch.zeros_like(states)))
    present = fresh[:, 2] == 2
    assert (known == present).float().mean() > 0.95 and (unknown == present).float().mean() < 0.7


def test_a_label_s_own_state_changes_nothing():
    model, vectors = fitted(parity(300))
    states = torch.tensor([[0, 2, 1]]).repeat(20, 1)
    for own in (1, 2):
        told = states.clone()
        told[:, 0] = own
        assert torch.equal(logits_of(model, vectors[:20], told)[:, 0], logits_of(model, vectors[:20], states)[:, 0])


def test_thresholds_are_rounded_so_that_float32_goes_where_float64_went():
    random = np.random.default_rng(0)
    values = random.normal(size=2000).astype(np.float32)
    between = np.nextafter(values, np.float32(9)).astype(np.float64) / 2 + values.astype(np.float64) / 2
    for value, threshold in zip(values, between, strict=True):
        above = np.nextafter(value, np.float32(9))
        assert value <= rounded_down(threshold) < above


def test_a_label_of_one_kind_alone_is_its_prevalence():
    truth = random_truth(40, 3)
    truth[:, 1] = 1
    model, vectors = fitted(truth)
    found = logits_of(model, vectors, torch.zeros_like(truth))[:, 1].sigmoid()
    assert (found < 0.05).all() and found.unique().numel() == 1


def test_it_learns_32_pictures():
    """Each four times: image logits are of a layer that was not fitted to the picture itself, but to its copies."""
    truth = random_truth(32, 4)
    model = model_of("boosted_trees", 4, *FLAGS, "--model.trees", "40")
    vectors = torch.randn(32, model.backbone.channels, generator=torch.Generator().manual_seed(0))
    copies = FeatureTable(vectors.repeat(4, 1)[None], truth.repeat(4, 1), groups=torch.arange(128))
    model.fit_features(copies)
    assert mean_ap(model, Features(vectors[:, None], (1, 1)), truth) > 0.99


def test_rows_are_looked_up_in_parts(monkeypatch):
    model, vectors = fitted(random_truth(40, 3))
    states = torch.zeros(40, 3, dtype=torch.long)
    whole = logits_of(model, vectors, states)
    monkeypatch.setattr(boosted_trees, "CHUNK", 4 * model.value.shape[0] * model.value.shape[1])
    with LargestTensor() as largest:
        assert torch.allclose(logits_of(model, vectors, states), whole, atol=1e-6)
    assert largest.elements <= max(boosted_trees.CHUNK, vectors.numel())


def test_without_scikit_learn_the_fit_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(UserError, match=r"pip install 'ctran\[trees\]'"):
        boosted_trees.boosting(boosted_trees.Config(), 1, 0)
