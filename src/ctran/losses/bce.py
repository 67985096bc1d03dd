"""Binary cross-entropy, the paper's loss (Eq. 6)."""

from dataclasses import asdict, dataclass

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "binary cross-entropy, the paper's"


@dataclass(frozen=True)
class Config(LossConfig):
    """Binary cross-entropy.

    Args:
        label_smoothing: targets become s / 2 and 1 - s / 2; 0 is the paper.
    """

    label_smoothing: float = within(0.0, 0, 1)


class BCE(EntryLoss):
    """Binary cross-entropy of each entry, in nats; see :class:`Config`."""

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses; the same in every epoch."""
        smoothing = self.label_smoothing
        target = (truth == LabelState.POSITIVE).to(logits.dtype) * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def build(config: Config) -> BCE:
    """The loss with these options."""
    return BCE(**asdict(config))
