"""What ``ctran calibrate`` is worth on the clip-art library: ``docs/experiments/calibration.md``.

    python -m benchmarks.calibration [--seeds 0 1 2] [--runs runs]

Fitted on val, measured on test, at 0, 25, 50 and 75 % known, as the command does. Runs are shared with ``benchmarks.ask`` and
trained where they are missing. About a minute a seed, and 5 for a run.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.ask import clipart_run, spread
from ctran.analysis.calibrate import entries, fit_calibration, predict_shares, qualities
from ctran.analysis.fits import binned
from ctran.constraints.decode import Decoder
from ctran.labels import LabelState
from ctran.plots.style import BAD, GOOD, GREY, plain, save_figure
from ctran.training.pipeline import build_tables
from ctran.training.run_folder import write_json

FEW = 20
FIGURES = ("F1_half", "F1_own", "CF1_half", "CF1_own", "OF1_half", "OF1_own")
SHARES = (0.0, 0.25, 0.5, 0.75)
OUT = Path(__file__).parents[1] / "docs" / "experiments" / "calibration.json"


def study(seed: int, runs: Path) -> dict[str, Any]:
    """Fit on val, measure on test: figures a share, and how often labels are there by the probability that is said."""
    recipe, tagger, _ = clipart_run("demo", seed, runs)
    tables = build_tables(recipe)
    fitted = fit_calibration(*predict_shares(tagger, tables["val"], SHARES, 0, "val"), tagger.labels)
    truth, found = predict_shares(tagger, tables["test"], SHARES, 0, "test")
    rows = [asdict(row) for row in qualities(truth, found, tagger.labels, fitted)]
    for row, answer in zip(rows, found, strict=True):
        for name, decoder in (("before", Decoder(tagger.labels)), ("after", Decoder(tagger.labels, fitted))):
            p, positive, counts = entries(truth, answer, decoder)
            row[f"reliability_{name}"] = reliability(p[counts], positive[counts])
            present = answer.present(decoder).numpy()
            row["F1_own" if name == "after" else "F1_half"] = mean_f1(present, positive, counts)
    pictures = tables["val"].truth.counts()[LabelState.POSITIVE]
    few = sum(int(pictures[tagger.labels.index(name)]) < FEW for name in fitted.thresholds)
    return {"rows": rows, "thresholds": sorted(fitted.thresholds.values()), "few": few}


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
clip-art library, fitted on val (461 pictures), measured on test (930), mean and standard deviation over {seeds} seeds.

`ctran calibrate RUN` does the same for one run and keeps what it found in the model folder: a temperature for each share of
known labels, by which logits are divided, and a threshold for each label. `ctran predict`, sessions, the server and exports use
both; without them, and with `--threshold 0.5`, a label counts as present from one half on, as in the paper.

![Reliability before and after](calibration.png)

## Temperatures

| known | temperature | ECE before, % | after, % |
|---|---|---|---|
{temperatures}

The expected calibration error is over single entries (picture, label), nearly all of which are absent and predicted so with
near certainty; so it is small in all. The figure shows what it hides: how often a label is there, among the entries that were
given about that probability.

## Thresholds

| known | mean F1 at one half | own thresholds | CF1 at one half | own thresholds | OF1 at one half | own thresholds |
|---|---|---|---|---|---|---|
{thresholds}

Mean F1 is the mean over the labels of their F1. That is what thresholds are fitted for, on all shares together; the best
threshold of calibrated probabilities is half the F1 that it reaches, so it lies below one half (the median is {median:.2f}).
CF1 (of mean precision and mean recall) and OF1 (of all entries as one) have other best thresholds.

They are no gain for everything: they help where nothing is known, and harm where half of the labels are, whose middling
probabilities are predicted too high (the figure) and which one threshold a label does not follow. OF1 is always better off
with one half. Of the {labels} labels that have a threshold, {few} have fewer than 20 pictures in val, too few to place it well;
`fit_thresholds` therefore mixes counts with what the probabilities expect. `ctran calibrate --precision 0.9` asks for a
precision instead, and prints these figures for your own run before you rely on them.
"""


def write_page(found: dict[str, Any]) -> None:
    """``calibration.md`` and ``.png``."""
    runs = list(found.values())
    temperatures, thresholds = list[str](), list[str]()
    for n, share in enumerate(SHARES):
        rows = [run["rows"][n] for run in runs]

        def cell(name: str, form: str, scale: float = 1, rows: list[dict[str, Any]] = rows) -> str:
            return spread([scale * row[name] for row in rows], form)

        head = f"| {100 * share:g} % | "
        cells = (cell("temperature", ".2f"), cell("ece_before", ".2f", 100), cell("ece_after", ".2f", 100))
        temperatures.append(head + " | ".join(cells) + " |")
        thresholds.append(head + " | ".join(cell(f, ".1f") for f in FIGURES) + " |")
    median = float(np.median([t for run in runs for t in run["thresholds"]]))
    tables = {"temperatures": "\n".join(temperatures), "thresholds": "\n".join(thresholds)}
    tables |= {"labels": len(runs[0]["thresholds"]), "few": runs[0]["few"]}
    OUT.with_suffix(".md").write_text(PAGE.format(seeds=len(runs), median=median, **tables), encoding="utf-8")
    draw(runs)


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
