"""The page of the suite's figures, from the rows that were measured."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite.held_out import held_out
from benchmarks.suite.measure import DRAWS, METHODS, RESULTS, SHARES, SIMPLE
from ctran.files import write_text

PAGE = RESULTS.with_suffix(".md")
T95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 10: 2.23}
"""Student's t, 97.5 %, by degrees of freedom."""
SUBSET = re.compile(r"-\d+$")
"""End of the name of a subset: ``-5`` for 5 % of the pictures."""
Row = Mapping[str, Any]
Figures = np.ndarray[Any, np.dtype[np.float64]]


def means(rows: Sequence[Row], name: str, method: str, figure: str) -> list[float]:
    """Mean over the seeds, at each share; empty where nothing was measured."""
    found = [row[figure] for row in rows if (row["set"], row["method"]) == (name, method)]
    return np.mean(found, axis=0).tolist() if found else []


def against(rows: Sequence[Row], name: str, figure: str, simple: Sequence[str]) -> tuple[Figures, Figures] | None:
    """A figure of auto and those of the simple methods, a row each; None where one side was not measured."""
    ours = means(rows, name, "auto", figure)
    others = [each for method in simple if (each := means(rows, name, method, figure))]
    return (np.array(ours), np.array(others)) if ours and others else None


def lead(rows: Sequence[Row], name: str, simple: Sequence[str] = SIMPLE) -> list[float]:
    """Mean mAP of auto less that of the best simple method, at each share."""
    found = against(rows, name, "mAP", simple)
    return [] if found is None else (found[0] - found[1].max(axis=0)).tolist()


def less_loss(rows: Sequence[Row], name: str) -> list[float]:
    """By how many percent the log-loss of auto differs from that of the best simple method, at each share."""
    found = against(rows, name, "log_loss", SIMPLE)
    return [] if found is None else (100 * (found[0] / found[1].min(axis=0) - 1)).tolist()


def more_error(rows: Sequence[Row], name: str) -> list[float]:
    """By how many percentage points the expected calibration error of auto differs from that of the best simple method."""
    found = against(rows, name, "ECE", SIMPLE)
    return [] if found is None else (found[0] - found[1].min(axis=0)).tolist()


def whole_sets(rows: Sequence[Row], name: str) -> list[str]:
    """Cells of a set's line: nats for all labels of a picture by each method, asked one after the other in random order.

    The next label is any of those that are left, so its expected loss is the mean of theirs; the sum over all labels is
    estimated by the mean of the measured shares.
    """
    labels = next(row["labels"] for row in rows if row["set"] == name)
    found = [means(rows, name, method, "log_loss") for method in METHODS]
    return [name, *(f"{labels * float(np.mean(each)):.2f}" if each else "" for each in found)]


def leads(found: Mapping[str, Sequence[float]], mean: str) -> list[list[str]]:
    """Lines of a table, a set each, and their mean."""
    lines = [[name, *(f"{v:+.1f}" for v in each)] for name, each in found.items()]
    if not found:
        return []
    return [*lines, [mean, *(interval([each[i] for each in found.values()]) for i in range(len(SHARES)))]]


def interval(values: Sequence[float]) -> str:
    """Mean and 95 % interval over sets."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return f"{mean:+.1f}"
    half = T95.get(count - 1, 1.96) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return f"{mean:+.1f} ± {half:.1f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


def page(rows: Sequence[Row]) -> str:
    """The whole page."""
    names = sorted({row["set"] for row in rows})
    shares = [f"{100 * share:.0f} %" for share in SHARES]
    lines = []
    for name in names:
        for method in METHODS:
            if found := means(rows, name, method, "mAP"):
                seeds = len([row for row in rows if (row["set"], row["method"]) == (name, method)])
                losses, errors = means(rows, name, method, "log_loss"), means(rows, name, method, "ECE")
                figures = [
                    *(f"{v:.1f}" for v in found),
                    *(f"{v:.4f}" for v in losses),
                    *(f"{v:.2f}" for v in errors),
                ]
                lines.append([name, f"**{method}**" if method not in SIMPLE else method, str(seeds), *figures])
    whole = [name for name in names if not SUBSET.search(name)]
    over = leads({name: found for name in whole if (found := lead(rows, name))}, "mean over the sets")
    loss = leads({name: found for name in whole if (found := less_loss(rows, name))}, "mean over the sets")
    small = leads({name: found for name in names if name not in whole and (found := lead(rows, name, SIMPLE[:1]))}, "mean")
    error = leads({name: found for name in whole if (found := more_error(rows, name))}, "mean over the sets")
    final = ", ".join(f"`{name}`" for name in held_out())
    head = ["set", "method", "seeds", *(f"{kind} {s}" for kind in ("mAP", "loss", "ECE") for s in shares)]
    return f"""# Methods on the suite

mAP, log-loss (nats a label) and expected calibration error (percent) of the labels that are not known, on the test
pictures of each set (`benchmarks/suite/README.md`), when 0 to 75 % are known; means of {DRAWS} draws of known labels
and of the seeds in the third column. All methods have the same stored image features: EfficientNet-lite0, frozen, with
the maps of its inner stages, their mean and greatest values, three views. `linear`, `sum`, `stack` and `pairwise` are the
simple methods, fitted in one step on a logistic regression; the recipe `quick` is `pairwise` on a kernel regression
(`model.kernel`) with a share of a fit of known labels without the image (`model.image_free`), and `auto` that with two C-Tran
encoders for what it leaves over. Names that end in a number are random subsets, of that many percent of the training and
validation pictures of a set. Nothing was chosen by a figure of this page; {final} were not used
for any choice.

{table(head, lines)}

`auto` less the best simple method of the same set and share, mAP (with a 95 % interval over sets):

{table(["set", *shares], over)}

The same for log-loss, in percent (less is better):

{table(["set", *shares], loss)}

The same for the expected calibration error, in percentage points (less is better):

{table(["set", *shares], error)}

Whole label sets in turn: negative log-likelihood of all labels of a picture in nats, when they become known one after the
other in random order, estimated by the number of labels times the mean loss over the four shares:

{table(["set", *METHODS], [whole_sets(rows, name) for name in whole])}

On small subsets, `auto` less `linear`, mAP:

{table(["set", *shares], small) if small else "Not measured yet."}

Command: `python -m benchmarks.suite measure --folder FOLDER --seeds 3` (rows that are in [suite.json](suite.json) are kept).
What was tried on `val` for these methods: [choices](suite-choices.md).
"""


def write(rows: Sequence[Row], path: Path = PAGE) -> Path:
    """Write the page."""
    write_text(path, page(rows))
    return path
