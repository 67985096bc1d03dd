"""Entropy maximisation with asymmetric pseudo-labels, EM and APL (Zhou et al., ECCV 2022): unknown labels stay uncertain."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig
from ctran.losses._memory import EntryMemory

SUMMARY = "unknown labels are pulled towards uncertainty; the least probable become absent, softly, epoch by epoch"

NONE = -1.0
"""In place of a probability."""


@dataclass(frozen=True)
class Config(LossConfig):
    """Entropy maximisation with asymmetric pseudo-labels; the defaults are the source's for NUS-WIDE.

    Args:
        alpha: weight of the entropy of unknown entries.
        beta: weight of pseudo-labels; their targets are the probabilities that they had when they were chosen.
        share: of the unknown entries of each label that become pseudo-labels, in total; 0 is entropy maximisation alone.
        start: the first epoch, from 0, in which there are some.
        rounds: epochs over which they become so many.
    """

    alpha: float = within(0.1, 0, 10)
    beta: float = within(0.2, 0, 10)
    share: float = within(0.9, 0, 1)
    start: int = within(3, 1, 10_000)
    rounds: int = within(6, 1, 10_000)

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        if not self.share:
            why = "loss.share is 0, so no entry becomes a pseudo-label"
            yield "beta", why
            yield "start", why
            yield "rounds", why


class Entropy(EntryLoss):
    r"""Binary cross-entropy of known entries, in nats; of unknown ones, and of pseudo-labels with target :math:`\hat p`,

    .. math:: \alpha \left(\log 2 - H(p)\right), \qquad -\beta \left(\hat p \log p + (1 - \hat p) \log(1 - p)\right)

    with the entropy :math:`H` in nats (the constant keeps the loss from being negative) and :class:`Config`'s weights. At the
    start of an epoch the least probable unknown entries of each label, by their probabilities in the epoch before, become
    pseudo-labels for good. The source predicts all pictures once more for that.

    Source: Zhou et al., Acknowledging the unknown for multi-label learning with single positive labels, ECCV 2022, Eq. 2-7;
    Correr-Zhou/SPML-AckTheUnknown c09c114.
    """

    uses_unknown = True
    epoch: Tensor

    def __init__(self, *, alpha: float = 0.1, beta: float = 0.2, share: float = 0.9, start: int = 3, rounds: int = 6) -> None:
        super().__init__()
        self.alpha, self.beta, self.share, self.start, self.rounds = alpha, beta, share, start, rounds
        self.seen = EntryMemory(NONE)  # probabilities of unknown entries in the epoch that is going on
        self.target = EntryMemory(NONE)  # of pseudo-labels
        self.since = EntryMemory(NONE)  # epoch of pseudo-labels
        self.register_buffer("epoch", torch.tensor(-1))

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses."""
        unknown, p = truth == LabelState.UNKNOWN, logits.sigmoid()
        known = F.binary_cross_entropy_with_logits(logits, (truth == LabelState.POSITIVE).to(logits.dtype), reduction="none")
        uncertain = self.alpha * (math.log(2) + p * F.logsigmoid(logits) + (1 - p) * F.logsigmoid(-logits)).clamp(min=0)
        if index is None or not self.share:
            return torch.where(unknown, uncertain, known)
        self._begin(epoch)
        target = self.target.read(index, logits.shape[1]).to(logits.dtype)
        self.since.read(index, logits.shape[1])  # all three grow alike
        chosen = unknown & (target >= 0)
        self.seen.write(index, torch.where(unknown & ~chosen, p, NONE))
        pseudo = self.beta * F.binary_cross_entropy_with_logits(logits, target.clamp(min=0), reduction="none")
        return torch.where(chosen, pseudo, torch.where(unknown, uncertain, known))

    def _begin(self, epoch: int) -> None:
        """At the first step of an epoch: choose pseudo-labels by what was seen in the one before."""
        if epoch == int(self.epoch):
            return
        seen, target, since = (each.values for each in (self.seen, self.target, self.since))
        if len(target):  # a training that goes back to an earlier epoch
            later = since >= epoch
            target[later], since[later] = NONE, NONE
        if len(target) and self.start <= epoch == int(self.epoch) + 1:
            part = min((epoch - self.start + 1) / self.rounds, 1.0)
            for label in range(target.shape[1]):
                had, open_ = int((target[:, label] >= 0).sum()), (seen[:, label] >= 0).nonzero()[:, 0]
                count = min(math.ceil(part * self.share * (had + len(open_))) - had, len(open_))
                if count > 0:
                    rows = open_[seen[open_, label].argsort(stable=True)[:count]]
                    target[rows, label], since[rows, label] = seen[rows, label], float(epoch)
        seen.fill_(NONE)
        self.epoch.fill_(epoch)


def build(config: Config) -> Entropy:
    """The loss with these options."""
    return Entropy(**asdict(config))
