"""Which places of a picture support a label: the input of a heat map, and the map."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ctran.constraints import implications
from ctran.errors import UserError
from ctran.images.transforms import Preprocessing
from ctran.labels import LabelSpace, LabelState
from ctran.model import Features, Method

_FINE = 12
"""Cells a side from which on a grid is fine enough for a map; for a coarser one the picture is enlarged."""

Picture = Callable[[], UInt8[Tensor, "H W 3"]]
"""Opens the picture of a session again, with all its pixels."""


def enlargement(model: Method, grid: tuple[int, int]) -> int:
    """By what factor the picture is enlarged for a map: 2 where the grid of image tokens is coarse, else 1.

    Backbones that are built for one input size (vision transformers) take no other.
    """
    return 2 if min(grid) < _FINE and not model.backbone.built_with else 1


def enlarged(
    preprocessing: Preprocessing, square: UInt8[Tensor, "S S 3"], picture: Picture | None, factor: int
) -> UInt8[Tensor, "D D 3"]:
    """The square at ``factor`` times its size, with the detail of the picture that it was made of.

    Args:
        picture: opens it; None enlarges the square itself, which adds no detail.

    Raises:
        UserError: the picture is not that of the square.
    """
    size = factor * preprocessing.size
    if factor == 1:
        return square
    if picture is None or preprocessing.fit == "cut":  # that fit never resizes: a larger square would show more of the scene
        return preprocessing.resized(square, size, size)
    pixels = picture()
    if not torch.equal(preprocessing.pixels(pixels), square):
        raise UserError("the picture has changed since it was opened; open it again")
    return replace(preprocessing, size=size).pixels(pixels)


def states_for(states: Int[Tensor, " L"], label: int, labels: LabelSpace) -> Int[Tensor, "1 L"]:
    """The known labels except one, with all that implications add; that one is unknown, as it is to be explained.

    Raises:
        UserError: the label is an extra one, which is not predicted.
    """
    if not labels.targets[label]:
        raise UserError(
            f"{labels.names[label]!r} is an extra label: the model does not predict it, so there is nothing to show"
        )
    others = states.clone()
    others[label] = LabelState.UNKNOWN
    known = implications.propagate_implications(others[None], labels.implied).clone()
    known[:, label] = LabelState.UNKNOWN
    return known


def heatmap(
    model: Method,
    images: Float[Tensor, "1 3 D D"],
    states: Int[Tensor, "1 L"],
    label: int,
    window: tuple[int, int] | None = None,
) -> Float[Tensor, "h w"]:
    """Contribution of each cell of the grid of image tokens to a label's logit, on the CPU.

    Args:
        window: for an enlarged picture, the grid at the normal size: contributions are weighted by :func:`_found_in`.
    """
    with torch.no_grad():
        features = model.encode_images(images)
        weights = 1.0 if window in (None, features.grid) else _found_in(model, features, states, label, window)
    found = model.contributions(features, states, label)[0].reshape(features.grid)
    return (found * weights).float().cpu()


def _found_in(
    model: Method, features: Features, states: Int[Tensor, "1 L"], label: int, window: tuple[int, int]
) -> Float[Tensor, "h w"]:
    """Probability of the label in parts of an enlarged picture, each predicted alone: mean over the parts that cover a place.

    The parts are three by three windows that overlap by half, each with as many image tokens as the normal picture. A token
    that resembles the label where its surroundings do not gets a low weight (``docs/experiments/heatmaps.md``).
    """
    (height, width), tokens = features.grid, features.tokens.unflatten(1, features.grid)
    places = [(y * (height - window[0]) // 2, x * (width - window[1]) // 2) for y in range(3) for x in range(3)]
    parts = [tokens[:, y : y + window[0], x : x + window[1]].flatten(1, 2) for y, x in places]
    logits = model.predict_labels(Features(torch.cat(parts), window), states.expand(len(parts), -1))[:, label]
    total, covered = tokens.new_zeros((2, height, width), dtype=torch.float32)
    for (y, x), probability in zip(places, logits.float().sigmoid(), strict=True):
        total[y : y + window[0], x : x + window[1]] += probability
        covered[y : y + window[0], x : x + window[1]] += 1
    return total / covered
