"""Copies of the anchor see all pictures but their own share."""

import pytest
import torch
import torch.nn.functional as F

from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.methods._crossfit import CrossFit


@pytest.fixture
def crossfit():
    return CrossFit(torch.nn.Linear(6, 4), folds=3, dropout=0.0)


@pytest.fixture
def batch(generator):
    pooled = torch.randn(8, 6, generator=generator)
    truth = torch.randint(0, 3, (8, 4), generator=generator)  # some unknown
    return pooled, truth, torch.tensor([0, 1, 2, 3, 4, 5, 9, 10])


def test_copies_start_as_the_anchor():
    anchor = torch.nn.Linear(6, 4)
    pooled = torch.randn(5, 6)
    copies = CrossFit(anchor, folds=3, dropout=0.0).logits(pooled)
    assert all(torch.allclose(copies[:, k], anchor(pooled), atol=1e-6) for k in range(3))


def test_the_loss_is_each_copys_own_over_the_pictures_it_may_see(crossfit, batch):
    pooled, truth, index = batch
    torch.nn.init.normal_(crossfit.copies.weight)
    total, entries = 0.0, 0
    for k in range(3):
        rows = index % 3 != k
        known = truth[rows] != 0
        logits = crossfit.logits(pooled)[rows, k][known]
        total += F.binary_cross_entropy_with_logits(logits, (truth[rows] == 2)[known].float(), reduction="sum").item()
        entries += int(known.sum())
    assert crossfit.loss(pooled, truth, index, LabelLoss(BCE())).item() == pytest.approx(2 * total / entries, rel=1e-5)


def test_copies_learn_by_the_anchor_s_loss(crossfit, batch):
    pooled, truth, index = batch
    torch.nn.init.normal_(crossfit.copies.weight)
    truth[:, :3] = torch.tensor([1, 2, 1])  # an exclusive group
    for reduction in ("mean", "sum"):
        criterion = LabelLoss(BCE(label_smoothing=0.2), groups=[torch.arange(3)], reduction=reduction)
        logits = crossfit.logits(pooled)
        rows = [(b, k) for b in range(8) for k in range(3) if k != int(index[b]) % 3]
        alone = torch.stack([logits[b, k] for b, k in rows])
        of_each = torch.stack([truth[b] for b, _ in rows])
        expected = criterion(alone, of_each, torch.zeros_like(of_each))
        expected = 2 * expected if reduction == "mean" else expected
        assert crossfit.loss(pooled, truth, index, criterion).item() == pytest.approx(expected.item())
    assert crossfit.loss(pooled, truth, index, criterion) != crossfit.loss(pooled, truth, index, LabelLoss(BCE()))


def test_no_copy_learns_from_its_own_pictures(crossfit, batch):
    pooled, truth, index = batch
    own = index % 3 == 1
    crossfit.loss(pooled[own], truth[own], index[own], LabelLoss(BCE())).backward()
    gradient = crossfit.copies.weight.grad.view(3, 4, 6)
    assert (gradient[1] == 0).all() and (gradient[0] != 0).any() and (gradient[2] != 0).any()


def test_the_answer_is_that_of_the_copy_that_has_not_seen_the_picture(crossfit, batch):
    pooled, _, index = batch
    torch.nn.init.normal_(crossfit.copies.weight)
    expected = torch.stack([crossfit.logits(pooled)[b, k] for b, k in enumerate((index % 3).tolist())])
    assert torch.equal(crossfit.held_out(pooled, index), expected)
    assert not crossfit.held_out(pooled, index).requires_grad
