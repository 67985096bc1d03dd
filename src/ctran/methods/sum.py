"""Image logits plus what known labels change without an image."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.labels import LabelSpace, LabelState
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._fitted import KnownConfig, KnownLabelsMethod
from ctran.model import Backbone

SUMMARY = "image logits of a linear layer plus what known labels change in a model without images"
ABOUT = About(
    source="this project: the naive way to join a linear layer and label statistics",
    year=2026,
    needs="averaged image features of all training pictures, in memory",
)


@dataclass(frozen=True)
class Config(KnownConfig):
    """A linear layer on the image and one on known labels, fitted apart."""


class Sum(KnownLabelsMethod):
    """``logits = z + W x(s)``: image logits, and weights of known labels fitted without the image."""

    own_logit = False
    sees_images = False

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__(backbone, labels, config, inputs=2 * len(labels))

    def inputs(self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R D"]:
        """Known positives and known negatives; 0 where nothing is known."""
        present, absent = (states == state for state in (LabelState.POSITIVE, LabelState.NEGATIVE))
        return torch.cat([present * (1 - self.prevalence), absent * self.prevalence], dim=1)

    def finish_fit(self) -> None:
        """The image logit takes the place of the bias, which is the log-odds when nothing is known."""
        self.point[-2], self.point[-1] = 1, 0


def build(config: Config, labels: LabelSpace) -> Sum:
    """The model before its fit."""
    return Sum(backbone_of(config), labels, config)
