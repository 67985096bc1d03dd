"""Plots of a data set: how frequent its labels are, and which appear together."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from ctran.data.description import Pairs, kindred_order
from ctran.labels import LabelSpace
from ctran.plots.style import GOOD, GREY, HEAT, INK, plain, save_figure

MOST = 60
"""Labels whose names fit a picture."""


def frequency_bars(labels: LabelSpace, shares: Float[Tensor, " L"], path: Path, *, what: str) -> None:
    """Bars of the most frequent labels by name; beside them, where there are more, the curve of all.

    Args:
        shares: of the pictures, 0 to 1; labels with NaN are left out.
        what: the pictures, for the title.
    """
    order = [i for i in shares.nan_to_num(-1).argsort(descending=True, stable=True).tolist() if shares[i] >= 0]
    named = order[:MOST]
    wide = len(order) > len(named)
    figure = Figure(figsize=(11 if wide else 7, 0.9 + 0.17 * max(len(named), 12)), layout="constrained")
    extra = set(labels.extra)
    more = "; grey: extra labels" if extra else ""
    figure.suptitle(f"share of {what} that have the label, where annotated (%){more}", fontsize=9)
    bars, *curve = np.atleast_1d(figure.subplots(1, 1 + wide, width_ratios=[3, 2][: 1 + wide]))
    percent = [100 * float(shares[i]) for i in named]
    bars.barh(range(len(named)), percent, color=[GREY if labels.names[i] in extra else GOOD for i in named])
    bars.set_yticks(range(len(named)), [labels.names[i] for i in named], fontsize=7, parse_math=False)
    for place, value in enumerate(percent):
        bars.text(value, place, f" {value:.{1 if value >= 1 else 2}f}", fontsize=6, va="center", color=INK)
    bars.set(ylim=(len(named) - 0.4, -0.6))
    bars.set_title("the most frequent" if wide else "", fontsize=8)
    for axes in curve:
        seen = [100 * float(shares[i]) for i in order if shares[i] > 0]
        axes.plot(range(1, len(seen) + 1), seen, color=INK)
        axes.axvspan(1, len(named), color=GOOD, alpha=0.1, lw=0)
        axes.set(yscale="log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("rank of the label", fontsize=8)
        axes.set_title(f"all {len(seen)} that occur, of {len(labels)}", fontsize=8)
    for axes in (bars, *curve):
        plain(axes)
        axes.tick_params(labelsize=7)
    save_figure(figure, path)


def pair_map(labels: LabelSpace, pairs: Pairs, path: Path, *, what: str) -> None:
    """Heat map of P(column | row) over the most frequent labels, those that appear together side by side.

    Args:
        what: the pictures that were counted, for the title.
    """
    positives = pairs.both.diagonal()
    chosen = positives.argsort(descending=True, stable=True)[:MOST]
    chosen = chosen[kindred_order(Pairs(*(n[chosen][:, chosen] for n in (pairs.both, pairs.given, pairs.annotated))))]
    values = pairs.conditional[chosen][:, chosen].clone()
    values.fill_diagonal_(float("nan"))
    names = [labels.names[i] for i in chosen.tolist()]
    side = 2.4 + 0.17 * max(len(names), 12)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("#e8eaed")  # the diagonal, and rows without a positive
    image = axes.imshow(100 * values.numpy(), cmap=HEAT, norm=PowerNorm(0.5, 0, 100), interpolation="nearest")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=7, parse_math=False)
    few = f"the {len(names)} most frequent labels" if len(labels) > len(names) else "all labels"
    axes.set_title(
        f"of {what} that have the label of the row,\nthe share that has the label of the column (%); {few}", fontsize=9
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.5, ticks=[0, 1, 5, 10, 25, 50, 75, 100], pad=0.02)
    bar.ax.tick_params(labelsize=7)
    save_figure(figure, path)
