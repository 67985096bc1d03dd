"""Pictures with predictions without and with known labels (paper, appendix: qualitative examples)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from torch import Tensor

from ctran.analysis.predict_table import predict_table
from ctran.data.table import SampleTable
from ctran.labels import LabelSpace, LabelState
from ctran.masking import EvalSetting
from ctran.plots.sheets import annotation
from ctran.plots.style import BLUE, GREY, prediction_colour, save_figure, write

if TYPE_CHECKING:
    from ctran.folders.tagger import Tagger

ROWS = 8
"""Labels that fit one column."""
SIDE = 320
WORDS = [state.name.lower() for state in sorted(LabelState)]


@dataclass(frozen=True)
class Example:
    """One picture, and its predictions in two settings.

    Args:
        id: of the picture.
        picture: as the table holds it.
        truth: :class:`~ctran.labels.LabelState` codes.
        known: states of the second setting; in the first no label is known.
        regular, given: probabilities of the first and of the second setting, 0 to 1.
        regular_present, given_present: labels that are present, as ``predict`` decides.
    """

    id: str
    picture: Image.Image
    truth: Int[Tensor, " L"]
    known: Int[Tensor, " L"]
    regular: Float[Tensor, " L"]
    given: Float[Tensor, " L"]
    regular_present: Bool[Tensor, " L"]
    given_present: Bool[Tensor, " L"]


def make_examples(
    tagger: "Tagger", table: SampleTable, rows: Sequence[int], eval_setting: EvalSetting, *, seed: int = 0
) -> list[Example]:
    """Predict some pictures, with the known labels of an evaluation with this seed."""
    chosen = table.select(rows)
    truth, outputs = predict_table(tagger, chosen, [EvalSetting(), eval_setting], seed=seed, batch_size=8)
    known = outputs[1].states.cpu()
    probabilities = [output.probabilities(tagger.decoder) for output in outputs]
    present = [output.present(tagger.decoder) for output in outputs]
    columns = zip(chosen.ids, truth.cpu(), known, *probabilities, *present, strict=True)
    return [Example(name, chosen.picture(i), *rest) for i, (name, *rest) in enumerate(columns)]


def example_rows(examples: Sequence[Example], labels: LabelSpace, eval_setting: EvalSetting) -> list[list[object]]:
    """Rows of the CSV file: picture, setting, label, probability, present, state, truth; known and extra labels have no
    probability."""
    targets = labels.targets.tolist()
    rows: list[list[object]] = []
    for each in examples:
        nothing = torch.zeros_like(each.known)
        for setting, probabilities, present, known in (
            ("regular", each.regular, each.regular_present, nothing),
            (str(eval_setting), each.given, each.given_present, each.known),
        ):
            columns = (labels.names, targets, probabilities.tolist(), present.tolist(), known.tolist(), each.truth.tolist())
            for name, target, p, is_present, code, true in zip(*columns, strict=True):
                probability = f"{p:.6f}" if target and code == LabelState.UNKNOWN else ""
                rows.append([each.id, setting, name, probability, int(is_present), WORDS[code], WORDS[true]])
    return rows


def example_sheet(examples: Sequence[Example], labels: LabelSpace, eval_setting: EvalSetting, path: Path) -> None:
    """A row a picture: it and its annotated labels, predictions, known labels, predictions given these."""
    notes = [list(annotation(labels, e.truth.tolist(), positive_lines=2, unknown_lines=1)) for e in examples]
    height = 2.5 + 0.25 * max(len(lines) for lines in notes)
    figure = Figure(figsize=(11, height * len(examples) + 0.6), layout="constrained")
    figure.suptitle(
        "probabilities in percent; green: annotated, red: predicted, yet annotated absent, grey: not annotated, blue: known",
        fontsize=8,
    )
    grid = figure.subplots(len(examples), 4, squeeze=False, width_ratios=[1, 1.25, 1, 1.25])
    for each, lines, (picture, regular, known, given) in zip(examples, notes, grid, strict=True):
        for axes in (picture, regular, known, given):
            axes.set_axis_off()
        picture.set_anchor("NW")
        picture.imshow(ImageOps.pad(each.picture, (SIDE, SIDE), color="white"))
        for place, (text, colour) in enumerate(lines):
            write(picture, place, text, colour)
        _write_known(known, each, labels)
        for axes, probabilities, present, states, before in (
            (regular, each.regular, each.regular_present, torch.zeros_like(each.known), None),
            (given, each.given, each.given_present, each.known, each.regular),
        ):
            _bars(axes, probabilities, present, labels.targets & (states == LabelState.UNKNOWN), each.truth, labels, before)
    for axes, title in zip(grid[0], ("annotated", "no label known", f"known ({eval_setting})", "given these"), strict=True):
        axes.set_title(title, fontsize=9, loc="left")
    save_figure(figure, path)


def _bars(
    axes: Axes,
    probabilities: Float[Tensor, " L"],
    present: Bool[Tensor, " L"],
    shown: Bool[Tensor, " L"],
    truth: Int[Tensor, " L"],
    labels: LabelSpace,
    before: Float[Tensor, " L"] | None,
) -> None:
    """The most probable of the labels ``shown``: name, bar, percent, and its change from ``before``."""
    order = probabilities.argsort(descending=True, stable=True)
    order = order[shown[order]][:ROWS].tolist()
    for place, i in enumerate(order):
        p = float(probabilities[i])
        colour = prediction_colour(LabelState(int(truth[i])), bool(present[i]))
        axes.barh(place, p, height=0.8, color=colour, alpha=0.22, lw=0)
        axes.text(0.01, place, labels.names[i], fontsize=8, va="center", color=colour, parse_math=False)
        change = round(100 * p) - round(100 * float(before[i])) if before is not None else 0
        axes.text(1.12, place, f"{100 * p:.0f}", fontsize=8, va="center", ha="right", color=colour)
        axes.text(1.3, place, f"{change:+d}" if change else "", fontsize=7, va="center", ha="right", color=GREY)
    axes.set(xlim=(0, 1.3), ylim=(ROWS - 0.5, -0.5))


def _write_known(axes: Axes, each: Example, labels: LabelSpace) -> None:
    """The known labels: those present, then those absent, of these first the most probable without known labels."""
    likely = each.regular.argsort(descending=True, stable=True)
    absent = likely[each.known[likely] == LabelState.NEGATIVE].tolist()
    shown = _first(
        [f"+ {labels.names[i]}" for i in (each.known == LabelState.POSITIVE).nonzero()[:, 0]], ROWS - min(len(absent), 2)
    )
    shown += _first([f"– {labels.names[i]}" for i in absent], ROWS - len(shown))
    for place, text in enumerate(shown or ["(none)"]):
        axes.text(0, place, text, fontsize=8, va="center", color=BLUE, parse_math=False)
    axes.set(xlim=(0, 1), ylim=(ROWS - 0.5, -0.5))


def _first(lines: list[str], most: int) -> list[str]:
    """At most ``most`` lines; the last counts those left out."""
    left = len(lines) - most + 1
    return lines if left < 2 else [*lines[: most - 1], f"{lines[0][0]} {left} more"]
