"""A toy that takes gradients while it predicts: an inner map moves until the known labels are explained."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ctran.labels import LabelSpace, LabelState
from ctran.methods._base import MethodConfig
from ctran.model import Backbone, Method

SUMMARY = "toy: gradient steps on an inner map towards the known labels"
STEPS, RATE = 3, 10.0


@dataclass(frozen=True)
class Config(MethodConfig):
    """No options but the common ones."""


class Feedback(Method):
    """A linear layer, after some steps down the loss of the known labels, summed for each picture by itself."""

    label_parameters = frozenset({"classifier.weight", "classifier.bias"})
    needs_grad = True

    def __init__(self, backbone: Backbone, num_labels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.channels, num_labels)

    def head(self, features):
        """Logits of the image tokens alone."""
        return self.classifier(features.tokens.mean(dim=1))

    def predict_labels(self, features, states, *, hide_image=None):
        """Logits after the steps; without known labels those of the linear layer."""
        each = features.rows_each(states)
        (name,) = self.backbone.maps
        values = features.maps[name].repeat_interleave(each, dim=0)
        if self.training:
            return self.head(self.backbone.resume(name, values))
        known, present = states != LabelState.UNKNOWN, (states == LabelState.POSITIVE).float()
        for _ in range(STEPS if known.any() else 0):
            with torch.enable_grad():
                moving = values.detach().clone().requires_grad_()
                logits = self.head(self.backbone.resume(name, moving))
                loss = (F.binary_cross_entropy_with_logits(logits, present, reduction="none") * known).sum()
                (gradient,) = torch.autograd.grad(loss, moving)
            values = values - RATE * gradient
        return self.head(self.backbone.resume(name, values))


def build(config: Config, labels: LabelSpace) -> Feedback:
    """The model with random weights."""
    return Feedback(Backbone(config.backbone, config.image_size, maps=[16]), len(labels))
