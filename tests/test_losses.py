import torch
import torch.nn.functional as F

from ctran.losses import bce


def test_loss_is_the_mean_over_entries_that_count():
    logits = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]])
    truth, states = torch.tensor([[2, 1, 0], [1, 2, 2]]), torch.tensor([[0, 0, 0], [0, 2, 0]])
    chosen = torch.stack([logits[0, 0], logits[0, 1], logits[1, 0], logits[1, 2]])
    expected = F.binary_cross_entropy_with_logits(chosen, torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert torch.allclose(bce(logits, truth, states), expected)


def test_entries_that_do_not_count_have_no_gradient():
    logits = torch.zeros(1, 3, requires_grad=True)
    bce(logits, torch.tensor([[2, 0, 1]]), torch.tensor([[2, 0, 0]])).backward()
    assert logits.grad.tolist()[0][:2] == [0, 0] and logits.grad[0, 2] != 0


def test_nothing_to_learn_is_a_loss_of_zero_with_a_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    loss = bce(logits, torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3, dtype=torch.long))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_label_smoothing_moves_the_best_logit():
    truth, states = torch.tensor([[2]]), torch.tensor([[0]])
    best = torch.tensor([[0.95]]).logit().requires_grad_()
    bce(best, truth, states, label_smoothing=0.1).backward()
    assert abs(float(best.grad)) < 1e-6
