"""Query2Label: a learned query of each label attends to encoded image tokens."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.methods._detr import Attention, EncoderLayer, FeedForward, sine_positions
from ctran.methods._state_free import StateFree
from ctran.model import Backbone, Features

SUMMARY = "Query2Label: a learned query of each label attends to the encoded image; known labels are ignored"
ABOUT = About(
    source="S. Liu, L. Zhang, X. Yang, H. Su, J. Zhu: Query2Label: A Simple Transformer Way to Multi-Label Classification, "
    "arXiv 2107.10834; SlongLiu/query2labels 55eb050",
    year=2021,
    differs="position codes follow the size of the picture, where the repository's are made for one size",
    uncertain="a row of VG-500 (mAP 42.5) that is quoted for it could not be checked, and has no recipe here",
    compared="SlongLiu/query2labels 55eb050: logits differ by at most 8e-7, with and without self-attention",
)


@dataclass(frozen=True)
class Config(MethodConfig):
    """Query2Label; the defaults are the repository's, in which labels do not attend to each other.

    Args:
        token_dim: width of tokens and queries; null takes the backbone's, without a projection.
        encoder_layers: in which image tokens attend to each other.
        decoder_layers: in which label queries attend to image tokens.
        num_heads: of every attention.
        hidden_dim: width of the feed-forward networks.
        dropout: in all layers.
        self_attention: label queries also attend to each other, at the start of each decoder layer.
    """

    may_differ = MethodConfig.may_differ | {"dropout"}

    token_dim: int | None = within(None, 1, 65_536)
    encoder_layers: int = within(1, 0, 256)
    decoder_layers: int = within(2, 1, 256)
    num_heads: int = within(4, 1, 1024)
    hidden_dim: int = within(8192, 1, 65_536)
    dropout: float = within(0.1, 0, 1, below=True)
    self_attention: bool = False


class DecoderLayer(nn.Module):
    """Attention of label tokens to each other (an option), to image tokens, then a feed-forward network."""

    def __init__(self, *, dim: int, num_heads: int, hidden_dim: int, dropout: float, self_attention: bool) -> None:
        super().__init__()
        self.labels = Attention(dim=dim, num_heads=num_heads, dropout=dropout) if self_attention else None
        self.image = Attention(dim=dim, num_heads=num_heads, dropout=dropout)
        self.network = FeedForward(dim=dim, hidden_dim=hidden_dim, dropout=dropout)

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        queries: Float[Tensor, "L D"],
        image: Float[Tensor, "B P D"],
        positions: Float[Tensor, "P D"],
    ) -> Float[Tensor, "B L D"]:
        """The updated label tokens; queries are added to them wherever they attend."""
        x = x if self.labels is None else self.labels(x, queries)
        return self.network(self.image(x, queries, image, positions))


class Query2Label(StateFree):
    r"""Logits :math:`y_i = w_i \cdot \mathrm{LN}(h_i) + b_i` of label tokens h, which start at 0 and attend to image tokens in
    post-norm layers, with learned queries and sine position codes as in DETR.

    Without ``self_attention`` each label's logit depends on its own parameters and the picture alone.

    Shapes: ``B`` images, ``P`` places, ``L`` labels, ``D`` width.

    Source: Liu et al., 2021, Sec. 3; SlongLiu/query2labels 55eb050.

    Raises:
        UserError: the width is not a multiple of 4, or of the number of heads.
    """

    label_parameters = frozenset({"queries", "classifier.weight", "classifier.bias"})
    queries: Float[Tensor, "L D"]

    def __init__(self, backbone: Backbone, num_labels: int, config: Config) -> None:
        super().__init__()
        dim = config.token_dim or backbone.channels
        if dim % config.num_heads or dim % 4:
            raise UserError(f"token width {dim} must be a multiple of 4 and of model.num_heads, got {config.num_heads} heads")
        options = {"dim": dim, "num_heads": config.num_heads, "hidden_dim": config.hidden_dim, "dropout": config.dropout}
        self.backbone = backbone
        self.narrow = nn.Identity() if config.token_dim is None else nn.Linear(backbone.channels, dim)
        self.encoder = nn.ModuleList(EncoderLayer(**options) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(
            DecoderLayer(**options, self_attention=config.self_attention) for _ in range(config.decoder_layers)
        )
        for matrix in [*self.encoder.parameters(), *self.decoder.parameters()]:
            if matrix.ndim > 1:
                nn.init.xavier_uniform_(matrix)
        self.norm = nn.LayerNorm(dim)
        self.queries = nn.Parameter(torch.randn(num_labels, dim))
        self.classifier = nn.Linear(dim, num_labels)

    def encoded(self, features: Features, positions: Float[Tensor, "P D"]) -> Float[Tensor, "B P D"]:
        """Image tokens after the encoder."""
        image = self.narrow(features.tokens.to(self.queries.dtype))
        for layer in self.encoder:
            image = layer(image, positions)
        return image

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        positions = sine_positions(features.grid, self.queries.shape[1]).to(self.queries)
        image = self.encoded(features, positions)
        x = torch.zeros_like(self.queries).expand(image.shape[0], -1, -1)
        for layer in self.decoder:
            x = layer(x, self.queries, image, positions)
        return torch.einsum("bld,ld->bl", self.norm(x), self.classifier.weight) + self.classifier.bias

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.classifier.bias.data.copy_(log_odds)

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """The labels' queries."""
        return self.queries.detach()


def build(config: Config, labels: LabelSpace) -> Query2Label:
    """The model with random weights."""
    return Query2Label(backbone_of(config), len(labels), config)
