"""Exclusive groups: of a group's labels exactly one is positive in every picture (CUB's 200 species, day or night).

Known states narrow down which label it can be: the one that is known to be positive, else any that is not known to be negative.
Both the prediction and the loss follow from that set, so they can never contradict known labels.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.errors import UserError
from ctran.labels import LabelState


def possible(codes: Int[Tensor, "B M"]) -> Bool[Tensor, "B M"]:
    """Labels of one group that can still be the positive one; all of them where the codes contradict themselves."""
    positive = codes == LabelState.POSITIVE
    left = torch.where(positive.any(dim=1, keepdim=True), positive, codes != LabelState.NEGATIVE)
    return left | ~left.any(dim=1, keepdim=True)


def probabilities(
    logits: Float[Tensor, "B L"], states: Int[Tensor, "B L"], groups: Sequence[Int[Tensor, "..."]]
) -> Float[Tensor, "B L"]:
    """Sigmoid of the logits; within each exclusive group the softmax over the labels that ``states`` leaves possible.

    The softmax is right for both ways of training: for logits trained by cross-entropy by definition, for independent
    (binary) ones because independent labels of odds :math:`e^{z_i}`, given that exactly one of them is positive, have
    probabilities proportional to :math:`e^{z_i}`.

    Args:
        groups: indices of each group's labels (:attr:`ctran.labels.LabelSpace.exclusive`).
    """
    found = logits.sigmoid()
    for members in groups:
        at = members.to(logits.device)
        left = logits[:, at].masked_fill(~possible(states[:, at]), float("-inf"))
        found[:, at] = left.softmax(dim=1)
    return found


def cross_entropy(
    logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], states: Int[Tensor, "B L"], members: Int[Tensor, " M"]
) -> Float[Tensor, " B"]:
    r"""Cross-entropy in nats of ``truth`` in one group, given ``states``.

    .. math:: -\log \Big( \sum_{i \in T} e^{z_i} \Big/ \sum_{i \in S} e^{z_i} \Big)

    with ``T`` and ``S`` the labels that truth and states leave possible. With complete annotation and all states unknown it is
    softmax cross-entropy; with partial annotation, minus the log-likelihood of that; where the present label is known, or
    nothing is annotated, it is 0.
    """
    at = members.to(logits.device)
    z = logits[:, at].float()
    true, allowed = possible(truth[:, at]), possible(states[:, at])
    lowest = float("-inf")
    return z.masked_fill(~allowed, lowest).logsumexp(dim=1) - z.masked_fill(~true, lowest).logsumexp(dim=1)


class ExclusiveError(UserError):
    """Truth that breaks an exclusive group: index of the group, first such row, positives there, number of such rows."""

    def __init__(self, group: int, row: int, positives: int, rows: int) -> None:
        super().__init__(f"row {row}: {positives} positive labels in exclusive group {group} ({rows} such rows)")
        self.group, self.row, self.positives, self.rows = group, row, positives, rows
