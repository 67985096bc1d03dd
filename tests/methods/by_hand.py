"""Attention of one picture, query by query and head by head."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@torch.no_grad()
def attention(layer: nn.MultiheadAttention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """``[Q, D]``, ``[M, D]``, ``[M, D]`` to ``[Q, D]``."""
    q, k, v = (
        F.linear(x, w, b)
        for x, w, b in zip((queries, keys, values), layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True)
    )
    width, rows = layer.head_dim, []
    for query in q:
        heads = []
        for first in range(0, len(query), width):
            part = slice(first, first + width)
            scores = torch.stack([query[part] @ key[part] for key in k]) / width**0.5
            shares = torch.exp(scores - scores.max())
            heads.append(sum(share * value[part] for share, value in zip(shares / shares.sum(), v, strict=True)))
        rows.append(layer.out_proj(torch.cat(heads)))
    return torch.stack(rows)


@torch.no_grad()
def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    """Each row with mean 0 and variance 1, then scaled and moved."""
    rows = [(row - row.mean()) / (row.var(correction=0) + layer.eps).sqrt() for row in x]
    return torch.stack(rows) * layer.weight + layer.bias
