"""Stacking: a second logistic regression a label, on the image logits of all labels and the known labels."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.labels import LabelSpace, LabelState
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._fitted import KnownConfig, KnownLabelsMethod
from ctran.model import Backbone

SUMMARY = "a second logistic regression on the image logits of all labels and the known labels"
ABOUT = About(
    source="S. Godbole, S. Sarawagi: Discriminative methods for multi-labeled classification, PAKDD",
    year=2004,
    needs="averaged image features of all training pictures, in memory",
    differs="known labels are further inputs",
)


@dataclass(frozen=True)
class Config(KnownConfig):
    """Stacked logistic regressions."""


class Stack(KnownLabelsMethod):
    """``logits = A z + W x(s) + b`` with image logits ``z`` of all labels and known labels as inputs.

    Source: Godbole and Sarawagi, Discriminative methods for multi-labeled classification, PAKDD 2004; known labels as further
    inputs are added here.
    """

    own_logit = False

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__(backbone, labels, config, inputs=3 * len(labels))

    def inputs(self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R D"]:
        """Image logits, known positives and known negatives."""
        present, absent = (states == state for state in (LabelState.POSITIVE, LabelState.NEGATIVE))
        return torch.cat([logits, present * (1 - self.prevalence), absent * self.prevalence], dim=1)

    def blocked(self) -> Bool[Tensor, "D L"]:
        """A label's own state, which is unknown where it is predicted."""
        found = super().blocked()
        found[: self.point.shape[1]] = False
        return found

    def finish_fit(self) -> None:
        """The image logit is among the inputs already."""
        self.point[-2] = 0


def build(config: Config, labels: LabelSpace) -> Stack:
    """The model before its fit."""
    return Stack(backbone_of(config), labels, config)
