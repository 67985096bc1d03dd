"""Contact sheets: many small pictures, a few words below each."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import ImageOps

from ctran.data.table import SampleTable
from ctran.inference.prediction import Prediction
from ctran.labels import LabelSpace, LabelState
from ctran.plots.style import GREY, INK, prediction_colour, save_figure, write

if TYPE_CHECKING:
    from ctran.folders.tagger import Tagger

SIDE = 224
LINE = 30
"""Characters of a line below a picture."""


def grid(count: int, height: float, title: str) -> tuple[Figure, list[Axes]]:
    """``count`` places, five a row; those of the last row that are left over stay empty."""
    columns = min(5, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(columns * 2.2, rows * height + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=8)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places:
        axes.set_axis_off()
    return figure, places[:count]


def contact_sheet(tagger: "Tagger", table: SampleTable, path: Path, *, count: int = 20) -> None:
    """The first ``count`` pictures with their five most probable labels; green where the annotation agrees, red where not."""
    save_figure(contact_figure(tagger, table, count=count), path)


def contact_figure(tagger: "Tagger", table: SampleTable, *, count: int = 20) -> Figure:
    """:func:`contact_sheet` before it is written."""
    title = (
        "the five most probable labels, in percent; green: annotated, red: predicted, yet annotated absent, grey: not checked"
    )
    figure, places = grid(min(count, len(table)), 3.2, title)
    truth = table.truth_for(tagger.labels)
    for number, axes in enumerate(places):
        picture, (codes,) = table.picture(number), truth.rows([number])
        axes.imshow(ImageOps.pad(picture, (SIDE, SIDE), color="white"))
        for place, (text, colour) in enumerate(_predicted_lines(tagger.predict(picture), tagger.labels, codes.tolist())):
            write(axes, place, text, colour)
    return figure


def _predicted_lines(prediction: Prediction, labels: LabelSpace, codes: list[int], *, count: int = 5) -> list[tuple[str, str]]:
    """Lines and their colours: the most probable labels of one picture, in percent.

    Args:
        codes: its truth, one :class:`~ctran.labels.LabelState` code a label.
    """
    present = set(prediction.labels)
    return [
        (f"{name} {100 * p:.0f}", prediction_colour(LabelState(codes[labels.index(name)]), name in present))
        for name, p in prediction.top(count).items()
    ]


def annotation_sheet(table: SampleTable, path: Path, *, count: int = 20, seed: int = 0) -> list[str]:
    """``count`` pictures drawn with ``seed``, with their annotated labels; in grey, after a question mark, those not checked.

    Returns the ids of the pictures.
    """
    rows = np.random.default_rng(seed).permutation(len(table))[:count].tolist()
    notes = [list(annotation(table.labels, codes)) for codes in table.truth.rows(rows).tolist()]
    longest = max(len(lines) for lines in notes)
    figure, places = grid(len(rows), 2.2 + 0.19 * (longest + 1), "annotated labels; grey: not annotated")
    for row, lines, axes in zip(rows, notes, places, strict=True):
        axes.imshow(ImageOps.pad(table.picture(row), (SIDE, SIDE), color="white"))
        for place, (text, colour) in enumerate(lines):
            write(axes, place, text, colour)
    save_figure(figure, path)
    return [table.ids[row] for row in rows]


def annotation(
    labels: LabelSpace, codes: list[int], *, positive_lines: int = 6, unknown_lines: int = 2
) -> Iterator[tuple[str, str]]:
    """Lines and their colours: the positive labels of one picture, targets first, then the unknown ones after a question mark.

    Args:
        codes: one :class:`~ctran.labels.LabelState` code a label.
        positive_lines, unknown_lines: at most; labels that do not fit are counted.
    """
    by_state = {state: [n for n, code in zip(labels.names, codes, strict=True) if code == state] for state in LabelState}
    extra = set(labels.extra)
    positive = sorted(by_state[LabelState.POSITIVE], key=lambda name: name in extra)
    for line in wrapped(positive, positive_lines) or ["(none)"]:
        yield line, INK
    for line in wrapped(by_state[LabelState.UNKNOWN], unknown_lines, "? "):
        yield line, GREY


def wrapped(names: list[str], lines: int, mark: str = "") -> list[str]:
    """Names, separated by commas, in at most ``lines`` lines; the last counts the names that did not fit."""
    text = [name if len(name) < LINE else name[: LINE - 2] + "…" for name in names]
    for kept in range(min(len(text), lines * LINE // 3), -1, -1):  # a name takes at least three characters
        left = len(text) - kept
        words = text[:kept] + [f"and {left} more" if kept else f"{left} labels"] * (left > 0)
        found = textwrap.wrap(mark + ", ".join(words), LINE) if words else []
        if len(found) <= lines:
            return found
    return []
