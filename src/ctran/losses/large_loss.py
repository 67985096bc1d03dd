"""Large losses of unknown labels are left out or corrected: LL-R, LL-Ct and LL-Cp (Kim et al., CVPR 2022)."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig
from ctran.losses._memory import EntryMemory

SUMMARY = "unknown labels count as absent, but for those whose loss is largest: left out, or counted as present"

Scheme = Literal["reject", "correct", "correct_permanently"]
NEVER = 1e9
"""Epoch of entries that were not corrected."""


@dataclass(frozen=True)
class Config(LossConfig):
    """Binary cross-entropy in which unknown labels are absent, but for the largest losses of each batch.

    Args:
        scheme: what becomes of these. ``reject`` (LL-R): they are left out. ``correct`` (LL-Ct): they count as present in this
            step. ``correct_permanently`` (LL-Cp): from then on.
        rise: share of the unknown entries of a batch that they are, times the epoch (from 0); with correct_permanently the same
            in each epoch from the second on. The source has 0.001 to 0.006 over 10 epochs; with more epochs less is needed.
    """

    scheme: Scheme = "reject"
    rise: float = within(0.002, 0, 1)

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        if not self.rise:
            why = "loss.rise is 0, so no loss is large"
            yield "scheme", why


class LargeLoss(EntryLoss):
    """Binary cross-entropy of each entry, in nats, with :class:`Config`'s treatment of large losses of unknown ones.

    A network learns clean labels before noisy ones, so an unknown label with a large loss as an absent one is likely to be
    present. Shares are of the unknown entries; the source's are of all entries of a batch, nearly all of which are unknown
    there.

    Source: Kim et al., Large loss matters in weakly supervised multi-label classification, CVPR 2022, Eq. 4-6.
    """

    uses_unknown = True

    def __init__(self, *, scheme: Scheme = "reject", rise: float = 0.002) -> None:
        super().__init__()
        self.scheme, self.rise = scheme, rise
        self.since = EntryMemory(NEVER)

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses; those of the largest logits among unknown entries are 0, or those of present ones."""
        unknown, positive = truth == LabelState.UNKNOWN, truth == LabelState.POSITIVE
        if self.scheme != "correct_permanently" or index is None:
            large = self._largest(logits.detach(), unknown, epoch)
        else:
            since = self.since.read(index, logits.shape[1])
            before = since < epoch
            positive = positive | (unknown & before)
            large = self._largest(logits.detach(), unknown & ~before, epoch)
            self.since.write(index, since.masked_fill(~before, NEVER).masked_fill(large, epoch))
        if self.scheme != "reject":
            positive = positive | large
        each = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
        return each.masked_fill(large, 0.0) if self.scheme == "reject" else each

    def _largest(self, logits: Float[Tensor, "B L"], among: Bool[Tensor, "B L"], epoch: int) -> Bool[Tensor, "B L"]:
        """Entries with the largest losses as absent ones, that is with the largest logits; none in the first epoch."""
        share = self.rise * (min(epoch, 1) if self.scheme == "correct_permanently" else epoch)
        count = min(math.ceil(min(share, 1.0) * int(among.sum())), int(among.sum()))
        if not count:
            return torch.zeros_like(among)
        least = logits[among].topk(count).values[-1]
        return among & (logits >= least)


def build(config: Config) -> LargeLoss:
    """The loss with these options."""
    return LargeLoss(**asdict(config))
