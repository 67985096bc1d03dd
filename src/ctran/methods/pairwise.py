"""Pairwise log-linear model: the image logit of a label, plus what each other label adds to it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelSpace, LabelState
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._fitted import KnownConfig, KnownLabelsMethod
from ctran.model import Backbone

SUMMARY = "image logit of each label plus what each known or probable other label adds to it; fitted in one step"
ABOUT = About(
    source="J. Besag: Statistical analysis of non-lattice data, The Statistician 24 (pseudo-likelihood of an Ising model)",
    year=1975,
    needs="averaged image features of all training pictures, in memory",
    differs="image logits from a regression that was not fitted to the picture; unknown labels count by their probability",
)


PROBABLE = 0.3
"""Scale of the inputs that stand for unknown labels. With 1, log-loss on ``val`` with nothing known was worse by 1 to 4 %."""


@dataclass(frozen=True)
class Config(KnownConfig):
    """Pairwise model on averaged image features.

    Args:
        image_free: share, in a weighted mean, of weights of known labels that are fitted without the image; null chooses it.
    """

    may_differ = KnownConfig.may_differ | {"image_free"}

    image_free: float | None = within(0.0, 0, 1)


class Pairwise(KnownLabelsMethod):
    r"""Conditional log-odds of each label given the image and the other labels, as in an Ising model.

    .. math::
        \ell_i = a_i z_i + b_i + \sum_{j \neq i} [s_j = P] (1 - \pi_j) W^P_{ji} + [s_j = N] \pi_j W^N_{ji}
        + [s_j = U] c (\sigma(z_j) - \pi_j) W^U_{ji}

    with image logits ``z``, states ``s`` and prevalences ``pi``; ``c`` is :data:`PROBABLE`, so that weights of labels that are
    only probable have a stronger penalty than those of known ones. It is fitted to masked labels of the training pictures, with
    image logits of a linear layer that was not fitted to the picture: a pseudo-likelihood with missing labels. With
    ``image_free``, ``W^P`` and ``W^N`` are the mean of this fit and of one that has neither image logits nor ``W^U``: beside
    the image few pictures say little of what rare labels tell about each other, and without it such weights count twice what
    the image shows.

    Source: J. Besag, Statistical analysis of non-lattice data, The Statistician 24, 1975 (pseudo-likelihood).
    """

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__(backbone, labels, config, inputs=3 * len(labels))
        self.image_free, self.known_inputs = config.image_free, 2 * len(labels)

    def inputs(self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R D"]:
        """Known positives, known negatives and the image's opinion of unknown labels, each 0 at the prevalence."""
        present, absent, unknown = (states == s for s in (LabelState.POSITIVE, LabelState.NEGATIVE, LabelState.UNKNOWN))
        rare, probable = 1 - self.prevalence, PROBABLE * (logits.sigmoid() - self.prevalence)
        return torch.cat([present * rare, absent * self.prevalence, unknown * probable], dim=1)


def build(config: Config, labels: LabelSpace) -> Pairwise:
    """The model before its fit."""
    return Pairwise(backbone_of(config), labels, config)
