"""A toy on two layers of the backbone: averages of an inner map and of the image tokens, one linear layer."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.model import Backbone, Method

SUMMARY = "toy: a linear layer on an inner map and the last one"


@dataclass(frozen=True)
class Config(MethodConfig):
    """No options but the common ones."""


class InnerMap(Method):
    """``logits = W [mean(map); mean_p(z_p)] + b``."""

    label_parameters = frozenset({"classifier.weight", "classifier.bias"})
    uses_states = False

    def __init__(self, backbone: Backbone, num_labels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(sum(backbone.map_channels.values()) + backbone.channels, num_labels)

    def pooled(self, features):
        """Both averages of ``B`` images."""
        (inner,) = features.maps.values()
        return torch.cat([inner.mean(dim=(2, 3)), features.tokens.mean(dim=1)], dim=1)

    def prepare(self, features):
        """All that depends on the image: spatial work stands here, so it is part of an exported graph."""
        return replace(features, image_cache={"pooled": self.pooled(features)})

    def predict_labels(self, features, states, *, hide_image=None):
        """Logits; the same for all states."""
        memory = features.image_cache or self.prepare(features).image_cache
        logits = self.classifier(memory["pooled"])
        return logits[:, None].expand(-1, features.rows_each(states), -1).flatten(0, 1)


def build(config: Config, labels: LabelSpace) -> InnerMap:
    """The model with random weights; the inner map has a stride of 16 pixels."""
    return InnerMap(Backbone(config.backbone, config.image_size, maps=[16]), len(labels))
