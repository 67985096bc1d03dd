"""Classifier chains against scikit-learn's, and against a literal walk along each chain."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import ClassifierChain

from ctran.data.feature_table import FeatureTable
from ctran.methods._logistic import Standardise
from ctran.model import Features
from tests.methods.training import LargestTensor, mean_ap, model_of, random_truth


def data(model, pictures=200, labels=4, seed=0):
    """Features that say something about the first label, and labels that follow from each other."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(pictures, model.backbone.channels, generator=generator) + 2  # enough for all directions to matter
    first = vectors[:, 0] - 2 + torch.randn(pictures, generator=generator) > 0
    flips = torch.rand(pictures, labels - 1, generator=generator) < 0.2
    truth = torch.cat([first[:, None], first[:, None] ^ flips], dim=1).long() + 1
    return vectors, truth


def fitted(*flags, labels=4, pictures=200):
    model = model_of("chain", labels, "--model.image_l2", "0.05", *flags)
    vectors, truth = data(model, pictures, labels)
    model.fit_features(FeatureTable(vectors[None], truth, seed=3))
    return model, vectors, truth


def logits_of(model, vectors, states):
    with torch.no_grad():
        return model.predict_labels(Features(vectors[:, None], (1, 1)), states)


def test_one_chain_of_decisions_is_that_of_scikit_learn():
    model, vectors, truth = fitted("--model.chains", "1", "--model.values", "hard", pictures=600)
    inputs = Standardise.of(vectors)(vectors).numpy()
    regression = LogisticRegression(C=1 / (0.05 * len(truth)), tol=1e-8, max_iter=5000)
    chain = ClassifierChain(regression, order=model.orders[0].tolist()).fit(inputs, (truth == 2).numpy())
    found = logits_of(model, vectors, torch.zeros_like(truth)).sigmoid().numpy()
    close = np.abs(found - chain.predict_proba(inputs)).max(axis=1) < 5e-3
    assert close.mean() > 0.99  # a decision next to one half may fall to either side
    assert np.ptp(found, axis=0).min() > 0.2


@pytest.mark.parametrize("values", ["hard", "soft"])
def test_labels_follow_from_those_before_them_known_or_predicted(values):
    model, vectors, truth = fitted("--model.chains", "3", "--model.values", values)
    states = torch.where(torch.rand(6, 4, generator=torch.Generator().manual_seed(1)) < 0.4, truth[:6], 0)
    found = logits_of(model, vectors[:6], states)
    for row in range(6):
        total = torch.zeros(4)
        for chain, order in enumerate(model.orders.tolist()):
            value = {}
            for i in order:
                logit = model.image[chain, i] @ vectors[row] + model.bias[chain, i]
                logit = logit + sum(model.links[chain, i, j] * value[j] for j in value)
                predicted = logit.sigmoid() if values == "soft" else (logit > 0).float()
                value[i] = float(states[row, i] == 2) if states[row, i] else predicted
                total[i] += logit.sigmoid() / 3
        assert torch.allclose(found[row].sigmoid(), total, atol=1e-4)


def test_no_weight_leads_backwards_and_the_orders_differ():
    model, _, _ = fitted("--model.chains", "5")
    for order, links in zip(model.orders, model.links, strict=True):
        inside = links[order][:, order]
        assert torch.equal(inside, inside.tril(-1)) and inside.abs().sum() > 0
    assert len({tuple(order) for order in model.orders.tolist()}) > 1


def test_known_labels_improve_the_others():
    model, vectors, truth = fitted()
    states = torch.zeros_like(truth)
    states[:, 1] = truth[:, 1]
    right = [
        ((logits_of(model, vectors, s) > 0) == (truth == 2))[:, 2:].float().mean() for s in (torch.zeros_like(truth), states)
    ]
    assert right[1] > right[0] + 0.02


def test_a_label_that_is_not_annotated_counts_by_its_prevalence_and_is_not_learned_from():
    """The fit to truth with holes is the fit to the annotated rows, where the holes are in the last label alone."""
    model = model_of("chain", 3, "--model.image_l2", "0.05", "--model.chains", "1")
    vectors, truth = data(model, labels=3)
    holes = truth.clone()
    holes[::2, 2] = 0
    model.fit_features(FeatureTable(vectors[None], holes, seed=3))
    first = model.image.clone()
    filled = holes.clone()
    filled[::2, 2] = 1  # were they negative, the prevalence would halve
    model.fit_features(FeatureTable(vectors[None], filled, seed=3))
    assert not torch.allclose(first, model.image, atol=1e-3)


def test_it_learns_32_pictures():
    model, truth = model_of("chain", 5, "--model.image_l2", "0.001"), random_truth(32, 5)
    vectors = torch.randn(32, model.backbone.channels, generator=torch.Generator().manual_seed(0))
    model.fit_features(FeatureTable(vectors[None], truth))
    assert mean_ap(model, Features(vectors[:, None], (1, 1)), truth) > 0.99


def test_500_labels_need_no_more_than_chains_times_labels_for_a_row():
    model = model_of("chain", 500, "--model.chains", "2")
    features = Features(torch.randn(2, 49, model.backbone.channels), (7, 7))
    with torch.no_grad(), LargestTensor() as largest:
        model.predict_labels(features, torch.zeros(4, 500, dtype=torch.long))
    assert largest.elements <= max(model.links.numel(), model.image.numel())
