"""Unknown labels as weak negatives (Mac Aodha et al., ICCV 2019; Cole et al., CVPR 2021)."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "unknown labels count as absent with a small weight: for lists of what is present"


@dataclass(frozen=True)
class Config(LossConfig):
    """Binary cross-entropy in which unknown labels are weak negatives.

    Args:
        weight: of an unknown entry; null: 1 / (number of labels - 1), which balances one listed label. 1 is "assume negative".
    """

    weight: float | None = within(None, 0, 1)


class WeakNegatives(EntryLoss):
    r"""Binary cross-entropy of each entry; of one whose truth is unknown

    .. math:: -\gamma \log(1 - p)

    with :class:`Config`'s weight :math:`\gamma`.

    Source: Cole et al., Multi-label learning from single positive labels, CVPR 2021, Eq. 4.
    """

    uses_unknown = True

    def __init__(self, *, weight: float | None = None) -> None:
        super().__init__()
        self.weight = weight

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses; the same in every epoch."""
        weight = 1 / max(logits.shape[1] - 1, 1) if self.weight is None else self.weight
        right = torch.where(truth == LabelState.POSITIVE, logits, -logits)
        return -torch.where(truth == LabelState.UNKNOWN, weight, 1.0).to(logits.dtype) * F.logsigmoid(right)


def build(config: Config) -> WeakNegatives:
    """The loss with these options."""
    return WeakNegatives(**asdict(config))
