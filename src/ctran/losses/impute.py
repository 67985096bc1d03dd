"""Conditional imputation (ours): the averaged model, given the labels that are known, fills in the others as soft targets."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LossConfig

SUMMARY = "unknown labels have the probability that the averaged model predicts from the image and the known labels"


@dataclass(frozen=True)
class Config(LossConfig):
    """Conditional imputation, with the moving average of the weights (``training.ema``); without one by the model itself.

    Args:
        listed: share of the present labels that lists name; the more, the surer it is that an unlisted label is absent. 1 makes
            it absent; 0 is for labels that are missing at random, present and absent ones alike, and needs some that are known
            to be absent.
        weight: of the unknown entries.
    """

    listed: float = within(0.5, 0, 1)
    weight: float = within(1.0, 0, 1)

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        if not self.weight:
            why = "loss.weight is 0, so unknown entries have no loss"
            yield "listed", why


class Impute(EntryLoss):
    r"""Binary cross-entropy of each entry, in nats; the target of an unknown one is the probability that it is present,

    .. math:: q = \frac{(1 - c)\,\hat p}{1 - c\,\hat p}

    with the prediction :math:`\hat p` of the averaged model, which is given all labels of the picture that are known, and
    :class:`Config`'s share :math:`c` of listed labels. This is Bayes' rule for a present label that is named with probability
    c, whichever it is, and an absent one that never is; as an expectation step of EM its fixed point is :math:`\hat p = p`. The
    targets enter the loss alone: the states that the model is given stay unknown.

    Source: of the rule, Elkan and Noto, Learning classifiers from only positive and unlabeled data, KDD 2008, Sec. 3.
    """

    uses_unknown = True
    imputes = True

    def __init__(self, *, listed: float = 0.5, weight: float = 1.0) -> None:
        super().__init__()
        self.listed, self.weight = listed, weight
        self.given: tuple[Tensor, Tensor] | None = None

    def impute(self, index: Int[Tensor, " B"], probabilities: Float[Tensor, "B L"]) -> None:
        self.given = index, probabilities

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Losses; the same in every epoch."""
        p = self._predicted(index)
        p = logits.detach().sigmoid() if p is None else p.to(logits.dtype)
        q = (1 - self.listed) * p / (1 - self.listed * p).clamp(min=torch.finfo(p.dtype).eps)
        unknown = truth == LabelState.UNKNOWN
        target = torch.where(unknown, q, (truth == LabelState.POSITIVE).to(logits.dtype))
        each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return torch.where(unknown, self.weight, 1.0).to(logits.dtype) * each

    def _predicted(self, index: Int[Tensor, " B"] | None) -> Float[Tensor, "B L"] | None:
        """The averaged model's probabilities of some pictures; None where there are none."""
        if self.given is None or index is None:
            return None
        rows, probabilities = self.given
        same = index[:, None] == rows
        return probabilities[same.int().argmax(dim=1)] if same.any(dim=1).all() else None


def build(config: Config) -> Impute:
    """The loss with these options."""
    return Impute(**asdict(config))
