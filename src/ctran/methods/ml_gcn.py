"""ML-GCN: classifiers of the labels from their word vectors, by graph convolutions over label co-occurrence."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.data.table import SampleTable
from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._label_graph import conditional, reweighted
from ctran.methods._state_free import StateFree
from ctran.methods._word_vectors import WordConfig, WordVectors
from ctran.model import Backbone, Features

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "ML-GCN: classifiers from word vectors by a graph of co-occurrence; known labels are ignored"
ABOUT = About(
    source="Z.-M. Chen, X.-S. Wei, P. Wang, Y. Guo: Multi-Label Image Recognition with Graph Convolutional Networks, CVPR; "
    "Megvii-Nanjing/ML-GCN 5517d6f",
    year=2019,
    needs="word vectors of the label names (model.word_vectors; the paper's are GloVe, 300 numbers); label co-occurrence of "
    "the training table",
    differs="global max pooling for pictures of any size, where the repository's is global at 448 px alone; with annotations "
    "that have holes, shares are over the pictures in which both labels are annotated",
    compared="Megvii-Nanjing/ML-GCN 5517d6f: logits differ by at most 7e-6",
    uncertain="the text has a learning rate of 0.01, divided by 10 every 40 of 100 epochs, the repository 0.1 for 20 epochs",
)


@dataclass(frozen=True)
class Config(WordConfig):
    """ML-GCN.

    Args:
        hidden_dim: width between the two graph convolutions.
        threshold: least share p(j | i) of training pictures for an edge from label i to j.
        neighbour_weight: weight that a label's neighbours have together, from 0 to below 1; the rest is its own.
    """

    hidden_dim: int = within(1024, 1, 65_536)
    threshold: float = within(0.4, 0, 1, above=True)
    neighbour_weight: float = within(0.2, 0, 1, below=True)

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """A graph without weights on its edges."""
        yield from super().unused(training)
        if self.neighbour_weight == 0:
            yield "threshold", "with model.neighbour_weight 0 no label receives from another"


class MLGCN(StateFree):
    r"""Logits of a picture x from the greatest value f of each channel,

    .. math:: y = W f(x), \qquad W = \hat A\, \mathrm{LeakyReLU}_{0.2}(\hat A Z W_1)\, W_2,

    with word vectors Z of the labels (``L`` rows) and the matrix :math:`\hat A` of
    :func:`~ctran.methods._label_graph.reweighted`; no biases.
    """

    label_parameters = frozenset({"words.vectors"})
    statistics = frozenset({"adjacency"})
    adjacency: Tensor
    fixed: Tensor | None

    def __init__(self, backbone: Backbone, config: Config, num_labels: int) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        self.words = WordVectors(config, num_labels)
        self.register_buffer("adjacency", torch.eye(num_labels))
        self.register_buffer("fixed", None, persistent=False)
        self.first = nn.Parameter(torch.empty(config.word_dim, config.hidden_dim))
        self.second = nn.Parameter(torch.empty(config.hidden_dim, backbone.channels))
        for weight in (self.first, self.second):
            nn.init.uniform_(weight, -(weight.shape[1] ** -0.5), weight.shape[1] ** -0.5)

    def fit_statistics(self, table: SampleTable) -> None:
        """Word vectors of the labels and their graph."""
        self.words.fill(table.labels)
        shares = conditional(table)
        self.adjacency.copy_(reweighted(shares, threshold=self.config.threshold, neighbours=self.config.neighbour_weight))

    def classifiers(self) -> Float[Tensor, "L C"]:
        """One weight vector for each label."""
        if self.fixed is not None:
            return self.fixed
        hidden = F.leaky_relu(self.adjacency @ (self.words.vectors @ self.first), 0.2)
        return self.adjacency @ (hidden @ self.second)

    def precompute(self) -> None:
        self.fixed = self.classifiers().detach()

    def label_embeddings(self) -> Float[Tensor, "L C"]:
        """The labels' classifiers."""
        return self.classifiers().detach()

    def stored(self, features: Features) -> Features:
        """The greatest value of each channel, which is all that is used."""
        return Features(features.tokens.amax(dim=1, keepdim=True), (1, 1))

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        return features.tokens.to(self.first.dtype).amax(dim=1) @ self.classifiers().T


def build(config: Config, labels: LabelSpace) -> MLGCN:
    """The model with random weights, before it has word vectors and a graph."""
    return MLGCN(backbone_of(config), config, len(labels))
