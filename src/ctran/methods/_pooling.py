"""From image tokens to one vector a picture."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Pooling = Literal["mean", "mean_max"]
"""The mean over the places, or that and the greatest value of each channel."""


def pool(tokens: Float[Tensor, "B P C"], pooling: Pooling) -> Float[Tensor, "B D"]:
    """One vector a picture, of :func:`pooled_width` values."""
    mean = tokens.mean(dim=1)
    return mean if pooling == "mean" else torch.cat([mean, tokens.amax(dim=1)], dim=1)


def pooled_width(channels: int, pooling: Pooling) -> int:
    """Width of the vectors."""
    return channels if pooling == "mean" else 2 * channels
