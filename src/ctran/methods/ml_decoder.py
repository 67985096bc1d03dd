"""ML-Decoder: fixed queries attend to the image tokens, each for one label or a group of labels."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.methods._state_free import StateFree
from ctran.model import Backbone, Features

SUMMARY = "ML-Decoder: fixed queries of groups of labels attend to the image tokens; known labels are ignored"
ABOUT = About(
    source="T. Ridnik, G. Sharir, A. Ben-Cohen, E. Ben-Baruch, A. Noy: ML-Decoder: Scalable and Versatile Classification Head, "
    "WACV; Alibaba-MIIL/ML_Decoder 8a9e984",
    year=2023,
    differs="groups are as large as they must be for all labels (the repository's can be one too small from 1,001 groups on); "
    "queries from word vectors, for labels without training pictures, are left out",
    compared="Alibaba-MIIL/ML_Decoder 8a9e984: logits differ by at most 4e-6",
)


@dataclass(frozen=True)
class Config(MethodConfig):
    """ML-Decoder; the defaults are the repository's.

    Args:
        num_groups: most queries; with fewer labels each has one, with more labels a query serves a group of them.
        token_dim: width of queries and tokens.
        num_heads: of the attention.
        hidden_dim: width of the feed-forward network.
        dropout: in the decoder.
    """

    may_differ = MethodConfig.may_differ | {"dropout"}

    num_groups: int = within(100, 1, 65_536)
    token_dim: int = within(768, 1, 65_536)
    num_heads: int = within(8, 1, 1024)
    hidden_dim: int = within(2048, 1, 65_536)
    dropout: float = within(0.1, 0, 1, below=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token_dim % self.num_heads:
            raise UserError(
                f"model.num_heads must divide model.token_dim, got {self.num_heads} heads and {self.token_dim} channels"
            )


class MLDecoder(StateFree):
    r"""One decoder layer without self-attention, over fixed random queries q and the image tokens z,

    .. math:: x = \mathrm{ReLU}(W z + b), \quad t = \mathrm{LN}(q + \mathrm{drop}(q)), \quad
        t' = \mathrm{LN}(t + \mathrm{MHA}(t, x, x)), \quad h = \mathrm{LN}(t' + \mathrm{FFN}(t')),

    and logits :math:`y_{kj} = w_{kj} \cdot h_k + b_{kj}` of label j of group k, labels in their order. Queries are not trained:
    dropout makes them noisy in training, and without it the layer norm takes q for 2 q. No position embeddings, so the order of
    the tokens does not matter.

    Shapes: ``B`` images, ``P`` places, ``K`` queries, ``D`` width, ``L`` labels in groups of ``ceil(L / K)``.

    Source: Ridnik et al., WACV 2023, Sec. 2; Alibaba-MIIL/ML_Decoder 8a9e984.
    """

    label_parameters = frozenset({"queries", "weight", "bias"})
    queries: Float[Tensor, "K D"]

    def __init__(self, backbone: Backbone, num_labels: int, config: Config) -> None:
        super().__init__()
        dim = config.token_dim
        self.backbone = backbone
        num_queries = min(config.num_groups, num_labels)
        self.group = math.ceil(num_labels / num_queries)
        self.narrow = nn.Linear(backbone.channels, dim)
        self.register_buffer("queries", torch.randn(num_queries, dim))
        self.cross = nn.MultiheadAttention(dim, config.num_heads, config.dropout, batch_first=True)
        self.network = nn.Sequential(
            nn.Linear(dim, config.hidden_dim), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(config.hidden_dim, dim)
        )
        self.norm_query, self.norm_attention, self.norm_network = (nn.LayerNorm(dim) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)
        self.weight = nn.Parameter(torch.empty(num_labels, dim))
        self.bias = nn.Parameter(torch.zeros(num_labels))
        nn.init.normal_(self.weight, std=(2 / (self.group * (num_queries + dim))) ** 0.5)  # Xavier's, of (K, D, group)

    def decoded(self, features: Features) -> Float[Tensor, "B K D"]:
        """What each query finds."""
        x = self.narrow(features.tokens.to(self.weight.dtype)).relu()
        t = self.queries.expand(features.tokens.shape[0], -1, -1)
        t = self.norm_query(t + self.dropout(t))
        t = self.norm_attention(t + self.dropout(self.cross(t, x, x, need_weights=False)[0]))
        return self.norm_network(t + self.dropout(self.network(t)))

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        found = self.decoded(features)
        num_labels, num_queries = len(self.bias), len(self.queries)
        padded = F.pad(self.weight, (0, 0, 0, num_queries * self.group - num_labels))
        of_groups = torch.einsum("bkd,kgd->bkg", found, padded.unflatten(0, (num_queries, self.group)))
        return of_groups.flatten(1)[:, :num_labels] + self.bias

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.bias.data.copy_(log_odds)

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """The labels' weights."""
        return self.weight.detach()


class GroupDecoder(MLDecoder):
    """With more labels than queries. Neighbours in the order of the labels share a query."""

    label_parameters = frozenset({"weight", "bias"})
    label_equivariant = False


def build(config: Config, labels: LabelSpace) -> MLDecoder:
    """The model with random weights."""
    kind = MLDecoder if len(labels) <= config.num_groups else GroupDecoder
    return kind(backbone_of(config), len(labels), config)
