"""A method: one linear layer on each cell of the picture, and the greatest logit of each label."""

from dataclasses import dataclass

from torch import nn

from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.model import Backbone, Method

SUMMARY = "the greatest cell of each label; known labels are ignored"


@dataclass(frozen=True)
class Config(MethodConfig):
    """Options: only those of the backbone and its pictures, which every method has."""


class GreatestCell(Method):
    """``logits = max over cells of W z + b``."""

    label_parameters = frozenset({"classifier.weight", "classifier.bias"})  # one row a label
    uses_states = False  # trains with all labels unknown

    def __init__(self, backbone: Backbone, num_labels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.channels, num_labels)

    def predict_labels(self, features, states, *, hide_image=None):
        """Logits, a row for each row of states."""
        logits = self.classifier(features.tokens).amax(dim=1)  # tokens: images, cells, channels
        rows = features.rows_each(states)  # several rows of states for each image
        return logits[:, None].expand(-1, rows, -1).flatten(0, 1)


def build(config: Config, labels: LabelSpace) -> GreatestCell:
    """The model with random weights."""
    return GreatestCell(Backbone(config.backbone, config.image_size), len(labels))
