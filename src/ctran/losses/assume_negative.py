"""Binary cross-entropy in which unknown labels are absent, the usual baseline for lists of what is present."""

from dataclasses import asdict, dataclass

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "binary cross-entropy; unknown labels count as absent"


@dataclass(frozen=True)
class Config(LossConfig):
    """Binary cross-entropy in which unknown labels are absent.

    Args:
        label_smoothing: targets of all entries become s / 2 and 1 - s / 2; the source has 0 (AN) and 0.1 (AN-LS).
    """

    label_smoothing: float = within(0.0, 0, 1)


class AssumeNegative(EntryLoss):
    """Binary cross-entropy of each entry, in nats; see :class:`Config`.

    Probabilities are then those of being listed: lower than those of being present, by the share that lists leave out.

    Source: Cole et al., Multi-label learning from single positive labels, CVPR 2021, Eq. 2 and 5.
    """

    uses_unknown = True

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


def build(config: Config) -> AssumeNegative:
    """The loss with these options."""
    return AssumeNegative(**asdict(config))
