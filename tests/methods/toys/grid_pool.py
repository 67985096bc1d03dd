"""A toy that works on the grid of the image tokens when it predicts: 2 x 2 pooling, then the greatest cell of each label."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn

from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.model import Backbone, Method

SUMMARY = "toy: logits of cells pooled two by two, the greatest of each label"


@dataclass(frozen=True)
class Config(MethodConfig):
    """No options but the common ones."""


class GridPool(Method):
    """``logits = max over cells of W pool(z) + b``."""

    label_parameters = frozenset({"classifier.weight", "classifier.bias"})
    uses_states = False

    def __init__(self, backbone: Backbone, num_labels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.channels, num_labels)

    def predict_labels(self, features, states, *, hide_image=None):
        """Logits; the same for all states."""
        maps = features.tokens.transpose(1, 2).unflatten(2, features.grid)  # (B, C, h, w)
        cells = F.avg_pool2d(maps, 2, ceil_mode=True).flatten(2).transpose(1, 2)
        logits = self.classifier(cells).amax(dim=1)
        return logits[:, None].expand(-1, features.rows_each(states), -1).flatten(0, 1)


def build(config: Config, labels: LabelSpace) -> GridPool:
    """The model with random weights."""
    return GridPool(Backbone(config.backbone, config.image_size), len(labels))
