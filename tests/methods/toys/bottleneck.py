"""A toy concept bottleneck: extra labels are concepts, the others follow from them, and known concepts are interventions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ctran.labels import LabelSpace, LabelState
from ctran.methods._base import MethodConfig
from ctran.methods.linear import Linear
from ctran.model import Backbone

SUMMARY = "toy: a concept bottleneck with test-time intervention"
PERCENTILES, RATE = (0.05, 0.95), 0.1


@dataclass(frozen=True)
class Config(MethodConfig):
    """No options but the common ones."""


class Bottleneck(Linear):
    """Logits of concepts from the image; of the other labels from these, a known concept at its percentile in training.

    Source: Koh et al., Concept Bottleneck Models, ICML 2020.
    """

    label_parameters = Linear.label_parameters | {"of_label", "of_concept", "percentiles", "concepts"}
    percentiles: Tensor
    concepts: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace) -> None:
        super().__init__(backbone, num_labels=len(labels))
        self.of_label, self.of_concept = (nn.Parameter(torch.randn(len(labels), 4)) for _ in range(2))
        self.register_buffer("percentiles", torch.tensor([-1.0, 1.0]).repeat(len(labels), 1))
        self.register_buffer("concepts", ~labels.targets | bool(labels.targets.all()))  # all, where none is extra

    uses_states = True

    def predict_labels(self, features, states, *, hide_image=None):
        """Logits; in training the percentiles move towards those of the batch, as statistics of a batch norm do."""
        logits = super().predict_labels(features, states)
        if self.training:
            seen = torch.quantile(logits.detach(), logits.new_tensor(PERCENTILES), dim=0).T
            self.percentiles.lerp_(seen, RATE)
        low, high = self.percentiles.T
        given = torch.where(states == LabelState.POSITIVE, high, torch.where(states == LabelState.NEGATIVE, low, logits))
        follows = (given * self.concepts) @ self.of_concept @ self.of_label.T / len(self.concepts)
        return torch.where(self.concepts & ~self.concepts.all(), logits, logits + follows)


def build(config: Config, labels: LabelSpace) -> Bottleneck:
    """The model with random weights."""
    return Bottleneck(Backbone(config.backbone, config.image_size), labels)
