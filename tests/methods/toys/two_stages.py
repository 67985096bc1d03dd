"""A toy in two stages: its bias alone learns first, by twice the loss, then all of it; a helper counts the pictures."""

from dataclasses import dataclass

import torch
from torch import nn

from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.methods.linear import Linear
from ctran.model import Backbone, Stage
from ctran.model.attention import repeat_rows

SUMMARY = "toy: two stages, a helper, vectors of labels, a prior"


@dataclass(frozen=True)
class Config(MethodConfig):
    """Epochs of the first stage."""

    first: int = 1

    def stages(self, epochs):
        """The bias, then all."""
        return (Stage(self.first, "bias", {"": 0.5, "frozen": 0.0}), Stage(epochs - self.first, "all", {"frozen": 0.1}))

    def helper(self, model):
        """One number."""
        return Counter()


class Counter(nn.Module):
    """Learns the mean number of labels."""

    part = "frozen"

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(()))


class TwoStages(Linear):
    """A linear layer under another name, and a bias."""

    rate_parts = ("backbone", "frozen")
    label_parameters = frozenset({"frozen.weight", "bias"})

    def __init__(self, backbone: Backbone, labels: LabelSpace) -> None:
        super().__init__(backbone, num_labels=len(labels))
        del self.classifier
        self.frozen = nn.Linear(backbone.channels, len(labels), bias=False)
        self.bias = nn.Parameter(torch.zeros(len(labels)))

    def predict_labels(self, features, states, *, hide_image=None):
        """Logits; the same for all states."""
        logits = self.frozen(features.tokens.mean(dim=1)) + self.bias
        features.rows_each(states)  # refuses rows that the images do not divide
        return repeat_rows(logits, states.shape[0])

    def loss(self, step, criterion):
        """In the first stage doubled."""
        losses = super().loss(step, criterion)
        if step.stage == "bias":
            losses["again"] = losses["labels"]
        count = (step.truth == 2).sum(dim=1).float().mean()
        return losses | {"counter": (step.helper.mean - count).square()}

    def set_prior(self, log_odds):
        """Into the bias."""
        self.bias.data.copy_(log_odds)

    def label_embeddings(self):
        """The weights of each label."""
        return self.frozen.weight.detach()


def build(config: Config, labels: LabelSpace) -> TwoStages:
    """The model with random weights."""
    return TwoStages(Backbone(config.backbone, config.image_size), labels)
