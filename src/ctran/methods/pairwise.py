"""Pairwise log-linear model: the image logit of a label, plus what each other label adds to it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.labels import LabelSpace, LabelState
from ctran.methods._base import backbone_of
from ctran.methods._fitted import KnownConfig, KnownLabelsMethod
from ctran.model import Backbone

SUMMARY = "image logit of each label plus what each known or probable other label adds to it; fitted in one step"


@dataclass(frozen=True)
class Config(KnownConfig):
    """Pairwise model on averaged image features."""


class Pairwise(KnownLabelsMethod):
    r"""Conditional log-odds of each label given the image and the other labels, as in an Ising model.

    .. math::
        \ell_i = a_i z_i + b_i + \sum_{j \neq i} [s_j = P] (1 - \pi_j) W^P_{ji} + [s_j = N] \pi_j W^N_{ji}
        + [s_j = U] (\sigma(z_j) - \pi_j) W^U_{ji}

    with image logits ``z``, states ``s`` and prevalences ``pi``. It is fitted to masked labels of the training pictures, with
    image logits of a linear layer that was not fitted to the picture: a pseudo-likelihood with missing labels.

    Source: J. Besag, Statistical analysis of non-lattice data, The Statistician 24, 1975 (pseudo-likelihood).
    """

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__(backbone, labels, config, inputs=3 * len(labels))

    def inputs(self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R D"]:
        """Known positives, known negatives and the image's opinion of unknown labels, each 0 at the prevalence."""
        present, absent, unknown = (states == s for s in (LabelState.POSITIVE, LabelState.NEGATIVE, LabelState.UNKNOWN))
        rare = 1 - self.prevalence
        return torch.cat([present * rare, absent * self.prevalence, unknown * (logits.sigmoid() - self.prevalence)], dim=1)


def build(config: Config, labels: LabelSpace) -> Pairwise:
    """The model before its fit."""
    return Pairwise(backbone_of(config), labels, config)
