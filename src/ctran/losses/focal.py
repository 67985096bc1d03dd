"""Focal loss (Lin et al., ICCV 2017)."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "focal loss: entries that are predicted well weigh little"


@dataclass(frozen=True)
class Config(LossConfig):
    """Focal loss; the defaults are the paper's of that loss.

    Args:
        gamma: exponent of the weight; 0 is binary cross-entropy times alpha.
        alpha: weight of positive entries, 1 - alpha that of negative ones; null weighs neither.
    """

    gamma: float = within(2.0, 0, 100)
    alpha: float | None = within(0.25, 0, 1)


class Focal(EntryLoss):
    r"""Focal loss of each entry, with :class:`Config`'s gamma and alpha.

    .. math:: -\alpha_t (1 - p_t)^{\gamma} \log p_t

    with :math:`p_t` the probability of what the entry is: ``p`` of a positive one, ``1 - p`` of a negative one.

    Source: Lin et al., Focal loss for dense object detection, ICCV 2017, Eq. 5.
    """

    def __init__(self, *, gamma: float = 2.0, alpha: float | None = 0.25) -> None:
        super().__init__()
        self.gamma, self.alpha = gamma, alpha

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses; the same in every epoch."""
        positive = truth == LabelState.POSITIVE
        right = torch.where(positive, logits, -logits)
        weight = torch.exp(self.gamma * F.logsigmoid(-right))  # (1 - p_t) ** gamma, whose gradient is NaN where 1 - p_t is 0
        if self.alpha is not None:
            weight = weight * torch.where(positive, self.alpha, 1 - self.alpha)
        return -weight * F.logsigmoid(right)


def build(config: Config) -> Focal:
    """The loss with these options."""
    return Focal(**asdict(config))
