"""The page of the suite's figures, from the rows that were measured."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite.held_out import held_out
from benchmarks.suite.measure import DRAWS, METHODS, RESULTS, SHARES
from ctran.files import write_text

PAGE = RESULTS.with_suffix(".md")
SIMPLE = tuple(name for name in METHODS if name != "auto")
T95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 10: 2.23}
"""Student's t, 97.5 %, by degrees of freedom."""
Row = Mapping[str, Any]


def means(rows: Sequence[Row], name: str, method: str, figure: str) -> list[float]:
    """Mean over the seeds, at each share; empty where nothing was measured."""
    found = [row[figure] for row in rows if (row["set"], row["method"]) == (name, method)]
    return np.mean(found, axis=0).tolist() if found else []


def lead(rows: Sequence[Row], name: str) -> list[float]:
    """Mean mAP of auto less that of the best simple method, at each share."""
    ours = means(rows, name, "auto", "mAP")
    others = [each for method in SIMPLE if (each := means(rows, name, method, "mAP"))]
    return (np.array(ours) - np.max(others, axis=0)).tolist() if ours and others else []


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
                loss, error = means(rows, name, method, "log_loss"), means(rows, name, method, "ECE")
                figures = [
                    *(f"{v:.1f}" for v in found),
                    *(f"{v:.4f}" for v in loss),
                    *(f"{v:.2f}" for v in error),
                ]
                lines.append([name, f"**{method}**" if method == "auto" else method, str(seeds), *figures])
    leads = {name: found for name in names if (found := lead(rows, name))}
    over = [[name, *(f"{v:+.1f}" for v in found)] for name, found in leads.items()]
    if leads:
        over.append(["mean over the sets", *(interval([found[i] for found in leads.values()]) for i in range(len(SHARES)))])
    final = ", ".join(f"`{name}`" for name in held_out())
    head = ["set", "method", "seeds", *(f"{kind} {s}" for kind in ("mAP", "loss", "ECE") for s in shares)]
    return f"""# Methods on the suite

mAP, log-loss (nats a label) and expected calibration error (percent) of the labels that are not known, on the test
pictures of each set (`benchmarks/suite/README.md`), when 0 to 75 % are known; means of {DRAWS} draws of known labels
and of the seeds in the third column. All methods have the same stored image features: EfficientNet-lite0, frozen, with
the maps of its inner stages, their mean and greatest values, three views. `linear`, `sum`, `stack` and `pairwise` are
fitted in one step; `auto` is `pairwise` with two C-Tran encoders for what it leaves over. Nothing was chosen by a figure
of this page; {final} were not used for any choice.

{table(head, lines)}

`auto` less the best simple method of the same set and share, mAP (with a 95 % interval over sets):

{table(["set", *shares], over)}

Command: `python -m benchmarks.suite measure --folder FOLDER --seeds 3` (rows that are in [suite.json](suite.json) are kept).
"""


def write(rows: Sequence[Row], path: Path = PAGE) -> Path:
    """Write the page."""
    write_text(path, page(rows))
    return path
