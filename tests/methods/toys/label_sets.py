"""A toy that decodes by itself: beam search for the label set with the greatest sum of logits and couplings."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ctran.labels import LabelSpace, LabelState
from ctran.methods._base import MethodConfig
from ctran.methods.linear import Linear
from ctran.model import Backbone

SUMMARY = "toy: a linear layer, and label sets by beam search"
WIDTH, STEPS = 3, 4


@dataclass(frozen=True)
class Config(MethodConfig):
    """No options but the common ones."""


class LabelSets(Linear):
    """Score of a set: the sum of its logits, and of ``u_i u_j`` over its pairs."""

    label_parameters = Linear.label_parameters | {"couplings"}

    def __init__(self, backbone: Backbone, num_labels: int) -> None:
        super().__init__(backbone, num_labels=num_labels)
        self.couplings = nn.Parameter(torch.randn(num_labels, 2))

    def decode(self, features, states):
        """The best set found; known positives are in it from the start, known negatives never."""
        logits = self.predict_labels(features, states)
        beams = (states == LabelState.POSITIVE)[:, None]
        best, value = beams[:, 0], logits.new_zeros(len(logits))
        scores = logits.new_zeros(len(logits), 1)
        for _ in range(STEPS):
            gain = logits[:, None] + beams.float() @ self.couplings @ self.couplings.T
            gain = gain.masked_fill(beams | (states == LabelState.NEGATIVE)[:, None], -torch.inf)
            reached = (scores[..., None] + gain).flatten(1)
            scores, at = reached.topk(min(WIDTH, reached.shape[1]))
            label = at % logits.shape[1]
            before = beams.gather(1, (at // logits.shape[1])[..., None].expand(-1, -1, logits.shape[1]))
            beams = before | F.one_hot(label, logits.shape[1]).bool()
            better = scores[:, 0] > value
            best, value = torch.where(better[:, None], beams[:, 0], best), torch.where(better, scores[:, 0], value)
        return best


def build(config: Config, labels: LabelSpace) -> LabelSets:
    """The model with random weights."""
    return LabelSets(Backbone(config.backbone, config.image_size), len(labels))
