"""Predictions for many rows of states in parts, to limit memory use."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.model.backbone import Features


def predict_in_parts(
    predict: Callable[[Features, Int[Tensor, "r L"]], Float[Tensor, "r L"]],
    features: Features,
    states: Int[Tensor, "R L"],
    at_once: int,
) -> Float[Tensor, "R L"]:
    """``predict(features, states)`` in chunks of whole images with at most ``at_once`` rows; an image with more is split."""
    each = features.rows_each(states)
    images, logits = max(1, at_once // each), []
    for first in range(0, len(features), images):
        some, rows = features[first : first + images], slice(first * each, (first + images) * each)
        logits += [predict(some, part) for part in states[rows].split(at_once)]
    return torch.cat(logits)
