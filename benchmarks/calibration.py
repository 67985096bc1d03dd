"""What ``ctran calibrate`` is worth on the clip-art library: ``docs/experiments/calibration.md``.

    python -m benchmarks.calibration [--seeds 0 1 2] [--runs runs]

Fitted on val, measured on test, at 0, 25, 50 and 75 % known, as the command does. Runs are shared with ``benchmarks.ask`` and
trained where they are missing. About 5 minutes a seed, and 5 for a run. Each seed is also fitted on 20 random parts of val of
67 pictures, as many as a small collection has.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.ask import clipart_run
from benchmarks.ask_page import spread
from ctran.analysis.calibrate import DRAWS, Quality, entries, fit_calibration, predict_shares, qualities
from ctran.analysis.fits import binned
from ctran.constraints.decode import Decoder
from ctran.evaluation.evaluate import SettingLogits
from ctran.labels import LabelSpace
from ctran.plots.style import BAD, GOOD, GREY, plain, save_figure
from ctran.training.pipeline import build_tables
from ctran.training.run_folder import write_json

SMALL, PARTS = 67, 20
"""Pictures in a small val, and how many of these are drawn."""
FIGURES = ("F1_half", "F1_own", "CF1_half", "CF1_own", "OF1_half", "OF1_own")
SHARES = (0.0, 0.25, 0.5, 0.75)
OUT = Path(__file__).parents[1] / "docs" / "experiments" / "calibration.json"


def study(seed: int, runs: Path) -> dict[str, Any]:
    """Fit on val, measure on test: figures a share, and how often labels are there by the probability that is said."""
    recipe, tagger, _ = clipart_run("demo", seed, runs)
    tables = build_tables(recipe)
    val = predict_shares(tagger, tables["val"], SHARES, 0, "val", DRAWS)
    fit = fit_calibration(*val, tagger.labels)
    fitted = fit.calibration
    truth, found = predict_shares(tagger, tables["test"], SHARES, 0, "test")
    rows = [asdict(row) for row in qualities(truth, found, tagger.labels, fitted)]
    for row, answer in zip(rows, found, strict=True):
        for name, decoder in (("before", Decoder(tagger.labels)), ("after", Decoder(tagger.labels, fitted))):
            p, positive, counts = entries(truth, answer, decoder)
            row[f"reliability_{name}"] = reliability(p[counts], positive[counts])
            present = answer.present(decoder).numpy()
            row["F1_own" if name == "after" else "F1_half"] = mean_f1(present, positive, counts)
    small = [asdict(row) for part in parts(*val) for row in small_val(part, (truth, found), tagger.labels)]
    kept = {"temperatures": [t.kept for t in fit.shares], "thresholds": fitted.thresholds, "reasons": fitted.reasons}
    return {"rows": rows, "kept": kept, "labels": len(tagger.labels), "small": small}


Outputs = tuple[Int[Tensor, "N L"], list[SettingLogits]]
"""Truth, and outputs at each share."""


def parts(truth: Int[Tensor, "N L"], found: Sequence[SettingLogits]) -> list[Outputs]:
    """Random parts of :data:`SMALL` pictures."""
    drawn = [torch.randperm(len(truth), generator=torch.Generator().manual_seed(seed))[:SMALL] for seed in range(PARTS)]
    return [
        (truth[at], [replace(o, states=o.states[at], logits=o.logits[at], shares=o.given[at]) for o in found]) for at in drawn
    ]


def small_val(part: Outputs, test: Outputs, labels: LabelSpace) -> list[Quality]:
    """Effect on test of a calibration by one part."""
    return qualities(*test, labels, fit_calibration(*part, labels).calibration)


def mean_f1(called: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> float:
    """Mean over the labels of F1, in percent; labels that are nowhere there are left out."""
    hits, all_called, there = (np.sum(each & counts, axis=0) for each in (called & positive, called, positive))
    return float(100 * (2 * hits / np.maximum(all_called + there, 1))[there > 0].mean())


def reliability(p: np.ndarray, positive: np.ndarray) -> list[list[float]]:
    """Of each bin of probabilities: number of entries, mean probability, share that is there."""
    counts, said, there = binned(p, positive).T
    held = np.maximum(counts, 1)
    return np.stack([counts, said / held, there / held], axis=1).tolist()


PAGE = """# Calibration

Written by `python -m benchmarks.calibration`; raw figures in [calibration.json](calibration.json). The recipe `demo` on the
clip-art library, fitted on val (461 pictures), measured on test (930); {runs}. Nothing was chosen on test.

`ctran calibrate RUN` does the same for one run and keeps what it found in the model folder: a temperature for each share of
known labels, by which logits are divided, and thresholds of labels, both only where they help pictures that were left out of
their fit ([how it decides](../howto/thresholds.md)). `ctran predict`, sessions, the server and exports use both; without them,
and with `--threshold 0.5`, a label counts as present from one half on, as in the paper.

![Reliability before and after](calibration.png)

## Temperatures

| known | temperature | ECE before, % | after, % | log-loss before, nats / 1000 entries | after |
|---|---|---|---|---|---|
{temperatures}

The expected calibration error is over single entries (picture, label), nearly all of which are absent and predicted so with
near certainty; so it is small in all. The figure shows what it hides: how often a label is there, among the entries that were
given about that probability.

## Thresholds

| known | mean F1 at one half | own thresholds | CF1 at one half | own thresholds | OF1 at one half | own thresholds |
|---|---|---|---|---|---|---|
{thresholds}

{refused}

Mean F1 is the mean over the labels of their F1, which thresholds are fitted for, on all shares together. OF1 is of all entries
as one. Where no threshold is kept, both columns are the same.

## A small val

Fitted on {parts} random parts of {small} pictures of val, as many as a small collection has, measured on all of test:
mean over the parts, and in brackets the worst change of a part from the figure before. Log-loss is in nats per 1,000 entries.

| known | parts with a temperature | ECE before, % | after, % | log-loss before | after | OF1 before | after |
|---|---|---|---|---|---|---|---|
{few}
"""


def write_page(found: dict[str, Any]) -> None:
    """``calibration.md`` and ``.png``."""
    runs = list(found.values())
    temperatures, thresholds, few = list[str](), list[str](), list[str]()
    for n, share in enumerate(SHARES):
        rows = [run["rows"][n] for run in runs]

        def cell(name: str, form: str, scale: float = 1, rows: list[dict[str, Any]] = rows) -> str:
            return spread([scale * row[name] for row in rows], form)

        head = f"| {100 * share:g} % | "
        cells = (cell("temperature", ".2f"), cell("ece_before", ".2f", 100), cell("ece_after", ".2f", 100))
        losses = (cell("nats_before", ".1f", 1000), cell("nats_after", ".1f", 1000))
        temperatures.append(head + " | ".join((*cells, *losses)) + " |")
        thresholds.append(head + " | ".join(cell(f, ".1f") for f in FIGURES) + " |")
        few.append(head + small_row([row for run in runs for row in run["small"][n :: len(SHARES)]]))
    names = ", ".join(found)
    tables = {"temperatures": temperatures, "thresholds": thresholds, "few": few, "refused": refused(found)}
    text = PAGE.format(
        runs=f"seed {names}" if len(runs) == 1 else f"mean and standard deviation over the seeds {names}",
        parts=PARTS,
        small=SMALL,
        **{name: "\n".join(lines) for name, lines in tables.items()},
    )
    OUT.with_suffix(".md").write_text(text, encoding="utf-8")
    draw(runs)


def small_row(rows: list[dict[str, Any]]) -> str:
    """Cells of one share over all parts of all seeds."""
    kept = np.mean([row["temperature"] != 1 for row in rows])
    cells = [f"{100 * kept:.0f} %"]
    for before, after, scale, form, worst in (
        ("ece_before", "ece_after", 100, ".2f", max),
        ("nats_before", "nats_after", 1000, ".1f", max),
        ("OF1_half", "OF1_own", 1, ".1f", min),
    ):
        values = scale * np.array([(row[before], row[after]) for row in rows])
        change = worst(values[:, 1] - values[:, 0])
        cells += [f"{values[:, 0].mean():{form}}", f"{values[:, 1].mean():{form}} ({change:+{form}})"]
    return " | ".join(cells) + " |"


def refused(found: dict[str, Any]) -> list[str]:
    """What was kept and refused, a list item a seed."""
    lines = list[str]()
    for seed, run in found.items():
        kept = f"seed {seed}: {len(run['kept']['thresholds'])} of {run['labels']} labels have their own threshold"
        lines.append("* " + "; ".join([kept, *run["kept"]["reasons"]]) + ".")
    return lines


def draw(runs: list[dict[str, Any]]) -> None:
    """How often a label is there against the probability that was said, all seeds together."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    for axes, n in zip(figure.subplots(1, 3, sharey=True), (0, 2, 3), strict=True):
        axes.plot([0, 1], [0, 1], color=GREY, lw=0.8)
        for name, colour in (("before", BAD), ("after", GOOD)):
            bins = np.array([run["rows"][n][f"reliability_{name}"] for run in runs])
            counts = bins[..., 0].sum(axis=0)
            at = counts >= 20
            said, there = ((bins[..., 0] * bins[..., k]).sum(axis=0)[at] / counts[at] for k in (1, 2))
            axes.plot(said, there, color=colour, marker="o", ms=3, label=name)
        axes.set(title=f"{100 * SHARES[n]:g} % known", xlabel="probability that is said", xlim=(0, 1), ylim=(0, 1))
        plain(axes)
    figure.axes[0].set_ylabel("share that is there")
    figure.axes[0].legend(frameon=False, fontsize=8)
    save_figure(figure, OUT.with_suffix(".png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are")
    options = parser.parse_args()
    found = json.loads(OUT.read_text()) if OUT.exists() else {}
    for seed in options.seeds:
        if str(seed) not in found:
            found[str(seed)] = study(seed, options.runs)
            write_json(OUT, found)
    write_page(found)


if __name__ == "__main__":
    main()
