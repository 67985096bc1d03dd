"""What people would rather look at than read: learning curves, contact sheets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from ctran.data.table import SampleTable
    from ctran.inference.tagger import Tagger

INK, GOOD, BAD, PALE = "#22272e", "#1a7f4b", "#b3372f", "#c9d1d9"


def _save(figure: Figure, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=110, format="png")
    part.replace(path)
    plt.close(figure)


def learning_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Training loss, and mAP on ``val`` at each known share, over the epochs."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    loss, score = figure.subplots(1, 2)
    loss.plot(epochs, [row["train_loss"] for row in history], color=INK)
    loss.set(title="training loss (nats a label)", xlabel="epoch")
    for name in (k for k in history[0] if k.startswith("val_mAP_")):
        score.plot(epochs, [row[name] for row in history], label=f"{name.rpartition('_')[2]} % known")
    score.set(title="mAP on val, labels not shown (%)", xlabel="epoch")
    score.legend(frameon=False, fontsize=8)
    for axes in (loss, score):
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def contact_sheet(tagger: "Tagger", table: "SampleTable", path: Path, *, count: int = 20) -> None:
    """The first ``count`` pictures with their five most probable labels; green where the annotation agrees, red where not."""
    columns = 5
    rows = -(-min(count, len(table)) // columns)
    figure = Figure(figsize=(columns * 2.6, rows * 2.9), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    truth = table.truth_for(tagger.labels)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, axes in zip(range(min(count, len(table))), grid.flat, strict=False):
        picture = table.picture(number)
        axes.imshow(picture)
        best = list(tagger.predict(picture).probabilities.items())[:5]
        for place, (name, p) in enumerate(best):
            state = int(truth[number, tagger.labels.index(name)])
            colour = (PALE, BAD, GOOD)[state] if p >= 0.5 or state != 1 else INK
            text = f"{name} {100 * p:.0f}"
            axes.text(0, -0.1 - 0.11 * place, text, transform=axes.transAxes, fontsize=8, color=colour, va="top")
    _save(figure, path)
