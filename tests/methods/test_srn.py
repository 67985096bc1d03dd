"""SRN: its formulas literally, what each stage trains, and that it learns in one stage and in four."""

import pytest
import torch
import torch.nn.functional as F

import ctran
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.methods.srn import PARTS, Config
from ctran.model import TrainingStep
from ctran.training.fit import fit
from tests.conftest import stirred_module
from tests.methods.learning import LABELS, learned_map, model_of, random_features, random_truth
from tests.methods.test_statistics import recipe_of
from tests.methods.training import LargestTensor

SMALL = ("token_dim=8", "cells=4")


def network(*options, labels=LABELS):
    return stirred_module(model_of("srn", *SMALL, *options, labels=labels)).eval()


def features_of(model, pictures, fine=(4, 4)):
    return random_features(model, pictures, maps=[fine])


def step_of(features, stage, *, known=False):
    truth = random_truth(len(features))
    states = truth if known else torch.zeros_like(truth)
    return TrainingStep(features, truth, states, torch.arange(len(truth)), stage=stage)


@torch.no_grad()
def literal(model, features):
    """Logits of the parts, of one picture, label by label and place by place."""
    (x,) = (each[0] for each in features.maps.values())
    attend, relate = model.attend, model.relate
    inner = attend.inner(x[None])[0]
    attention, weighted, pooled = [], [], []
    for label in range(LABELS):
        scores = [float(attend.scores.weight[label, :, 0, 0] @ z + attend.scores.bias[label]) for z in inner.flatten(1).T]
        shares = torch.tensor(scores).exp() / torch.tensor(scores).exp().sum()
        confidence = torch.stack([attend.confidence.weight[label, :, 0, 0] @ z for z in x.flatten(1).T])
        confidence = confidence + attend.confidence.bias[label]
        attention.append(shares)
        pooled.append(sum(a * s for a, s in zip(shares, confidence, strict=True)))
        weighted.append(shares * confidence.sigmoid())
    cells = []
    for place in range(16):
        first = F.relu(sum(weighted[label][place] * relate.weight[label] for label in range(LABELS)) + relate.bias)
        cells.append(F.relu(relate.mix.weight[:, :, 0, 0] @ first + relate.mix.bias))
    found = []
    for filter_ in range(4 * 8):  # four of each channel
        kernel = relate.whole.weight[filter_, 0].flatten()
        found.append(
            F.relu(sum(k * cell[filter_ // 4] for k, cell in zip(kernel, cells, strict=True)) + relate.whole.bias[filter_])
        )
    main = model.main(sum(features.tokens[0]) / features.tokens.shape[1])
    return main, torch.stack(pooled), relate.classifier(torch.stack(found))


@torch.no_grad()
def test_parts_are_the_formulas_label_by_label_and_place_by_place():
    model = network()
    features = features_of(model, 1)
    found = model.outputs(features)
    for each, expected in zip(found, literal(model, features), strict=True):
        assert torch.allclose(each[0], expected, atol=1e-4, rtol=1e-4)
    predicted = model.predict_labels(features, torch.zeros(1, LABELS, dtype=torch.long))
    assert torch.allclose(predicted, (found.main + found.relations) / 2, atol=1e-5)


@torch.no_grad()
def test_attention_sums_to_1_and_its_logits_are_a_linear_layer_on_features_pooled_by_it():
    model = network()
    features = features_of(model, 2, (5, 3))
    (maps,) = features.maps.values()
    attention, _ = model.attend(maps)
    assert torch.allclose(attention.sum(dim=(2, 3)), torch.ones(2, LABELS), atol=1e-5)
    pooled = torch.einsum("blhw,bchw->blc", attention, maps)
    linear = (pooled * model.attend.confidence.weight[:, :, 0, 0]).sum(dim=2) + model.attend.confidence.bias
    assert torch.allclose(model.outputs(features).attention, linear, atol=1e-4)


@torch.no_grad()
def test_maps_of_twice_the_size_are_averaged():
    model = network()
    maps = torch.rand(2, LABELS, 4, 4)
    large = maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.allclose(model.relate(large), model.relate(maps), atol=1e-4)


STAGE_PARTS = {"main": {"main"}, "attention": {"attend"}, "relations": {"relate"}, "all": {"main", "attend", "relate"}}


@pytest.mark.parametrize("stage", STAGE_PARTS)
def test_a_stage_has_the_loss_of_what_it_trains_and_freezes_the_rest(stage):
    model = network()
    features = features_of(model, 4)
    losses = model.loss(step_of(features, stage), LabelLoss(BCE()))
    assert list(losses) == (["main", "attention", "relations"] if stage == "all" else [stage])
    (rates,) = (each.learning_rates for each in Config().stages(8) if each.name == stage)
    trained = {part for part in PARTS if rates.get(part) != 0} - {"backbone"}
    assert trained == STAGE_PARTS[stage] and (rates.get("backbone") == 0) == (stage in ("attention", "relations"))
    sum(losses.values()).backward()
    reached = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert trained <= reached


def test_stages_are_quarters_of_the_epochs_and_the_first_has_the_rest():
    assert [(s.epochs, s.name) for s in Config().stages(11)] == [(5, "main"), (2, "attention"), (2, "relations"), (2, "all")]
    assert [s.epochs for s in Config().stages(1)] == [1, 0, 0, 0]
    assert set(Config(joint_learning_rate=0.5).stages(4)[3].learning_rates.values()) == {0.5}
    assert [(s.epochs, s.name) for s in Config(staged=False).stages(11)] == [(11, "all")]


def test_known_labels_do_not_count_in_any_stage():
    model = network()
    features = features_of(model, 4)
    for stage in STAGE_PARTS:
        assert not any(model.loss(step_of(features, stage, known=True), LabelLoss(BCE())).values())


def test_it_learns_32_pictures_by_heart():
    model = model_of("srn", *SMALL, "staged=false")
    assert learned_map(model, features_of(model, 32), steps=80) > 0.99


def test_a_training_of_four_epochs_goes_through_the_stages(folder, tmp_path):
    flags = ("--model.token_dim", "8", "--model.cells", "4", "--training.epochs", "4")
    fit(recipe_of("srn", folder, *flags), tmp_path / "run")
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 3 and ctran.load(tmp_path / "run", device="cpu").predict(folder / "00.png").probabilities


@torch.no_grad()
def test_no_tensor_has_places_labels_and_channels_together():
    model = network(labels=500)
    features = features_of(model, 2, (18, 18))
    with LargestTensor() as largest:
        model.predict_labels(features, torch.zeros(2, 500, dtype=torch.long))
    assert largest.elements == 2 * 324 * 500  # attention maps
