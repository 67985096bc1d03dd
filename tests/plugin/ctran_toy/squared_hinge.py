"""A loss: the squared hinge."""

from dataclasses import dataclass

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "squared hinge: 0 for logits on the right side of a margin"


@dataclass(frozen=True)
class Config(LossConfig):
    """The squared hinge.

    Args:
        margin: from which logit on an entry adds nothing.
    """

    margin: float = within(1.0, 0)


class SquaredHinge(EntryLoss):
    """``max(0, margin - y x)^2`` with y = 1 for positive labels, -1 for negative ones."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, logits, truth, *, epoch=0, index=None):
        """Loss of each entry; its reduction is ctran's."""
        sign = (truth == LabelState.POSITIVE) * 2 - 1
        return (self.margin - sign * logits).clamp(min=0).square()


def build(config: Config) -> SquaredHinge:
    """The loss with these options."""
    return SquaredHinge(config.margin)
