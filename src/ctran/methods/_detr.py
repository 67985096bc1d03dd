"""Transformer layers as in DETR: position codes are added to queries and keys, not to values."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def sine_positions(grid: tuple[int, int], dim: int) -> Float[Tensor, "P D"]:
    r"""Sines and cosines, by turns, of each place's row in the first half of the channels, of its column in the second,

    .. math:: \sin(2\pi y / 10000^{2k/n}),\; \cos(2\pi y / 10000^{2k/n}), \qquad k = 0, \dots, n/2 - 1,\; n = D/2,

    with y from 1 / h in the first of h rows to 1 in the last, so that the codes of a grid of any size span the same range.

    Args:
        grid: ``(h, w)``; places go row by row, ``P = h w``.
        dim: ``D``, a multiple of 4.

    Source: Carion et al., End-to-end object detection with transformers, ECCV 2020.
    """
    half = dim // 2
    rate = 10000 ** (-2 * torch.arange(half // 2) / half)
    rows, columns = (
        torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
        for length in grid
        for angle in [2 * math.pi * torch.arange(1, length + 1)[:, None] / length * rate]
    )
    height, width = grid
    both = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=2)
    return both.reshape(height * width, dim)


class FeedForward(nn.Module):
    """Two linear layers with ReLU (or GELU) and dropout, a residual connection, then the norm."""

    def __init__(self, *, dim: int, hidden_dim: int, dropout: float, gelu: bool = False) -> None:
        super().__init__()
        self.activation = F.gelu if gelu else F.relu
        self.wide, self.narrow = nn.Linear(dim, hidden_dim), nn.Linear(hidden_dim, dim)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(dim)

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """The updated tokens."""
        return self.norm(x + self.dropout(self.narrow(self.dropout(self.activation(self.wide(x))))))


class Attention(nn.Module):
    """Multi-head attention with position codes, a residual connection, then the norm.

    Args:
        explicit: keep attention weights in training instead of computing them again in the backward pass, as the fused kernel
            does from rounded logarithms: with scores beyond about 1e7, its gradients overflow.
    """

    def __init__(self, *, dim: int, num_heads: int, dropout: float, explicit: bool = False) -> None:
        super().__init__()
        self.explicit = explicit
        self.mix = nn.MultiheadAttention(dim, num_heads, dropout, batch_first=True)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(dim)

    def forward(
        self,
        x: Float[Tensor, "B N D"],
        positions: Float[Tensor, "N D"],
        others: Float[Tensor, "B M D"] | None = None,
        other_positions: Float[Tensor, "M D"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """The updated tokens, which attend to others, or to each other where there are none."""
        values = x if others is None else others
        keys = values + (positions if other_positions is None else other_positions)
        mixed, _ = self.mix(x + positions, keys, values, need_weights=self.explicit and self.training)
        return self.norm(x + self.dropout(mixed))


class EncoderLayer(nn.Module):
    """Attention of tokens to each other, then a feed-forward network; ``gelu`` and ``explicit`` are of its parts."""

    def __init__(
        self, *, dim: int, num_heads: int, hidden_dim: int, dropout: float, gelu: bool = False, explicit: bool = False
    ) -> None:
        super().__init__()
        self.attention = Attention(dim=dim, num_heads=num_heads, dropout=dropout, explicit=explicit)
        self.network = FeedForward(dim=dim, hidden_dim=hidden_dim, dropout=dropout, gelu=gelu)

    def forward(self, x: Float[Tensor, "B P D"], positions: Float[Tensor, "P D"]) -> Float[Tensor, "B P D"]:
        """The updated tokens."""
        return self.network(self.attention(x, positions))
