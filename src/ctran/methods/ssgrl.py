"""SSGRL: a feature vector for each label by its word vector, and a gated graph network over co-occurrence."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._semantic_graph import GraphConfig, SemanticGraph
from ctran.model import Features

SUMMARY = "SSGRL: features of each label by its word vector, in a graph of co-occurrence; known labels are ignored"
ABOUT = About(
    source="T. Chen, M. Xu, X. Hui, H. Wu, L. Lin: Learning Semantic-Specific Graph Representation for Multi-Label Image "
    "Recognition, ICCV; HCPLab-SYSU/SSGRL ea47ccb",
    year=2019,
    needs="word vectors of the label names (model.word_vectors; the paper's are GloVe, 300 numbers); label co-occurrence of "
    "the training table",
    differs="two linear layers of the attention without a function between them are one vector, the same functions with fewer "
    "weights; the repository's reset gate has the update gate's weights, here that is model.gate released",
    compared="HCPLab-SYSU/SSGRL ea47ccb (model.gate released): logits differ by at most 7e-7; graph network with gate paper, "
    "HCPLab-SYSU/HCP-MLR-PL d9fd300: no difference",
    uncertain="the repository's matrices of co-occurrence and word vectors are not at hand: shares p(j | i) with ones on the "
    "diagonal are taken",
)


@dataclass(frozen=True)
class Config(GraphConfig):
    """SSGRL; the widths are the paper's."""


class SSGRL(SemanticGraph):
    r"""Logits :math:`y_c = w_c \cdot o_c + b_c`, with o of :class:`~ctran.methods._semantic_graph.SemanticGraph`."""

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        return self.classifier(self.outputs(features))

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """The classifier's row of each label."""
        return self.classifier.weight.detach()


def build(config: Config, labels: LabelSpace) -> SSGRL:
    """The model with random weights, before it has word vectors and co-occurrence."""
    return SSGRL(backbone_of(config), config, len(labels))
