"""Methods beside each other: mAP against known labels, and against time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from ctran.plots.style import plain, save_figure

MARKERS = "osD^vP*X"


@dataclass(frozen=True)
class Compared:
    """One method.

    Args:
        mAP: in each setting, in percent.
        spread: standard deviation of ``mAP`` over seeds; NaN where there is one.
        milliseconds: of a picture, with the backbone.
    """

    name: str
    mAP: Sequence[float]
    spread: Sequence[float]
    milliseconds: float


def accuracy_by_known(methods: Sequence[Compared], known: Sequence[float], what: str, path: Path) -> None:
    """A curve a method over the known labels; bars are standard deviations over seeds.

    Args:
        methods: the best first.
        known: the amount in each setting, and ``what`` it is.
    """
    figure, axes = _figure()
    for number, method in enumerate(methods):
        line = "-" if number < 10 else "--"
        bars = np.nan_to_num(np.array(method.spread, dtype=float))
        axes.errorbar(known, method.mAP, yerr=bars, linestyle=line, capsize=2, linewidth=1.3, **_look(number, method))
    axes.set(xlabel=what, ylabel="mAP of the other labels, test (%)", xticks=list(known))
    _finish(figure, axes, path)


def accuracy_by_time(methods: Sequence[Compared], path: Path) -> None:
    """A point a method: mean mAP over the settings against the time of a picture, on a logarithmic axis."""
    figure, axes = _figure()
    for number, method in enumerate(methods):
        axes.plot(method.milliseconds, np.mean(method.mAP), linestyle="none", **_look(number, method))
    times = [method.milliseconds for method in methods]
    axes.set_xscale("log")
    axes.set_xlim(0.7 * min(times), 1.4 * max(times))
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="milliseconds a picture, with the backbone", ylabel="mAP, test, mean of the settings (%)")
    _finish(figure, axes, path)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    return figure, figure.subplots()


def _look(number: int, method: Compared) -> dict[str, Any]:
    """Colour, marker and name, the same in all pictures."""
    colour = mpl.colormaps["tab10"](number % 10)
    return {"color": colour, "marker": MARKERS[number % len(MARKERS)], "markersize": 5.5, "label": method.name}


def _finish(figure: Figure, axes: Axes, path: Path) -> None:
    plain(axes)
    axes.grid(alpha=0.25)
    legend = axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for text in legend.get_texts():
        text.set_parse_math(False)
    save_figure(figure, path)
