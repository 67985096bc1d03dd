"""Sinusoidal position embeddings of image tokens (ablation; the paper's tokens have none).

The released code has this option too, but it fails with an error, so there are no published figures.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ctran.errors import UserError

Positions = Literal["none", "sine"]


def sine(grid: tuple[int, int], dim: int) -> Float[Tensor, "P D"]:
    r"""Sines and cosines of each token's row in the first half of the channels, of its column in the second.

    .. math:: \sin(y / 10000^{4k/D}),\; \cos(y / 10000^{4k/D}), \qquad k = 0, \dots, D/4 - 1

    Args:
        grid: ``(h, w)``; tokens go row by row, ``P = h w``.
        dim: ``D``, a multiple of 4.

    Source: Vaswani et al., NeurIPS 2017, Sec. 3.5, for two axes as in Parmar et al., Image transformer, ICML 2018.
    """
    if dim % 4:
        raise UserError(f"sine positions need a token width that is a multiple of 4, got {dim}")
    rate = 10000 ** (-4 * torch.arange(dim // 4) / dim)
    axes = []
    for length in grid:
        angle = torch.arange(length)[:, None] * rate
        axes.append(torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1))  # (length, D / 2)
    rows, columns = axes
    height, width = grid
    both = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=2)
    return both.reshape(height * width, dim)
