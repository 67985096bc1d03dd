"""Class-aware selective loss, CSL (Ben-Baruch et al., CVPR 2022): unknown labels that may be present are left out."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "unknown labels count as absent, but for likely and frequent ones, which are left out; an asymmetric loss"


@dataclass(frozen=True)
class Config(LossConfig):
    """Class-aware selective loss; the gammas are those of its released code.

    Args:
        likely: share of the unknown entries of a batch that are left out, the most probable ones. The source leaves out 5 for
            each picture, of 9,600 labels.
        frequent: a label whose unknown entries have a greater mean probability in the batch is left out where it is unknown.
            The source has 0.05, for data in which some labels of each picture are known to be absent.
        gamma_positive: exponent of the weight of positive entries.
        gamma_negative: exponent of the weight of entries that are known to be absent.
        gamma_unknown: exponent of the weight of unknown entries.
    """

    likely: float = within(0.05, 0, 1)
    frequent: float = within(0.5, 0, 1)
    gamma_positive: float = within(0.0, 0, 100)
    gamma_negative: float = within(1.0, 0, 100)
    gamma_unknown: float = within(2.0, 0, 100)

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        if not self.frequent:
            why = "loss.frequent is 0, so all unknown entries are left out"
            yield "likely", why
            yield "gamma_unknown", why


class Selective(EntryLoss):
    r"""Asymmetric loss of each entry, with :class:`Config`'s gammas; 0 for unknown ones that may be present.

    .. math:: -(1 - p)^{\gamma_+} \log p, \qquad -p^{\gamma_-} \log(1 - p), \qquad -p^{\gamma_u} \log(1 - p)

    for positive, negative and unknown entries. The weights are constants in the gradient, as in the released code. The source
    takes frequencies from a temporary model that is trained first; here they are the mean predictions of the batch, so that one
    training is enough.

    Source: Ben-Baruch et al., Multi-label classification with partial annotations using class-aware selective loss, CVPR 2022,
    Eq. 5-9; Alibaba-MIIL/PartialLabelingCSL 210face.
    """

    uses_unknown = True

    def __init__(
        self,
        *,
        likely: float = 0.05,
        frequent: float = 0.5,
        gamma_positive: float = 0.0,
        gamma_negative: float = 1.0,
        gamma_unknown: float = 2.0,
    ) -> None:
        super().__init__()
        self.likely, self.frequent = likely, frequent
        self.gammas = gamma_unknown, gamma_negative, gamma_positive  # in the order of the states

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses; the same in every epoch."""
        unknown = truth == LabelState.UNKNOWN
        right = torch.where(truth == LabelState.POSITIVE, logits, -logits)
        with torch.no_grad():
            gamma = logits.new_tensor(self.gammas)[truth]
            weight = torch.exp(gamma * F.logsigmoid(-right))
            weight = weight.masked_fill(unknown & self._may_be_present(logits, unknown), 0.0)
        return -weight * F.logsigmoid(right)

    def _may_be_present(self, logits: Float[Tensor, "B L"], unknown: Bool[Tensor, "B L"]) -> Bool[Tensor, "B L"]:
        """Whether an entry is of a frequent label, or among the most probable of the batch."""
        share = (logits.sigmoid() * unknown).sum(dim=0) / unknown.sum(dim=0).clamp(min=1)
        found = (share > self.frequent).expand_as(unknown)
        count = math.ceil(self.likely * int(unknown.sum()))
        if not count:
            return found
        return found | (logits >= logits[unknown].topk(count).values[-1])


def build(config: Config) -> Selective:
    """The loss with these options."""
    return Selective(**asdict(config))
