"""Colours of the plots, and how a plot and its numbers are written."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ctran.files import atomic
from ctran.labels import LabelState

INK, GOOD, BAD, GREY, BLUE = "#22272e", "#1a7f4b", "#b3372f", "#8a8f98", "#2a5db0"
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#bfe0cd", GOOD, INK])
"""White for the least, then greens, then ink for the most."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write as PNG in one step: readers see the old picture or the new one."""
    with atomic(path) as part:
        figure.savefig(part, dpi=110, format="png", bbox_inches="tight")


def save_rows(header: Sequence[str], rows: Iterable[Sequence[object]], path: Path) -> None:
    """Write as CSV in one step, UTF-8, a header first."""
    with atomic(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def plain(axes: Axes) -> None:
    """No frame above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)


def write(axes: Axes, line: int, text: str, colour: str) -> None:
    """One line of text below a picture, ``line`` lines down; never parsed as a formula."""
    axes.text(0, -0.05 - 0.1 * line, text, transform=axes.transAxes, fontsize=8, color=colour, va="top", parse_math=False)


def prediction_colour(state: LabelState, present: bool) -> str:
    """Colour of a prediction: green if annotated, else red where it is present and ink where not; grey where not annotated."""
    if state == LabelState.NEGATIVE:
        return BAD if present else INK
    return GOOD if state == LabelState.POSITIVE else GREY
