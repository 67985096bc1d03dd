"""A toy that keeps averages of its image tokens on disk, where training stores image features."""

from dataclasses import dataclass

from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.methods.linear import Linear
from ctran.model import Backbone, Features

SUMMARY = "toy: a linear layer, trained on stored averages"


@dataclass(frozen=True)
class Config(MethodConfig):
    """No options but the common ones."""


class Averages(Linear):
    """As the linear layer, which averages one token as it does many."""

    def stored(self, features):
        """One value a channel."""
        return Features(features.tokens.mean(dim=1, keepdim=True), (1, 1))


def build(config: Config, labels: LabelSpace) -> Averages:
    """The model with random weights."""
    return Averages(Backbone(config.backbone, config.image_size), num_labels=len(labels))
