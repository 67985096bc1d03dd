"""What all losses share: options with bounds, the interface, and the reduction over the entries that count (paper, Eq. 6)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.bounds import check_bounds
from ctran.constraints import exclusive
from ctran.labels import LabelState
from ctran.masking import scored_mask

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class LossConfig:
    """Options of a loss, the part ``loss`` of a recipe."""

    def __post_init__(self) -> None:
        check_bounds(self, "loss")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others, each with the reason; training refuses those that are set."""
        return iter(())


class EntryLoss(nn.Module):
    """Loss of each entry, one picture and one label, from its logit and its truth.

    What it has to keep from step to step belongs into buffers, or into :class:`~ctran.losses._memory.EntryMemory`: checkpoints
    then hold it.

    Entries whose truth is unknown count where :attr:`uses_unknown` is set: they are assumed to be absent, more or less. They
    stay unknown in the states, as what the model is given must be known.
    """

    uses_unknown: bool = False
    imputes: bool = False
    """Whether training calls :meth:`impute` before each step; it does where the weights have a moving average."""

    def impute(self, index: Int[Tensor, " B"], probabilities: Float[Tensor, "B L"]) -> None:
        """Take probabilities of all labels of the pictures of a step, by the averaged model, given all that is known of them.

        Args:
            index: row of each picture in the training table.
            probabilities: between 0 and 1, of positives.
        """
        raise NotImplementedError

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses, at least 0 and finite.

        Args:
            logits: of float32 or float64.
            truth: :class:`~ctran.labels.LabelState` codes; entries that are ``UNKNOWN`` count with ``uses_unknown`` alone.
            epoch: of the training, from 0.
            index: row of each picture in the training table; None outside of training.
        """
        raise NotImplementedError


class LabelLoss(nn.Module):
    """Mean or sum of a loss over the entries that are known in ``truth`` and hidden in ``states``; 0 of none.

    Of an exclusive group that is trained by softmax, unknown entries never count.

    Args:
        entries: the loss of each entry.
        groups: indices of the labels of exclusive groups that are trained by softmax: such a group adds its cross-entropy in
            nats instead of the losses of its entries, which still count in the mean. Without, they are trained one by one
            (the paper).
        reduction: ``sum`` is the released code's; under Adam its epsilon, weight decay and clipping make the difference.
        across_processes: scale the loss so that its mean over the training processes is the loss of all their pictures as
            one batch; every process must then compute its loss in the same step.
    """

    def __init__(
        self,
        entries: EntryLoss,
        *,
        groups: Sequence[Int[Tensor, "..."]] = (),
        reduction: Reduction = "mean",
        across_processes: bool = False,
    ) -> None:
        super().__init__()
        self.entries, self.groups, self.reduction = entries, groups, reduction
        self.across_processes = across_processes

    def forward(
        self,
        logits: Float[Tensor, "B L"],
        truth: Int[Tensor, "B L"],
        states: Int[Tensor, "B L"],
        *,
        epoch: int = 0,
        index: Int[Tensor, " B"] | None = None,
        labels: Bool[Tensor, " L"] | None = None,
    ) -> Float[Tensor, ""]:
        """The loss, in float32 at least.

        Args:
            epoch, index: of :class:`EntryLoss`.
            labels: that count; None is all.
        """
        exact = logits if logits.dtype == torch.double else logits.float()
        if labels is not None:
            truth = truth.masked_fill(~labels, int(LabelState.UNKNOWN))
        one_by_one = mask = self.counted(truth, states, labels)
        total = exact.new_zeros(())
        for members in self.groups:
            members = members.to(logits.device)
            one_by_one = one_by_one.index_fill(1, members, False)
            total = total + exclusive.cross_entropy(exact, truth, states, members).sum()
        each = self.entries(exact, truth, epoch=epoch, index=index)
        total = total + (each * one_by_one).sum()
        if self.reduction == "sum":
            return total * self._processes
        return total * self._processes / self._summed(mask).clamp(min=1)

    def count(self, truth: Int[Tensor, "B L"], states: Int[Tensor, "B L"]) -> Float[Tensor, ""]:
        """Number of entries that the mean is over, in all processes together where the loss works across them."""
        return self._summed(self.counted(truth, states))

    def counted(
        self, truth: Int[Tensor, "B L"], states: Int[Tensor, "B L"], labels: Bool[Tensor, " L"] | None = None
    ) -> Bool[Tensor, "B L"]:
        """The entries that count; of ``labels`` alone where they are given."""
        scored = scored_mask(truth, states) & (True if labels is None else labels)
        if not self.entries.uses_unknown:
            return scored
        mask = (states == LabelState.UNKNOWN) & (True if labels is None else labels)
        for members in self.groups:
            members = members.to(truth.device)
            mask = mask.index_copy(1, members, scored[:, members])
        return mask

    @property
    def _processes(self) -> int:
        """Processes that the loss works across."""
        return torch.distributed.get_world_size() if self.across_processes and torch.distributed.is_initialized() else 1

    def _summed(self, mask: Bool[Tensor, "B L"]) -> Float[Tensor, ""]:
        """Entries of all processes."""
        entries = mask.sum().float()
        if self._processes > 1:
            torch.distributed.all_reduce(entries)
        return entries
