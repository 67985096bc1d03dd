"""Self-paced loss correction, SPLC (Zhang et al., 2021): unknown labels that the model is sure of become positives."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "SPLC: unknown labels count as absent, and as present where the model is sure of it"


@dataclass(frozen=True)
class Config(LossConfig):
    """Self-paced loss correction around the focal loss with a margin; the defaults are the paper's.

    Args:
        threshold: an unknown entry counts as present from this probability on.
        start: the first epoch, from 0, in which it does.
        margin: subtracted from the logits of positive entries.
        gamma: exponent of the weights.
    """

    threshold: float = within(0.6, 0, 1)
    start: int = within(1, 0, 10_000)
    margin: float = within(1.0, 0, 10)
    gamma: float = within(2.0, 0, 100)


class SPLC(EntryLoss):
    r"""Focal loss with a margin ``m`` for positive entries, and for negative ones

    .. math:: -(1 - p_m)^\gamma \log p_m, \quad p_m = \sigma(x - m), \qquad -p^\gamma \log(1 - p).

    An unknown entry has that of a negative one, or where :math:`p > \tau` that of a positive one without the margin, as in the
    released code. The change is of the loss alone: such an entry stays unknown in the states.

    Source: Zhang et al., Simple and robust loss design for multi-label learning with missing labels, 2021, Eq. 10.
    """

    uses_unknown = True

    def __init__(self, *, threshold: float = 0.6, start: int = 1, margin: float = 1.0, gamma: float = 2.0) -> None:
        super().__init__()
        self.threshold, self.start, self.margin, self.gamma = threshold, start, margin, gamma

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses; unknown entries are negatives before the epoch ``start``."""
        positive = truth == LabelState.POSITIVE
        if epoch >= self.start:
            sure = logits.detach().sigmoid() > self.threshold
            found = (truth == LabelState.UNKNOWN) & sure
        else:
            found = torch.zeros_like(positive)
        right = torch.where(positive, logits - self.margin, torch.where(found, logits, -logits))
        return -torch.exp(self.gamma * F.logsigmoid(-right)) * F.logsigmoid(right)


def build(config: Config) -> SPLC:
    """The loss with these options."""
    return SPLC(**asdict(config))
