"""One layer of the encoder (paper, Eq. 2-4)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ctran.errors import UserError
from ctran.model.attention import Source, attend


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

    def __init__(self, *, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise UserError(f"token width {dim} must be a multiple of the number of heads, got {num_heads} heads")
        self.num_heads, self.dropout = num_heads, dropout
        self.attention_dropout = dropout  # of the attention weights; 0 lets the fused kernel run on CPU
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.wide = nn.Linear(dim, dim)
        self.narrow = nn.Linear(dim, dim)
        self.norm_attention = nn.LayerNorm(dim)
        self.norm_network = nn.LayerNorm(dim)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def project(self, h: Float[Tensor, "R N D"], which: str = "qkv") -> Sequence[Float[Tensor, "R K N d"]]:
        """Queries, keys, values of each head: those that ``which`` names (``qkv``, ``q`` or ``kv``)."""
        dim = h.shape[2]
        rows = slice("qkv".index(which) * dim, ("qkv".index(which) + len(which)) * dim)
        parts = F.linear(h, self.qkv.weight[rows], self.qkv.bias[rows])
        parts = parts.unflatten(2, (len(which), self.num_heads, dim // self.num_heads))
        return parts.permute(2, 0, 3, 1, 4).unbind(0)

    def attend(self, q: Float[Tensor, "R K Q d"], sources: Sequence[Source]) -> Float[Tensor, "R K Q d"]:
        """Eq. 2 and 3, with dropout in training."""
        return attend(q, sources, self.attention_dropout if self.training else 0.0)

    def update(self, h: Float[Tensor, "R Q D"], mixed: Float[Tensor, "R K Q d"]) -> Float[Tensor, "R Q D"]:
        """The rest of the layer after attention, computed per token."""
        mixed = self.out(mixed.transpose(1, 2).flatten(2))
        h = self.norm_attention(h + self._drop(mixed))
        inner = self._drop(self.wide(h)).relu_()  # same result as ReLU before dropout, one tensor less to store
        return self.norm_network(h + self._drop(self.narrow(inner)))

    def _drop(self, values: Float[Tensor, "R N D"]) -> Float[Tensor, "R N D"]:
        """Dropout. On CPU torch's own stores a mask as large as the values for the backward pass; this one a byte each."""
        if not self.training or not self.dropout:
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.dropout)
        kept = torch.empty_like(values, dtype=torch.bool).bernoulli_(1 - self.dropout)
        return values * kept * (1 / (1 - self.dropout))

    def forward(self, h: Float[Tensor, "R N D"], bias: Tensor | float = 0.0) -> Float[Tensor, "R N D"]:
        """Update all tokens; each may attend to all. ``bias`` is added to the scores towards each token."""
        q, k, v = self.project(h)
        return self.update(h, self.attend(q, [Source(k, v, bias)]))
