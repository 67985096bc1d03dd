"""Losses over the entries that count (paper, Eq. 6)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.constraints import exclusive
from ctran.labels import LabelState
from ctran.masking import scored_mask

Kind = Literal["bce", "asl"]


def bce(logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, label_smoothing: float = 0.0) -> Float[Tensor, "B L"]:
    """Binary cross-entropy of each entry, in nats.

    Args:
        label_smoothing: targets become ``s / 2`` and ``1 - s / 2``. 0 is the paper.
    """
    target = (truth == LabelState.POSITIVE).to(logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def asl(
    logits: Float[Tensor, "B L"],
    truth: Int[Tensor, "B L"],
    *,
    focus_negative: float = 4.0,
    focus_positive: float = 0.0,
    margin: float = 0.05,
) -> Float[Tensor, "B L"]:
    r"""Asymmetric loss of each entry: easy negatives, which are most entries, weigh little.

    .. math:: -(1 - p)^{\gamma_+} \log p, \qquad -p_m^{\gamma_-} \log(1 - p_m), \quad p_m = \max(p - m, 0)

    for positives and negatives. The weights are constants in the gradient, as in the released code of that paper.

    Args:
        focus_negative, focus_positive: the two gammas.
        margin: ``m``, a probability.

    Source: Ridnik et al., Asymmetric loss for multi-label classification, ICCV 2021, Eq. 4-6.
    """
    positive = truth == LabelState.POSITIVE
    p = logits.float().sigmoid()
    shifted = (p - margin).clamp(min=0)
    with torch.no_grad():
        weight = torch.where(positive, (1 - p) ** focus_positive, shifted**focus_negative)
    return weight * torch.where(positive, -F.logsigmoid(logits.float()), -torch.log1p(-shifted.clamp(max=1 - 1e-6)))


def label_loss(
    logits: Float[Tensor, "B L"],
    truth: Int[Tensor, "B L"],
    states: Int[Tensor, "B L"],
    *,
    kind: Kind = "bce",
    label_smoothing: float = 0.0,
    groups: Sequence[Int[Tensor, "..."]] = (),
    reduction: Literal["mean", "sum"] = "mean",
) -> Float[Tensor, ""]:
    """Mean or sum over the entries that are known in ``truth`` and hidden in ``states``; 0 (with gradient 0) if there are none.

    Args:
        kind: ``bce`` (the paper) or ``asl``.
        label_smoothing: of ``bce``.
        groups: label indices of each exclusive group that is trained by softmax: it adds its cross-entropy in nats instead of
            the losses of its entries, which still count in the mean. Other labels are trained one by one (the paper).
        reduction: ``sum`` is the released code's; under Adam it differs mainly through epsilon, weight decay and clipping.
    """
    mask = scored_mask(truth, states)
    each = asl(logits, truth) if kind == "asl" else bce(logits, truth, label_smoothing=label_smoothing)
    one_by_one = mask
    total = logits.new_zeros(())
    for members in groups:
        at = members.to(logits.device)
        one_by_one = one_by_one.index_fill(1, at, False)
        total = total + exclusive.cross_entropy(logits, truth, states, members).sum()
    total = total + (each * one_by_one).sum()
    return total / mask.sum().clamp(min=1) if reduction == "mean" else total
