"""What every method keeps to: each file of ``ctran.methods``, those to come too, and the toys that use one need each."""

import copy
import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ctran import methods, registry
from ctran.data import sources
from ctran.data.feature_table import FeatureTable
from ctran.data.loading import PictureSet, loader
from ctran.errors import UserError, UserTypeError
from ctran.evaluation.evaluate import predict
from ctran.export.graphs import programs
from ctran.folders.config import tuples
from ctran.folders.tagger import Tagger
from ctran.labels import LabelSpace
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.masking import EvalSetting
from ctran.model import Features, TrainingStep
from ctran.training.pipeline import build_tagger, inherit
from ctran.training.recipe import read_recipe
from tests.conftest import draw_folder, stirred
from tests.far import FAR, far_device
from tests.methods.conftest import TOYS
from tests.networks import toy_convnet

NAMES = [*registry.names(methods), *sorted(path.stem for path in TOYS.glob("*.py"))]
SMALL = {
    "token_dim": "16",
    "num_layers": "1",
    "num_heads": "2",
    "image_l2": "0.01",
    "label_l2": "0.001",
    "chains": "3",
    "trees": "20",
    "least_pictures": "2",
    "components": "2",
    "input_share": "0.2",
    "hidden_dim": "16",
    "cells": "4",
    "narrow_dim": "32",
    "regions": "2",
    "region_size": "4",
    "attention_dim": "16",
    "output_dim": "16",
    "word_vectors": "random",
    "word_dim": "8",
    "wordnet": "labels",
}
"""Of the options that a method has."""
pytestmark = [pytest.mark.usefixtures("toys"), pytest.mark.parametrize("name", NAMES)]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A training table of four labels."""
    module = registry.find(sources, "imagefolder")
    root = draw_folder(tmp_path_factory.mktemp("contract") / "pictures")
    return module.build(module.Config(root=root, absent="negative"))["train"]


def tagger_of(name, table, labels=None, *more):
    """A small model of a method whose weights are neither 0 nor 1, and that has seen the table."""
    flags = ["--method", name, "--model.backbone", toy_convnet.__name__, "--model.weights", "none", "--model.image_size", "64"]
    has = {field.name for field in dataclasses.fields(registry.find(methods, name).Config)}
    flags += [flag for key, value in SMALL.items() if key in has for flag in (f"--model.{key}", value)]
    flags += more
    table = table if labels is None else permuted(table, labels)
    tagger = stirred(build_tagger(read_recipe(None, flags), table.labels))
    tagger.model.fit_statistics(table)
    if tagger.model.fits_features:
        tagger.model.fit_features(features_of_table(tagger, table))
    return tagger


@torch.no_grad()
def features_of_table(tagger, table):
    """Averaged image tokens of all pictures in the test transform."""
    pictures = PictureSet(table, tagger.labels, tagger.preprocessing)
    tokens = tagger.model.encode_images(torch.stack([pictures.image(i, 0) for i in range(len(table))])).tokens
    return FeatureTable(tokens.mean(dim=1)[None], pictures.truth.dense())


def permuted(table, labels):
    """The same annotations, the labels in another order."""
    place = [labels.index(name) for name in table.labels.names]
    columns = {key: [sorted(place[i] for i in row) for row in table.rows[key]] for key in ("positives", "negatives")}
    rows = table.rows.remove_columns(list(columns))
    for key, column in columns.items():
        rows = rows.add_column(key, column, feature=table.rows.features[key])
    return dataclasses.replace(table, rows=rows, labels=labels)


@pytest.fixture(scope="module")
def built():
    """Models that were built for an earlier test, by method."""
    return {}


@pytest.fixture
def tagger(name, table, built):
    """A copy, which the test may change."""
    if name not in built:
        built[name] = tagger_of(name, table)
    return copy.deepcopy(built[name])


@pytest.fixture
def squares():
    """Three images as the backbone takes them."""
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


STATES = torch.tensor([[0, 0, 0, 0], [2, 1, 0, 0], [0, 1, 2, 0]])


@torch.no_grad()
def test_logits_have_a_row_for_each_row_of_states(tagger, squares):
    features = tagger.model.encode_images(squares)
    assert features.tokens.shape[:2] == (3, features.grid[0] * features.grid[1])
    for rows in (STATES, STATES.repeat_interleave(2, dim=0)):
        logits = tagger.model.predict_labels(features, rows)
        assert logits.shape == rows.shape and logits.dtype == torch.float32 and logits.isfinite().all()
        assert torch.allclose(logits[:: len(rows) // 3], tagger.model(squares, STATES), atol=1e-5)
    with pytest.raises(ValueError, match="same number of rows for each of 3 images, got 4"):
        tagger.model.predict_labels(features, STATES.repeat(2, 1)[:4])


@torch.no_grad()
def test_a_picture_gets_the_same_logits_whoever_is_in_its_batch(tagger, squares):
    together = tagger.model(squares, STATES)
    order = torch.tensor([2, 0, 1])
    assert torch.allclose(tagger.model(squares[order], STATES[order]), together[order], atol=1e-5)
    alone = torch.cat([tagger.model(squares[i : i + 1], STATES[i : i + 1]) for i in range(3)])
    assert torch.allclose(alone, together, atol=1e-5)


@torch.no_grad()
def test_it_predicts_on_another_device_what_it_does_here(tagger, squares):
    model, here = tagger.model, tagger.model.encode_images(squares)
    logits, chosen = model.predict_labels(here, STATES), model.decode(here, STATES)
    with far_device():
        far = copy.deepcopy(model).to(FAR)
        there, states = far.encode_images(squares.to(FAR)), STATES.to(FAR)
        found, sets = far.predict_labels(there, states), far.decode(there, states)
        assert torch.allclose(found.cpu(), logits, atol=1e-4)
        assert chosen is None or torch.equal(sets.cpu(), chosen)


@torch.no_grad()
def test_features_that_were_prepared_cut_and_joined_give_the_same_logits(tagger, squares):
    features = tagger.model.prepare(tagger.model.encode_images(squares))
    whole = tagger.model.predict_labels(features, STATES)
    joined = Features.join([features[0:1], features[torch.tensor([1, 2])].copy()])
    assert torch.allclose(whole, tagger.model(squares, STATES), atol=1e-5)
    assert torch.allclose(tagger.model.predict_labels(joined, STATES), whole, atol=1e-5) and joined.nbytes == features.nbytes


@torch.no_grad()
def test_states_count_where_the_method_says_that_it_uses_them(tagger, squares):
    model = tagger.model
    unknown, known = (model(squares, states) for states in (torch.zeros_like(STATES), STATES))
    assert torch.equal(unknown, known) != model.uses_states


@torch.no_grad()
def test_logits_follow_a_permutation_of_the_labels(name, table, tagger, squares):
    if not tagger.model.label_equivariant:
        pytest.skip("the method says that they do not")
    order = [2, 0, 3, 1]
    other = tagger_of(name, table, LabelSpace(tuple(tagger.labels.names[i] for i in order)))
    assert inherit(other, tagger) == []
    assert torch.allclose(other.model(squares, STATES[:, order]), tagger.model(squares, STATES)[:, order], atol=1e-4)


def test_every_stage_has_a_loss_that_trains_parameters_and_counts_hidden_labels_only(name, tagger, squares):
    if not tagger.model.needs_epochs:
        pytest.skip("the method is fitted in one step")
    model, options = tagger.model.train(), tagger.config["model"]
    config = registry.find(methods, name).Config(**tuples(options))
    stages, helper = config.stages(4), config.helper(model)
    assert sum(stage.epochs for stage in stages) == 4
    truth = torch.tensor([[2, 1, 2, 1], [2, 1, 0, 1], [1, 1, 2, 2]])
    parts = {part for stage in stages for part in stage.learning_rates} | ({helper.part} if helper is not None else set())
    assert parts <= {"", *model.rate_parts}
    for stage in stages:
        step = TrainingStep(model.encode_images(squares), truth, STATES, torch.arange(3), None, 1, stage.name, helper)
        terms = model.loss(step, LabelLoss(BCE()))
        assert terms and all(term.ndim == 0 and term.isfinite() for term in terms.values())
        model.zero_grad()
        sum(terms.values()).backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(g.isfinite().all() for g in gradients) and any(g.any() for g in gradients)
        first = next(iter(terms.values()))
        seen = replace(step, states=truth, truth=truth, features=model.encode_images(squares))
        assert first > 0 == next(iter(model.loss(seen, LabelLoss(BCE())).values()))


@torch.no_grad()
def test_it_has_the_same_loss_on_another_device(name, tagger, squares):
    if not tagger.model.needs_epochs:
        pytest.skip("the method is fitted in one step")
    config = registry.find(methods, name).Config(**tuples(tagger.config["model"]))
    truth, places = torch.tensor([[2, 1, 2, 1], [2, 1, 0, 1], [1, 1, 2, 2]]), torch.arange(3)
    for stage in config.stages(4):
        near, far = tagger.model, copy.deepcopy(tagger.model)
        helper = config.helper(near)
        copied = copy.deepcopy(helper)
        step = TrainingStep(near.encode_images(squares), truth, STATES, places, None, 1, stage.name, helper)
        expected = sum(near.loss(step, LabelLoss(BCE())).values())
        with far_device():
            far.to(FAR)
            other = None if copied is None else copied.to(FAR)
            inputs = (each.to(FAR) for each in (truth, STATES, places))
            step = TrainingStep(far.encode_images(squares.to(FAR)), *inputs, None, 1, stage.name, other)
            assert float(sum(far.loss(step, LabelLoss(BCE()).to(FAR)).values()).cpu()) == pytest.approx(
                float(expected), rel=1e-4
            )


def test_statistics_are_all_that_the_table_changes(tagger, table):
    before = {key: value.clone() for key, value in tagger.model.state_dict().items()}
    assert tagger.model.statistics <= before.keys()
    assert all(len(before[key]) == len(tagger.labels) for key in tagger.model.label_parameters & before.keys())
    tagger.model.fit_statistics(table.select(range(3)))
    after = tagger.model.state_dict()
    assert {key for key, value in after.items() if not torch.equal(value, before[key])} <= tagger.model.statistics


@torch.no_grad()
def test_a_saved_model_predicts_and_is_evaluated_with_known_labels(tagger, table, squares, tmp_path):
    tagger.save(tmp_path / "model")
    loaded = Tagger.load(tmp_path / "model", "cpu")
    assert torch.equal(loaded.model(squares, STATES), tagger.model(squares, STATES))
    picture = Path(table.rows[0]["image"]["path"])
    prediction = loaded.predict(picture, {"red": True})
    assert prediction.probabilities.keys() == {"blue", "green", "warm"} and "red" in prediction.labels
    session = loaded.session(picture).tell({"red": True})
    assert session.predict().probabilities == pytest.approx(prediction.probabilities, abs=1e-5)


def test_a_few_pictures_are_learned(tagger, squares):
    model = tagger.model.train()
    truth = (torch.rand(3, 4, generator=torch.Generator().manual_seed(2)) < 0.5).float()
    if not model.needs_epochs:
        assert_fitted(model, squares, truth)
        return
    optimizer, losses = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01), []
    for _ in range(12):
        loss = F.binary_cross_entropy_with_logits(model(squares, torch.zeros_like(STATES)), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_a_step_in_bfloat16_has_finite_gradients(tagger, squares):
    model = tagger.model.train()
    if not model.needs_epochs:
        pytest.skip("the method is fitted in one step")
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(squares, torch.zeros_like(STATES))
    F.binary_cross_entropy_with_logits(logits.float(), torch.eye(4)[:3]).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in gradients) and any(g.any() for g in gradients)


@torch.no_grad()
def assert_fitted(model, squares, truth):
    """A fit to copies of the pictures finds their labels."""
    pooled = model.encode_images(squares).tokens.mean(dim=1).repeat(8, 1)
    chosen = model.fit_features(FeatureTable(pooled[None], (truth + 1).long().repeat(8, 1)))
    assert chosen and ((model(squares, torch.zeros_like(STATES)) > 0) == truth.bool()).all()


@torch.no_grad()
def test_it_is_exported_for_any_number_of_pictures_and_rows_or_refused_by_name(name, tagger, squares):
    if why := tagger.model.export_obstacle:
        with pytest.raises(UserError, match=f"^{name} on {toy_convnet.__name__} cannot be exported: {why}"):
            programs(tagger)
        return
    made = programs(tagger)
    for graph in ("encode", "predict"):
        inputs, outputs = made.ports(graph)
        assert len({*inputs, *outputs}) == len(inputs) + len(outputs), "a runtime may refuse two tensors of one name"
    encode, predict = (program.module(check_guards=False) for program in (made.encode, made.predict))
    for pictures, count in ((1, 1), (1, 4), (2, 3), (3, 1)):
        rows, image_cache = STATES[:pictures, None].repeat(1, count, 1), encode(squares[:pictures])
        rows[:, -1] = 0  # another one than the rows before it
        assert [len(tensor) for tensor in image_cache] == [pictures] * len(made.image_cache)
        exact = tagger.model.predict_labels(tagger.model.encode_images(squares[:pictures]), rows.flatten(0, 1))
        assert torch.allclose(predict(rows, *image_cache).flatten(0, 1), exact, atol=1e-4, rtol=1e-4)


def test_contributions_add_up_or_are_refused(tagger, squares):
    model, states = tagger.model, STATES[:1]
    with torch.no_grad():
        features = model.encode_images(squares[:1])
    if not model.has_contributions:
        with pytest.raises(UserTypeError, match="cannot show which places"):
            model.contributions(features, states, 2)
        return
    with torch.no_grad():
        difference = (model.predict_labels(features, states) - model.blank_logits(features, states))[0, 2]
    assert float(model.contributions(features, states, 2).sum()) == pytest.approx(float(difference), abs=0.02)


@torch.no_grad()
def test_evaluation_takes_it_with_any_share_of_known_labels(tagger, table):
    few = table.select(range(4))
    batches = loader(PictureSet(few, tagger.labels, tagger.preprocessing), batch_size=2)
    truth, found = predict(tagger.model, batches, few.ids, tagger.labels, [EvalSetting(), EvalSetting(0.5)])
    assert [a.logits.shape for a in found] == [truth.shape] * 2
    assert torch.equal(found[0].logits, found[1].logits) != tagger.model.uses_states
