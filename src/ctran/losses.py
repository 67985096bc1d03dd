"""Losses over the entries that count (paper, Eq. 6)."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.labels import LabelState
from ctran.masking import counted


def bce(
    logits: Float[Tensor, "B L"],
    truth: Int[Tensor, "B L"],
    states: Int[Tensor, "B L"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Binary cross-entropy in nats, mean over the entries that are known in ``truth`` and hidden in ``states``.

    The released code sums instead of averaging; under Adam only the interplay with weight decay and clipping differs.

    Args:
        label_smoothing: targets become ``s / 2`` and ``1 - s / 2``. 0 is the paper.

    Returns 0 (with a gradient of 0) where no entry counts.
    """
    mask = counted(truth, states)
    target = (truth == LabelState.POSITIVE).to(logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * mask).sum() / mask.sum().clamp(min=1)
