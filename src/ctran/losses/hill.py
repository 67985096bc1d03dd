"""Hill loss (Zhang et al., 2021): unknown labels are negatives that lose their weight where the model is sure of a positive."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "Hill loss: unknown labels count as absent, less where the model is sure that they are present"


@dataclass(frozen=True)
class Config(LossConfig):
    """Hill loss; the defaults are the paper's.

    Args:
        margin: subtracted from the logits of positive entries.
        gamma: exponent of the weight of positive entries.
        hill: the loss of an unknown entry has its steepest rise and falls off before ``p`` is 1, the later the greater this is.
    """

    margin: float = within(1.0, 0, 10)
    gamma: float = within(2.0, 0, 100)
    hill: float = within(1.5, 1, 10)


class Hill(EntryLoss):
    r"""Hill loss of each entry, with :class:`Config`'s margin ``m``, gamma and hill :math:`\lambda`:

    .. math:: -(1 - p_m)^\gamma \log p_m, \quad p_m = \sigma(x - m), \qquad (\lambda - p)\,p^2

    for positive entries, and for unknown ones. Entries that are known to be absent have binary cross-entropy, as nothing about
    them is in doubt; the paper has none of these.

    Source: Zhang et al., Simple and robust loss design for multi-label learning with missing labels, 2021, Eq. 7 and 9.
    """

    uses_unknown = True

    def __init__(self, *, margin: float = 1.0, gamma: float = 2.0, hill: float = 1.5) -> None:
        super().__init__()
        self.margin, self.gamma, self.hill = margin, gamma, hill

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses; the same in every epoch."""
        p, shifted = logits.sigmoid(), logits - self.margin
        positive = -torch.exp(self.gamma * F.logsigmoid(-shifted)) * F.logsigmoid(shifted)
        unknown = (self.hill - p) * p**2
        known = torch.where(truth == LabelState.POSITIVE, positive, -F.logsigmoid(-logits))
        return torch.where(truth == LabelState.UNKNOWN, unknown, known)


def build(config: Config) -> Hill:
    """The loss with these options."""
    return Hill(**asdict(config))
