"""Gradient accumulation gives the weights of one larger batch."""

import json

import pytest
import torch

from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.training.accumulation import Accumulation
from ctran.training.divergence import Losses
from ctran.training.fit import fit
from ctran.training.recipe import read_recipe
from ctran.training.sizes import SizesError
from tests.conftest import TOY
from tests.training.test_processes import TOLERANCE, change, gaps, weights_of  # noqa: F401  (gaps is a fixture)
from tests.training.test_resume import break_off, results


def still(root, **options):
    """A recipe in which nothing is drawn but the order of the pictures; entries that count differ from batch to batch."""
    flags = [*TOY, "--source", "imagefolder", "--root", str(root), "--absent", "unknown", "--model.dropout", "0"]
    fixed = {
        "backbone_learning_rate": 0.0,
        "augmentation": "none",
        "unknown_share": (1.0, 1.0),
        "weight_decay": 0.05,
        "ema": 0.5,
    }
    return change(read_recipe(None, flags), **{**fixed, **options})


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"reduction": "mean", "clip_norm": 0.1}, id="mean"),
        pytest.param({"reduction": "sum", "schedule": "cosine"}, id="sum"),
        pytest.param({"optimizer": "sgd", "clip_norm": 0.0, "learning_rate": 0.5}, id="sgd"),
    ],
)
def test_batches_of_four_with_two_a_step_train_as_batches_of_eight(gaps, tmp_path, options):  # noqa: F811
    """18 pictures: steps of 8, 8 and 2, the last one a single batch; sgd shows a wrong factor that Adam forgives."""
    fit(still(gaps, batch_size=8, **options), tmp_path / "one")
    fit(still(gaps, batch_size=4, accumulate_grad_batches=2, **options), tmp_path / "two")
    one, two = (weights_of(tmp_path / run) for run in ("one", "two"))
    apart = {k: float((v - two[k]).abs().max()) for k, v in one.items()}
    assert {k: v for k, v in apart.items() if v > TOLERANCE} == {}
    history = [json.loads((tmp_path / run / "history.json").read_text()) for run in ("one", "two")]
    for row, other in zip(*history, strict=True):
        assert other == pytest.approx(row, abs=TOLERANCE)
    steps = [load(tmp_path / run)["global_step"] for run in ("one", "two")]
    assert steps == [6, 6]


def load(run):
    return torch.load(run / "last.ckpt", weights_only=True)


def test_plain_mean_of_the_batches_would_give_other_weights(gaps, tmp_path, monkeypatch):  # noqa: F811
    """The test above can fail: without the weights of the entries, as Lightning adds gradients, the result is another."""
    options = {"optimizer": "sgd", "learning_rate": 0.5}
    fit(still(gaps, batch_size=8, **options), tmp_path / "one")
    monkeypatch.setattr(Accumulation, "weight", lambda self, truth, states: None)
    monkeypatch.setattr(Accumulation, "before_backward", lambda self, loss, weight: loss)
    fit(still(gaps, batch_size=4, accumulate_grad_batches=2, **options), tmp_path / "two")
    one, two = (weights_of(tmp_path / run) for run in ("one", "two"))
    assert max(float((v - two[k]).abs().max()) for k, v in one.items()) > 10 * TOLERANCE


def test_a_run_with_an_incomplete_last_step_is_resumed_to_the_same_weights(gaps, tmp_path, monkeypatch):  # noqa: F811
    recipe = still(gaps, batch_size=4, accumulate_grad_batches=3, epochs=2, unknown_share=(0.25, 1.0), schedule="cosine")
    fit(recipe, tmp_path / "whole")
    break_off(monkeypatch, recipe, tmp_path / "broken", after_checkpoint=1)
    fit(recipe, tmp_path / "broken", resume=True)
    assert results(tmp_path / "broken") == results(tmp_path / "whole")
    assert load(tmp_path / "broken")["global_step"] == 4  # 5 batches an epoch: steps of 3 and 2


def test_accumulation_that_an_epoch_is_too_short_for_is_refused(gaps, tmp_path):  # noqa: F811
    with pytest.raises(SizesError, match=r"accumulate_grad_batches has no effect: an epoch has one batch \(18 pictures"):
        fit(still(gaps, batch_size=18, accumulate_grad_batches=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_of_parts_with_holes_are_those_of_the_whole(reduction):
    """The formula by itself, against one backward pass; one part has no entry that counts."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 3, (9, 5), generator=generator)
    truth[3:6] = 0
    inputs, states = torch.randn(9, 4, generator=generator), torch.zeros_like(truth)
    criterion = LabelLoss(BCE(), reduction=reduction)
    whole, parts = (torch.nn.Linear(4, 5) for _ in range(2))
    parts.load_state_dict(whole.state_dict())
    loss = criterion(whole(inputs), truth, states)
    loss.backward()
    accumulation, losses = Accumulation(3, criterion, 15), Losses([], 3, reduction)
    for rows in torch.arange(9).split(3):
        each = criterion(parts(inputs[rows]), truth[rows], states[rows])
        weight = accumulation.weight(truth[rows], states[rows])
        losses.add(each, each, rows, weight)
        (accumulation.before_backward(each, weight) / 3).backward()  # Lightning's division
    accumulation.before_step(parts.parameters())
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-5, atol=1e-7)
    assert float(losses.mean()) == pytest.approx(float(loss.detach()), rel=1e-6)
