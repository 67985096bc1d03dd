"""KGGR: SSGRL, whose classifiers exchange messages over co-occurrence too."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._gated_graph import GatedGraph
from ctran.methods._semantic_graph import GraphConfig, SemanticGraph
from ctran.model import Backbone, Features

SUMMARY = "KGGR: SSGRL, and classifiers of the labels in a graph of co-occurrence; known labels are ignored"
ABOUT = About(
    source="T. Chen, L. Lin, X. Hui, R. Chen, H. Wu: Knowledge-Guided Multi-Label Few-Shot Learning for General Image "
    "Recognition, IEEE TPAMI",
    year=2020,
    needs="word vectors of the label names (model.word_vectors; the paper's are GloVe, 300 numbers); label co-occurrence of "
    "the training table",
    differs="two linear layers of the attention without a function between them are one vector, the same functions with fewer "
    "weights",
    uncertain="no code of the authors is at hand: widths are SSGRL's, the last features have a tanh, the classifiers "
    "start as free weights, and their last map has a bias. A class of other people, which was not run here, has widths of 1024 "
    "and 512, and multiplies each product of the logit by the first classifiers once more",
)


@dataclass(frozen=True)
class Config(GraphConfig):
    """KGGR; the widths are those of SSGRL."""


class KGGR(SemanticGraph):
    r"""Logits of label c,

    .. math:: y_c = W_c \cdot o_c + b_c, \qquad W_c = W_s [w_c^T;\; w_c] + b_s,

    with o of :class:`~ctran.methods._semantic_graph.SemanticGraph`, free weights w of the labels, and :math:`w^T` what a second
    :class:`~ctran.methods._gated_graph.GatedGraph` makes of them over the same graph.
    """

    fixed: Tensor | None

    def __init__(self, backbone: Backbone, config: Config, num_labels: int) -> None:
        super().__init__(backbone, config, num_labels)
        self.weight_graph = GatedGraph(dim=config.output_dim, steps=config.graph_steps, gate=config.gate)
        self.weight_output = nn.Linear(2 * config.output_dim, config.output_dim)
        self.register_buffer("fixed", None, persistent=False)

    def classifiers(self) -> Float[Tensor, "L D"]:
        """Weights of the labels after they have exchanged messages."""
        if self.fixed is not None:
            return self.fixed
        first = self.classifier.weight
        return self.weight_output(torch.cat([self.weight_graph(first, self.shares), first], dim=-1))

    def precompute(self) -> None:
        self.fixed = self.classifiers().detach()

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        return torch.einsum("bld,ld->bl", self.outputs(features), self.classifiers()) + self.classifier.bias

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """The classifiers of the labels."""
        return self.classifiers().detach()


def build(config: Config, labels: LabelSpace) -> KGGR:
    """The model with random weights, before it has word vectors and co-occurrence."""
    return KGGR(backbone_of(config), config, len(labels))
