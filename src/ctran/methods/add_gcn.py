"""ADD-GCN: label vectors pooled by attention exchange messages over a learned graph and one that the picture gives."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.methods._picture_graph import SLOPE, PictureGraph
from ctran.methods._state_free import StateFree
from ctran.model import Backbone, Features

SUMMARY = "ADD-GCN: a vector of each label, mixed over a learned graph and a graph of the picture; known labels are ignored"
ABOUT = About(
    source="J. Ye, J. He, X. Peng, W. Wu, Y. Qiao: Attention-Driven Dynamic Graph Convolutional Network for Multi-Label Image "
    "Recognition, ECCV; Yejin0111/ADD-GCN b7653fe",
    year=2020,
    differs="a batch of one picture trains, with the running statistics of the batch norm (the repository stops there)",
    uncertain="label vectors are sums over the places, as in the repository, so they grow with the size of the picture",
    compared="Yejin0111/ADD-GCN b7653fe: logits, of up to 54, differ by at most 5e-5",
)


@dataclass(frozen=True)
class Config(MethodConfig):
    """ADD-GCN.

    Args:
        token_dim: width of the label vectors.
    """

    token_dim: int = within(1024, 1, 65_536)


class DynamicGraph(nn.Module):
    r"""Two graph convolutions of label vectors v, over a learned graph S and over a graph A of the picture,

    .. math:: x = v + \phi(\phi(S v) W_s + b_s), \quad A = A(\bar x, x), \quad \phi(\phi(A^\top x) W_d + b_d),

    with the mean :math:`\bar x` over the labels and the leaky ReLU :math:`\phi`; see
    :class:`~ctran.methods._picture_graph.PictureGraph` for A.

    Shapes: ``B`` images, ``L`` labels, ``D`` width.
    """

    def __init__(self, num_labels: int, dim: int) -> None:
        super().__init__()
        self.adjacency = nn.Linear(num_labels, num_labels, bias=False)
        self.static = nn.Linear(dim, dim)
        self.of_picture = PictureGraph(num_labels=num_labels, context=dim, dim=dim)
        self.dynamic = nn.Linear(dim, dim)

    def forward(self, v: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """What a label's vector gets from all of them."""
        over_labels = F.leaky_relu(self.adjacency.weight @ v, SLOPE)
        x = v + F.leaky_relu(self.static(over_labels), SLOPE)
        graph = self.of_picture(x.mean(dim=1), x)
        return F.leaky_relu(self.dynamic(F.leaky_relu(graph @ x, SLOPE)), SLOPE)


class ADDGCN(StateFree):
    r"""Logits from activation maps m of the labels and from their vectors v in a dynamic graph,

    .. math:: m_{pi} = a_i \cdot z_p, \quad v_i = \sum_p \sigma(m_{pi}) (W z_p + b), \quad
        y_i = \tfrac12 \big(\max_p m_{pi} + w_i \cdot (v_i + \mathrm{graph}(v)_i) + b_i\big)

    Shapes: ``B`` images, ``P`` places, ``C`` channels, ``L`` labels, ``D`` width.

    Source: Ye et al., ECCV 2020, Sec. 3; Yejin0111/ADD-GCN b7653fe.
    """

    label_parameters = frozenset(
        {"maps.weight", "graph.of_picture.pairs.weight", "graph.of_picture.pairs.bias", "classifier.weight", "classifier.bias"}
    )
    label_matrices = frozenset({"graph.adjacency.weight"})

    def __init__(self, backbone: Backbone, *, num_labels: int, dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.maps = nn.Linear(backbone.channels, num_labels, bias=False)
        self.narrow = nn.Linear(backbone.channels, dim)
        self.graph = DynamicGraph(num_labels, dim)
        self.classifier = nn.Linear(dim, num_labels)

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        tokens = features.tokens.to(self.maps.weight.dtype)
        maps = self.maps(tokens)
        vectors = maps.sigmoid().transpose(1, 2) @ self.narrow(tokens)
        mixed = vectors + self.graph(vectors)
        of_graph = torch.einsum("bld,ld->bl", mixed, self.classifier.weight) + self.classifier.bias
        return (maps.amax(dim=1) + of_graph) / 2

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """The labels' classifiers."""
        return self.classifier.weight.detach()


def build(config: Config, labels: LabelSpace) -> ADDGCN:
    """The model with random weights."""
    return ADDGCN(backbone_of(config), num_labels=len(labels), dim=config.token_dim)
