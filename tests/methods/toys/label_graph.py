"""A toy with statistics of the training table: P(row | column) mixes the logits of a linear layer; names become vectors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ctran.labels import LabelSpace, LabelState
from ctran.methods._base import MethodConfig
from ctran.methods.linear import Linear
from ctran.model import Backbone

SUMMARY = "toy: logits of a linear layer, mixed by a graph of the labels"


@dataclass(frozen=True)
class Config(MethodConfig):
    """No options but the common ones."""


class LabelGraph(Linear):
    """``logits = G (W mean_p(z_p) + b) + v``."""

    label_parameters = Linear.label_parameters | {"vectors"}
    statistics = frozenset({"graph", "order"})
    graph: Tensor
    order: Tensor
    vectors: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace) -> None:
        super().__init__(backbone, num_labels=len(labels))
        self.register_buffer("graph", torch.eye(len(labels)))
        self.register_buffer("order", torch.arange(len(labels)))
        self.register_buffer("vectors", torch.tensor([float(len(name)) for name in labels.names]))

    def fit_statistics(self, table) -> None:
        """``graph[i, j]``: share of the pictures with label j that have i too; ``order``: labels, most frequent first."""
        both = torch.zeros_like(self.graph)
        for truth in table.truth.blocks():
            present = (truth == LabelState.POSITIVE).float()
            both += present.T @ present
        self.graph.copy_(both / both.diagonal().clamp(min=1))
        self.order.copy_(both.diagonal().argsort(descending=True, stable=True))

    def predict_labels(self, features, states, *, hide_image=None):
        """Logits; the same for all states."""
        return super().predict_labels(features, states) @ self.graph.T + self.vectors


def build(config: Config, labels: LabelSpace) -> LabelGraph:
    """The model with random weights, before it has seen the table."""
    return LabelGraph(Backbone(config.backbone, config.image_size), labels)
