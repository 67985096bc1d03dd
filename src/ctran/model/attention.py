"""Softmax attention over keys of several sources, some shared by several rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def repeat_rows(values: Tensor, rows: int | torch.SymInt) -> Tensor:
    """Repeat each of the ``G`` entries along the first axis ``rows / G`` times; the same tensor if ``G = rows``."""
    if not torch.compiler.is_exporting() and values.shape[0] == rows:
        return values
    return values[:, None].expand(-1, rows // values.shape[0], *values.shape[1:]).flatten(0, 1)


@dataclass(frozen=True)
class Source:
    """Tokens that can be attended to.

    Args:
        keys, values: of each head.
        bias: added to the attention scores towards each token.
        shared: each entry is shared by ``R / G`` consecutive rows; otherwise ``G = R``.
    """

    keys: Float[Tensor, "G K M d"]
    values: Float[Tensor, "G K M d"]
    bias: Float[Tensor, "R K Q M"] | Float[Tensor, "R K 1 M"] | float = 0.0
    shared: bool = False

    def saves(self, rows: int | torch.SymInt) -> bool:
        """Whether there are fewer entries than rows; assumed if shared in an exported graph."""
        return self.shared and (torch.compiler.is_exporting() or bool(len(self.keys) < rows))


def attend(q: Float[Tensor, "R K Q d"], sources: Sequence[Source], dropout: float = 0.0) -> Float[Tensor, "R K Q d"]:
    """Mean of the values of all sources, weighted by one softmax over all their keys.

    Uses PyTorch's fused kernel if each row has its own keys, or with dropout. Shared keys are not copied for each row:
    the softmax is then computed explicitly, which takes memory for ``R K Q M`` scores.

    Args:
        dropout: share of the attention weights set to zero (prevents the fused kernel on CPU).
    """
    rows = q.shape[0]
    if not dropout and any(s.saves(rows) for s in sources):
        shares = weights(q, sources).to(q.dtype).split([s.keys.shape[2] for s in sources], dim=3)
        first, *others = (_product(p, s.values, s.saves(rows)) for p, s in zip(shares, sources, strict=True))
        return sum(others, first)
    keys = _joined([repeat_rows(s.keys, rows) if s.shared else s.keys for s in sources])
    values = _joined([repeat_rows(s.values, rows) if s.shared else s.values for s in sources])
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=_mask(q, sources), dropout_p=dropout)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate along the third axis; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=2)


def weights(q: Float[Tensor, "R K Q d"], sources: Sequence[Source]) -> Float[Tensor, "R K Q N"]:
    """Attention weights (Eq. 2) over the ``N`` tokens of all sources; rows sum to 1."""
    q = q / q.shape[-1] ** 0.5
    scores = [_product(q, s.keys.transpose(2, 3), s.saves(q.shape[0])).float() + s.bias for s in sources]
    return torch.cat(scores, dim=3).softmax(dim=3)


def _product(left: Float[Tensor, "R K Q X"], right: Float[Tensor, "G K X Y"], shared: bool) -> Float[Tensor, "R K Q Y"]:
    """Matrix product of each row with its entry; if ``shared``, consecutive rows have one entry."""
    if not shared:
        return left @ right
    queries = left.shape[2]
    folded = left.unflatten(0, (right.shape[0], -1)).transpose(1, 2).flatten(2, 3)  # (G, K, S Q, X)
    return (folded @ right).unflatten(2, (-1, queries)).transpose(1, 2).flatten(0, 1)


def _mask(q: Float[Tensor, "R K Q d"], sources: Sequence[Source]) -> Tensor | None:
    """Attention mask for the fused kernel: the biases of all sources; None if all are 0."""
    if all(isinstance(s.bias, float) and not s.bias for s in sources):
        return None
    height = max(s.bias.shape[2] if isinstance(s.bias, Tensor) else 1 for s in sources)
    rows, heads = q.shape[:2]
    parts = []
    for source in sources:
        shape = (rows, heads, height, source.keys.shape[2])
        bias = source.bias
        parts.append(bias.expand(shape) if isinstance(bias, Tensor) else q.new_full(shape, bias))
    return torch.cat([p.to(q.dtype) for p in parts], dim=3)
