"""Asymmetric loss (Ridnik et al., ICCV 2021)."""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "asymmetric loss: easy negatives, which are most entries, weigh little"


@dataclass(frozen=True)
class Config(LossConfig):
    """Asymmetric loss; the defaults are those of its released code.

    Args:
        gamma_negative: exponent of the weight of negative entries.
        gamma_positive: exponent of the weight of positive entries.
        margin: subtracted from the probabilities of negative entries; those below it cost nothing.
    """

    gamma_negative: float = within(4.0, 0, 100)
    gamma_positive: float = within(0.0, 0, 100)
    margin: float = within(0.05, 0, 1, below=True)


class ASL(EntryLoss):
    r"""Asymmetric loss of each entry, with :class:`Config`'s gammas and margin ``m``.

    .. math:: -(1 - p)^{\gamma_+} \log p, \qquad -p_m^{\gamma_-} \log(1 - p_m), \quad p_m = \max(p - m, 0)

    for positives and negatives. The weights are constants in the gradient, as in the released code's training.

    Source: Ridnik et al., Asymmetric loss for multi-label classification, ICCV 2021, Eq. 4-6.
    """

    def __init__(self, *, gamma_negative: float = 4.0, gamma_positive: float = 0.0, margin: float = 0.05) -> None:
        super().__init__()
        self.gamma_negative, self.gamma_positive, self.margin = gamma_negative, gamma_positive, margin

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses; the same in every epoch."""
        positive = truth == LabelState.POSITIVE
        with torch.no_grad():
            p = logits.sigmoid()
            weight = torch.where(
                positive, (1 - p) ** self.gamma_positive, (p - self.margin).clamp(min=0) ** self.gamma_negative
            )
        # log(1 - p + m) by its two logarithms: 1 - p is 0 in float32 from a logit of 17 on, and without a gradient there
        log_margin = logits.new_full((), math.log(self.margin) if self.margin else -math.inf)
        of_negative = torch.logaddexp(F.logsigmoid(-logits), log_margin).clamp(max=0)
        return -weight * torch.where(positive, F.logsigmoid(logits), of_negative)


def build(config: Config) -> ASL:
    """The loss with these options."""
    return ASL(**asdict(config))
