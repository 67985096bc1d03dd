"""Gradient accumulation: one step from several batches, with the gradients of their pictures as one batch."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.losses._base import LabelLoss


class Accumulation:
    """Weights of the losses of the batches of a step.

    Lightning adds the gradients of the batches and divides each by their number. The loss of a larger batch is a mean over
    all its entries that count, of which its parts have different numbers (masks, holes in the truth, a smaller last batch, a
    last step of fewer batches). So each loss is multiplied by the number of its entries, and the sum of the gradients is
    divided by the sum of these numbers. Sums (``reduction: sum``) are added as they are.

    Terms that a method adds to the recipe's loss have the weights of that loss.

    Args:
        batches: of one step (``training.accumulate_grad_batches``).
        criterion: the recipe's loss, whose entries are counted; in all processes where it works across them.
        entries: pictures times labels of a whole batch, the unit of the weights: in 16-mixed, large losses would overflow.
    """

    def __init__(self, batches: int, criterion: LabelLoss, entries: int) -> None:
        self.batches, self.criterion, self.entries = batches, criterion, entries
        self._sum: Tensor | None = None

    def ends_step(self, batch: int, of: int) -> bool:
        """Whether the optimizer steps after batch number ``batch`` (from 0) of an epoch of ``of`` batches."""
        return (batch + 1) % self.batches == 0 or batch + 1 == of

    def weight(self, truth: Int[Tensor, "B L"], states: Int[Tensor, "B L"]) -> Float[Tensor, ""] | None:
        """Weight of a batch's loss in its step; None where all losses are added as they are."""
        if self.batches == 1 or self.criterion.reduction == "sum":
            return None
        found = self.criterion.count(truth, states) / self.entries
        self._sum = found if self._sum is None else self._sum + found
        return found

    def before_backward(self, loss: Float[Tensor, ""], weight: Float[Tensor, ""] | None) -> Float[Tensor, ""]:
        """The loss that Lightning, which divides it by the number of batches, is to add."""
        return loss * self.batches if weight is None else loss * (weight * self.batches)

    def before_step(self, parameters: Iterable[nn.Parameter]) -> None:
        """Divide the gradients of a step by the sum of its weights, before they are clipped."""
        if self._sum is None:
            return
        if gradients := [p.grad for p in parameters if p.grad is not None]:
            torch._foreach_div_(gradients, self._sum.clamp(min=torch.finfo(self._sum.dtype).tiny))
        self._sum = None
