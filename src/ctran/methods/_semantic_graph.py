"""What SSGRL and KGGR share: features of each label, in a graph of co-occurrence."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.data.table import SampleTable
from ctran.methods._gated_graph import Gate, GatedGraph
from ctran.methods._label_graph import conditional
from ctran.methods._semantic import SemanticDecoupling, pooled_cells
from ctran.methods._state_free import StateFree
from ctran.methods._word_vectors import WordConfig, WordVectors
from ctran.model import Backbone, Features
from ctran.model.classifier import LabelClassifier


@dataclass(frozen=True)
class GraphConfig(WordConfig):
    """Options of both.

    Args:
        token_dim: width of the image tokens, so of the graph's nodes; null takes the backbone's (the papers), another narrows
            the tokens by a linear layer.
        attention_dim: width in which image tokens and word vectors are compared.
        graph_steps: steps in which labels exchange messages.
        gate: reset gate of the graph network: paper, or released, with the update gate's weights of a node's own state.
        output_dim: width of a label's last features.
    """

    token_dim: int | None = within(None, 1, 65_536)
    attention_dim: int = within(1024, 1, 65_536)
    graph_steps: int = within(3, 1, 256)
    gate: Gate = "paper"
    output_dim: int = within(2048, 1, 65_536)


class SemanticGraph(StateFree):
    r"""Last features of label c,

    .. math:: o_c = \tanh(W_o [h_c^T;\; f_c]),

    with the label's features :math:`f_c` of :class:`~ctran.methods._semantic.SemanticDecoupling` on image tokens averaged two
    by two, and :math:`h_c^T` what :class:`~ctran.methods._gated_graph.GatedGraph` makes of them.
    """

    label_parameters = frozenset({"words.vectors", "classifier.weight", "classifier.bias"})
    statistics = frozenset({"shares"})
    shares: Tensor

    def __init__(self, backbone: Backbone, config: GraphConfig, num_labels: int) -> None:
        super().__init__()
        self.backbone = backbone
        dim = config.token_dim or backbone.channels
        self.narrow = nn.Identity() if dim == backbone.channels else nn.Linear(backbone.channels, dim)
        self.words = WordVectors(config, num_labels)
        self.register_buffer("shares", torch.eye(num_labels))
        self.decoupling = SemanticDecoupling(channels=dim, word_dim=config.word_dim, dim=config.attention_dim)
        self.graph = GatedGraph(dim=dim, steps=config.graph_steps, gate=config.gate)
        self.output = nn.Linear(2 * dim, config.output_dim)
        self.classifier = LabelClassifier(num_labels=num_labels, dim=config.output_dim)

    def fit_statistics(self, table: SampleTable) -> None:
        """Word vectors of the labels and their co-occurrence."""
        self.words.fill(table.labels)
        self.shares.copy_(conditional(table))

    def outputs(self, features: Features) -> Float[Tensor, "B L D"]:
        """Last features of each label."""
        cells = self.narrow(pooled_cells(features.tokens.to(self.classifier.weight.dtype), features.grid))
        first = self.decoupling(cells, self.words.vectors)
        return torch.tanh(self.output(torch.cat([self.graph(first, self.shares), first], dim=-1)))

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.classifier.bias.data.copy_(log_odds)

    def checkpoint_activations(self) -> None:
        self.decoupling.checkpointed = True
