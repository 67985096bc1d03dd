import pytest
import torch
import torch.nn.functional as F

from ctran.losses._base import LabelLoss
from ctran.losses.asl import ASL
from ctran.losses.bce import BCE


def test_loss_is_the_mean_over_entries_that_count():
    logits = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]])
    truth, states = torch.tensor([[2, 1, 0], [1, 2, 2]]), torch.tensor([[0, 0, 0], [0, 2, 0]])
    chosen = torch.stack([logits[0, 0], logits[0, 1], logits[1, 0], logits[1, 2]])
    expected = F.binary_cross_entropy_with_logits(chosen, torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert torch.allclose(LabelLoss(BCE())(logits, truth, states), expected)
    assert torch.allclose(LabelLoss(BCE(), reduction="sum")(logits, truth, states), 4 * expected)


def test_entries_that_do_not_count_have_no_gradient():
    logits = torch.zeros(1, 3, requires_grad=True)
    LabelLoss(BCE())(logits, torch.tensor([[2, 0, 1]]), torch.tensor([[2, 0, 0]])).backward()
    assert logits.grad.tolist()[0][:2] == [0, 0] and logits.grad[0, 2] != 0


def test_nothing_to_learn_is_a_loss_of_zero_with_a_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    loss = LabelLoss(BCE())(logits, torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3, dtype=torch.long))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_label_smoothing_moves_the_best_logit():
    truth, states = torch.tensor([[2]]), torch.tensor([[0]])
    best = torch.tensor([[0.95]]).logit().requires_grad_()
    LabelLoss(BCE(label_smoothing=0.1))(best, truth, states).backward()
    assert abs(float(best.grad)) < 1e-6


def test_asymmetric_loss_without_focus_and_margin_is_cross_entropy(generator):
    logits = torch.randn(6, 5, generator=generator)
    truth = torch.randint(1, 3, (6, 5), generator=generator)
    expected = F.binary_cross_entropy_with_logits(logits, (truth == 2).float(), reduction="none")
    assert torch.allclose(ASL(gamma_negative=0, margin=0)(logits, truth), expected, atol=1e-6)


def test_asymmetric_loss_is_its_formula():
    logits, truth = torch.tensor([[0.3, -1.2, 2.0]]), torch.tensor([[2, 1, 1]])
    p = logits.double().sigmoid()[0]
    shifted = p[1:] - 0.05
    expected = [-((1 - p[0]) ** 1) * p[0].log(), *(-(shifted**4) * (1 - shifted).log())]
    found = ASL(gamma_positive=1)(logits, truth)[0].tolist()
    assert found == pytest.approx([float(x) for x in expected], rel=1e-5)


def test_asymmetric_loss_without_margin_stays_finite():
    assert torch.isfinite(ASL(margin=0)(torch.tensor([[200.0, -200.0]]), torch.tensor([[1, 2]]))).all()


def test_negatives_below_the_margin_cost_nothing_and_nothing_overflows():
    loss = ASL()(torch.tensor([[-4.0, 200.0, -200.0]]), torch.tensor([[1, 1, 2]]))
    assert loss[0, 0] == 0 and torch.isfinite(loss).all()


def test_exclusive_group_by_softmax_is_cross_entropy_beside_the_other_labels(generator):
    logits = torch.randn(4, 5, generator=generator)
    truth = torch.tensor([[2, 1, 1, 2, 1], [1, 2, 1, 1, 1], [1, 1, 2, 2, 2], [2, 1, 1, 1, 2]])
    states = torch.zeros_like(truth)
    group = torch.tensor([0, 1, 2])
    softmax = F.cross_entropy(logits[:, :3], truth[:, :3].argmax(1), reduction="sum")
    others = F.binary_cross_entropy_with_logits(logits[:, 3:], (truth[:, 3:] == 2).float(), reduction="sum")
    assert torch.allclose(LabelLoss(BCE(), groups=[group])(logits, truth, states), (softmax + others) / 20)


def test_half_annotated_truth_gives_the_gradient_of_its_known_entries_alone(generator):
    truth = torch.randint(0, 3, (8, 6), generator=generator)
    logits = torch.randn(8, 6, generator=generator, requires_grad=True)
    for entries in (BCE(), ASL()):
        (grad,) = torch.autograd.grad(LabelLoss(entries)(logits, truth, torch.zeros_like(truth)), logits)
        assert (grad[truth == 0] == 0).all() and grad[truth != 0].abs().sum() > 0
