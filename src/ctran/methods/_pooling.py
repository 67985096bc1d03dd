"""From image tokens to one vector a picture."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Pooling = Literal["mean", "max", "mean_max"]
"""Over the places: the mean of each channel, its greatest value, or both."""


def pool(tokens: Float[Tensor, "B P C"], pooling: Pooling) -> Float[Tensor, "B D"]:
    """One vector a picture, of :func:`pooled_width` values."""
    if pooling == "mean":
        return tokens.mean(dim=1)
    greatest = tokens.amax(dim=1)
    return greatest if pooling == "max" else torch.cat([tokens.mean(dim=1), greatest], dim=1)


def pooled_width(channels: int, pooling: Pooling) -> int:
    """Width of the vectors."""
    return 2 * channels if pooling == "mean_max" else channels
