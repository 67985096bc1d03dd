"""Transformer encoder over image and label tokens (paper, Eq. 2-4)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class EncoderLayer(nn.Module):
    r"""One post-norm layer: self-attention (Eq. 2, 3), then a two-layer network of width ``D`` (Eq. 4),

    .. math::
        \alpha_{ij} = \mathrm{softmax}_j\big((W^q h_i)^\top (W^k h_j) / \sqrt{d}\big), \quad
        \bar h_i = \sum_j \alpha_{ij} W^v h_j, \quad
        h'_i = \mathrm{ReLU}(\bar h_i W^r + b_1) W^o + b_2,

    with a residual connection, dropout and LayerNorm around each half, in ``K`` heads of width ``d = D / K``. Computes what
    ``torch.nn.TransformerEncoderLayer(norm_first=False, activation="relu", dim_feedforward=D)`` computes.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.2 and 3.5.
    """

    def __init__(
        self, *, dim: int, num_heads: int, dropout: float, attention_dropout: bool = True, orthogonal: bool = False
    ) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(f"token width {dim} must be a multiple of the number of heads, got {num_heads} heads")
        self.num_heads, self.dropout = num_heads, dropout
        self.attention_dropout = dropout if attention_dropout else 0.0
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.wide = nn.Linear(dim, dim)
        self.narrow = nn.Linear(dim, dim)
        self.norm_attention = nn.LayerNorm(dim)
        self.norm_network = nn.LayerNorm(dim)
        nn.init.xavier_uniform_(self.qkv.weight)
        if orthogonal:
            for square in (*self.qkv.weight.data.chunk(3), self.out.weight.data):
                nn.init.orthogonal_(square)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def _heads(self, h: Float[Tensor, "B N D"]) -> tuple[Tensor, Tensor, Tensor]:
        batch, tokens, dim = h.shape
        parts = self.qkv(h).view(batch, tokens, 3, self.num_heads, dim // self.num_heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each (B, K, N, d)
        return q, k, v

    def forward(self, h: Float[Tensor, "B N D"], bias: Float[Tensor, "B K 1 N"] | None = None) -> Float[Tensor, "B N D"]:
        """Update all tokens; each may attend to all. ``bias`` is added to the scores towards each token."""
        q, k, v = self._heads(h)
        p = self.attention_dropout if self.training else 0.0
        bias = None if bias is None else bias.to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=p)
        mixed = self.out(mixed.transpose(1, 2).flatten(2))
        h = self.norm_attention(h + F.dropout(mixed, self.dropout, self.training))
        inner = F.dropout(F.relu(self.wide(h)), self.dropout, self.training)
        return self.norm_network(h + F.dropout(self.narrow(inner), self.dropout, self.training))

    def attention(self, h: Float[Tensor, "B N D"], bias: Float[Tensor, "B K 1 N"] | None = None) -> Float[Tensor, "B K N N"]:
        """Attention weights alpha of Eq. 2 for the input of this layer; rows sum to 1."""
        q, k, _ = self._heads(h)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return (scores if bias is None else scores + bias).softmax(dim=-1)


class Encoder(nn.Module):
    """``num_layers`` encoder layers after one joint LayerNorm of all tokens."""

    def __init__(
        self,
        *,
        dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
        attention_dropout: bool = True,
        orthogonal: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        options = {"num_heads": num_heads, "attention_dropout": attention_dropout, "orthogonal": orthogonal}
        self.layers = nn.ModuleList(EncoderLayer(dim=dim, dropout=dropout, **options) for _ in range(num_layers))

    def forward(self, h: Float[Tensor, "B N D"], bias: Float[Tensor, "B K 1 N"] | None = None) -> Float[Tensor, "B N D"]:
        """Updated tokens; ``bias`` as in :meth:`EncoderLayer.forward`, the same in every layer."""
        h = self.norm(h)
        for layer in self.layers:
            h = layer(h, bias)
        return h

    @torch.no_grad()
    def attention(
        self, h: Float[Tensor, "B N D"], bias: Float[Tensor, "B K 1 N"] | None = None
    ) -> list[Float[Tensor, "B K N N"]]:
        """Attention maps of every layer, first to last; costs what the fused kernel saves, so only on request."""
        h = self.norm(h)
        maps = []
        for layer in self.layers:
            assert isinstance(layer, EncoderLayer)
            maps.append(layer.attention(h, bias))
            h = layer(h, bias)
        return maps
