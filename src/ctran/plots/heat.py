"""Heat maps: evidence for a label in a picture, attention, and influence of labels on each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from PIL import Image

from ctran.plots.style import save_figure

_AMBER = (255, 160, 20)
_STRONGEST = 30
"""Labels that a matrix of influences shows: those that change most, or change others most."""


def overlay(square: UInt8[np.ndarray, "S S 3"], weights: Float[np.ndarray, "h w"], *, opacity: float = 0.85) -> Image.Image:
    """The model's input, tinted amber where the weights are high; lines and shades show through.

    Args:
        square: the picture.
        weights: not negative, one a cell of the grid over it: the greatest is fully amber, the least not at all.
        opacity: of the tint, 0 to 1.
    """
    low, top = float(weights.min()), float(weights.max())
    scaled = (255 * (weights - low) / (top - low) if top > low else np.zeros_like(weights)).astype(np.uint8)
    grown = Image.fromarray(scaled).resize(square.shape[1::-1], Image.Resampling.BICUBIC)
    wash = opacity * np.asarray(grown, dtype=np.float32)[..., None] / 255
    pale = square * 0.75 + 64 * 0.75  # so that the tint shows on dark pictures too
    tinted = pale * (1 - wash) + pale * np.array(_AMBER, dtype=np.float32) / 255 * wash + 30 * wash * np.array([1, 0.6, 0])
    return Image.fromarray(tinted.clip(0, 255).astype(np.uint8))


def evidence_overlay(square: UInt8[np.ndarray, "S S 3"], heatmap: Float[np.ndarray, "h w"]) -> Image.Image:
    """:func:`overlay` of the evidence for a label: the greatest contribution is fully amber, negative ones not at all.

    Where a negative contribution is the largest by absolute value, amber is as much fainter.

    Args:
        heatmap: of :meth:`ctran.inference.session.Session.heatmap`.
    """
    positive = heatmap.clip(min=0)
    strongest = float(np.abs(heatmap).max())
    opacity = 0.85 * float(positive.max()) / strongest if strongest > 0 else 0.0
    return overlay(square, positive, opacity=opacity)


def heatmap_sheet(square: UInt8[np.ndarray, "S S 3"], maps: Mapping[str, Float[np.ndarray, "h w"]], path: Path) -> None:
    """A row a label: the model's input, then the evidence for the label."""
    figure = Figure(figsize=(5.4, 2.9 * len(maps)), layout="constrained")
    for (name, found), (left, right) in zip(maps.items(), figure.subplots(len(maps), 2, squeeze=False), strict=True):
        for axes, shown, title in (
            (left, square, name),
            (right, evidence_overlay(square, found), f"evidence for {name}: {found.sum():+.2f} log-odds"),
        ):
            axes.set_axis_off()
            axes.imshow(shown)
            axes.set_title(title, fontsize=8, parse_math=False)
    save_figure(figure, path)


def attention_sheet(
    square: UInt8[np.ndarray, "S S 3"], maps: Mapping[str, Float[np.ndarray, "layers h w"]], path: Path
) -> None:
    """A row a label: the model's input, then the attention of each layer. For research, not an explanation."""
    layers = len(next(iter(maps.values())))
    figure = Figure(figsize=(2.6 * (layers + 1), 2.9 * len(maps)), layout="constrained")
    for (name, found), row in zip(maps.items(), figure.subplots(len(maps), layers + 1, squeeze=False), strict=True):
        for number, axes in enumerate(row):
            axes.set_axis_off()
            axes.imshow(square if not number else overlay(square, found[number - 1]))
            share = name if not number else f"layer {number}: {100 * found[number - 1].sum():.1f} % on the picture"
            axes.set_title(share, fontsize=8, parse_math=False)
    save_figure(figure, path)


def influence_map(matrix: Float[np.ndarray, "L L"], names: Sequence[str], path: Path, *, most: int = _STRONGEST) -> None:
    """Rows: the known label. Columns: what becomes more likely (green) or less (red), in nats of log-odds."""
    strength = np.abs(matrix).sum(axis=0) + np.abs(matrix).sum(axis=1)
    chosen = np.sort(np.argsort(-strength, kind="stable")[:most])
    part, labels = matrix[np.ix_(chosen, chosen)], [names[int(i)] for i in chosen.tolist()]
    side = 0.24 * len(chosen)
    figure = Figure(figsize=(side + 3, side + 2.4), layout="constrained")
    axes = figure.subplots()
    top = max(float(np.abs(part).max()), 1e-6)
    drawn = axes.imshow(part, cmap="RdYlGn", norm=TwoSlopeNorm(0, -top, top))
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7, parse_math=False)
    axes.set_yticks(range(len(labels)), labels, fontsize=7, parse_math=False)
    axes.set(xlabel="then more likely (green) or less (red)", ylabel="known to be present instead of absent")
    figure.colorbar(drawn, shrink=0.5, label="mean change of log-odds (association, not cause)")
    save_figure(figure, path)
