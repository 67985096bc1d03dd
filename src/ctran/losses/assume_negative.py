"""Binary cross-entropy in which unknown labels are absent, the usual baseline for lists of what is present."""

from dataclasses import asdict, dataclass

from ctran.bounds import within
from ctran.losses._base import LossConfig
from ctran.losses.bce import BCE

SUMMARY = "binary cross-entropy; unknown labels count as absent"


@dataclass(frozen=True)
class Config(LossConfig):
    """Binary cross-entropy in which unknown labels are absent.

    Args:
        label_smoothing: targets of all entries become s / 2 and 1 - s / 2; the source has 0 (AN) and 0.1 (AN-LS).
    """

    label_smoothing: float = within(0.0, 0, 1)


class AssumeNegative(BCE):
    """Binary cross-entropy of each entry, in nats; see :class:`Config`.

    Probabilities are then those of being listed: lower than those of being present, by the share that lists leave out.

    Source: Cole et al., Multi-label learning from single positive labels, CVPR 2021, Eq. 2 and 5.
    """

    uses_unknown = True


def build(config: Config) -> AssumeNegative:
    """The loss with these options."""
    return AssumeNegative(**asdict(config))
