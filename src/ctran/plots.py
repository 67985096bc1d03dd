"""What people would rather look at than read: learning curves, contact sheets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import ImageOps

from ctran.labels import LabelState

if TYPE_CHECKING:
    from ctran.data.table import SampleTable
    from ctran.inference.tagger import Tagger

INK, GOOD, BAD, GREY = "#22272e", "#1a7f4b", "#b3372f", "#8a8f98"


def _save(figure: Figure, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=110, format="png", bbox_inches="tight")
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
    count = min(count, len(table))
    columns = min(5, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(columns * 2.2, rows * 3.2 + 0.4), layout="constrained")
    figure.suptitle(
        "the five most probable labels, in percent; green: annotated, red: from 50 % on, yet not annotated, grey: not checked",
        fontsize=8,
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    truth = table.truth_for(tagger.labels)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, axes in zip(range(count), grid.flat, strict=False):
        picture = table.picture(number)
        axes.imshow(ImageOps.pad(picture, (224, 224), color="white"))
        for place, (name, p) in enumerate(tagger.predict(picture).top(5).items()):
            state = LabelState(int(truth[number, tagger.labels.index(name)]))
            wrong = BAD if p >= 0.5 else INK
            colour = {LabelState.POSITIVE: GOOD, LabelState.NEGATIVE: wrong, LabelState.UNKNOWN: GREY}[state]
            axes.text(
                0,
                -0.05 - 0.1 * place,
                f"{name} {100 * p:.0f}",
                transform=axes.transAxes,
                fontsize=8,
                color=colour,
                va="top",
                parse_math=False,
            )
    _save(figure, path)
