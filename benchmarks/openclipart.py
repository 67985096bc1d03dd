"""C-Tran, anchored C-Tran (ours) and simple systems on the clip art: the figures of ``docs/experiments/openclipart.md``.

    python -m benchmarks.openclipart [--seeds 0 1 2] [--runs runs/openclipart]

Every row is trained by the library from a recipe; finished runs are kept, interrupted ones resumed, and
``docs/experiments/openclipart.json`` is written after each row, ``openclipart.png`` at the end. About 15 minutes a seed on
one core: two seeds can run side by side on two (``OMP_NUM_THREADS=1``). Each figure is the mean over five draws of the known
labels, the same for all rows.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.studies import trained
from ctran.data.loading import Batch, PictureSet, loader
from ctran.data.table import SampleTable
from ctran.evaluation.evaluate import SettingLogits, predict, report
from ctran.evaluation.report import Report
from ctran.folders.tagger import Tagger
from ctran.masking import EvalSetting
from ctran.training.pipeline import build_tables
from ctran.training.recipe import Recipe, read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.run_folder import write_json

SHARES = (0.0, 0.25, 0.5, 0.75)
DRAWS = 5
OUT = Path(__file__).parents[1] / "docs" / "experiments" / "openclipart.json"

NO_ANCHOR = [
    *("--model.soft_states=false", "--model.separate_epochs=0", "--model.anchor_folds=0", "--model.pooled_dropout=0"),
    *("--model.separate_learning_rate=null", "--model.anchor_learning_rate=null", "--model.anchor_weight_decay=null"),
]
PLAIN = [*NO_ANCHOR, "--model.anchor=false", "--training.epochs=20"]
NO_IMAGE = [
    *(*NO_ANCHOR, "--model.use_image=false", "--model.image_bias=0", "--model.token_dropout=0"),
    *("--training.augmentation=none", "--training.feature_views=1", "--training.learning_rate=3e-3"),
]
NO_MASKS = [
    *(*PLAIN, "--model.use_states=false", "--model.positive_bias=0"),
    *("--training.unknown_share=[1, 1]", "--training.all_unknown=0"),
]
SYSTEMS: dict[str, tuple[str, list[str]]] = {
    "linear": ("linear", []),
    "no image": ("demo", NO_IMAGE),
    "anchored C-Tran": ("demo", []),
    "no label mask training": ("demo", NO_MASKS),
    "C-Tran (the paper's model)": ("demo", PLAIN),
    "anchored C-Tran without soft states": ("demo", ["--model.soft_states=false"]),
    "anchored C-Tran without cross-fitting": ("demo", ["--model.anchor_folds=0"]),
}
"""Row -> shipped recipe and what differs from it. All that use the image have the same frozen features of three views."""

SUM = "linear + what labels change without image"


def recipe_for(system: str, seed: int) -> Recipe:
    """The recipe of one row and seed."""
    name, changes = SYSTEMS[system]
    return read_recipe(find_recipe(name), [*changes, "--seed", str(seed)])


def train(system: str, seed: int, runs: Path) -> Tagger:
    """Train one row, unless that was done before."""
    return trained(recipe_for(system, seed), runs / f"{system.replace(' ', '-').lower()}-{seed}")


@torch.inference_mode()
def tokens_of(tagger: Tagger, table: SampleTable) -> list[Batch]:
    """Image tokens of a split by the backbone that all rows share."""
    batches = loader(PictureSet(table, tagger.labels, tagger.preprocessing), batch_size=32)
    return [Batch(tagger.model.encode_images(b.images), b.truth, b.index) for b in batches]


def summed(linear: list[SettingLogits], no_image: list[SettingLogits]) -> list[SettingLogits]:
    """Linear logit + (no-image logit - no-image logit when nothing is known)."""
    untold = no_image[0].logits
    return [replace(z, logits=x.logits + z.logits - untold) for x, z in zip(linear, no_image, strict=True)]


def row(found: list[Report]) -> dict[str, Any]:
    """What the study keeps: the table of every share, mean over the draws of the known labels."""
    rows = {}
    for number, share in enumerate(SHARES):
        tables = [r.settings[number].hidden.as_dict() for r in found]
        rows[f"{100 * share:g}"] = {name: float(np.mean([t[name] for t in tables])) for name in tables[0]}
    return rows


def study(
    seed: int, runs: Path, batches: dict[str, list[Batch]], save: Callable[[str, int, str, dict[str, Any]], None]
) -> None:
    """All rows of one seed, on val and test."""
    tables = build_tables(recipe_for(next(iter(SYSTEMS)), seed))
    settings = [EvalSetting(share) for share in SHARES]
    answers: dict[tuple[str, str], list[tuple[Tensor, list[SettingLogits]]]] = {}
    for system in SYSTEMS:
        tagger = train(system, seed, runs)
        for split in ("val", "test"):
            if split not in batches:
                batches[split] = tokens_of(tagger, tables[split])
            ids = tables[split].ids
            found = [predict(tagger.model, batches[split], ids, tagger.labels, settings, seed=draw) for draw in range(DRAWS)]
            answers[system, split] = found
            save(system, seed, split, row([report(truth, said, tagger.labels) for truth, said in found]))
            if system == "no image":
                pairs = zip(answers["linear", split], found, strict=True)
                both = [(truth, summed(x, z)) for (truth, x), (_, z) in pairs]
                save(SUM, seed, split, row([report(truth, said, tagger.labels) for truth, said in both]))


def summary(results: dict[str, Any], split: str) -> str:
    """Markdown: mean and standard deviation of mAP over the seeds."""
    lines = ["| | " + " | ".join(f"{100 * s:g} %" for s in SHARES) + " |", "|---|---|---|---|---|"]
    lines += [f"| {system} | {cells(maps(results, system, split), '.1f')} |" for system in results]
    return "\n".join(lines)


def spread_of(values: np.ndarray) -> np.ndarray:
    """Standard deviation over the seeds (rows); 0 of one."""
    return values.std(axis=0, ddof=min(1, len(values) - 1))


def cells(values: np.ndarray, form: str) -> str:
    """Mean and spread over the seeds as cells of a table; one seed has no spread."""
    if len(values) == 1:
        return " | ".join(f"{value:{form}}" for value in values[0])
    return " | ".join(f"{m:{form}} ± {s:.1f}" for m, s in zip(values.mean(axis=0), spread_of(values), strict=True))


def maps(results: dict[str, Any], system: str, split: str) -> np.ndarray:
    """mAP, a row a seed, a column a share."""
    seeds = sorted(seed for seed, splits in results[system].items() if split in splits)
    return np.array([[results[system][n][split][f"{100 * s:g}"]["mAP"] for s in SHARES] for n in seeds])


def plot(results: dict[str, Any], path: Path) -> None:
    """mAP on test against the known share; the band is one standard deviation over the seeds."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    shown = {
        "anchored C-Tran": ("#1f5fa8", "o-"),
        SUM: ("#c76b00", "s--"),
        "linear": ("#22272e", "^--"),
        "no image": ("#1a7f4b", "v--"),
    }
    shown["C-Tran (the paper's model)"] = ("#8e44ad", "d-")
    shown["no label mask training"] = ("#8a8f98", "x:")
    x = [100 * s for s in SHARES]
    for system, (colour, style) in shown.items():
        found = maps(results, system, "test")
        mean, spread = found.mean(axis=0), spread_of(found)
        axes.plot(x, mean, style, color=colour, label=system)
        axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="labels that the model is given (%)", ylabel="mAP over the others (%)", xticks=x)
    axes.set_title("930 test drawings, 96 labels, mean of three runs", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def bars(results: dict[str, Any]) -> str:
    """Markdown: by how much anchored C-Tran leads on test, mean and standard deviation of the difference over the seeds."""
    lines = ["| anchored C-Tran less | " + " | ".join(f"{100 * s:g} %" for s in SHARES) + " |", "|---|---|---|---|---|"]
    for other in results:
        if other == "anchored C-Tran" or len(results[other]) < len(results["anchored C-Tran"]):
            continue
        lead = maps(results, "anchored C-Tran", "test") - maps(results, other, "test")
        lines.append(f"| {other} | {cells(lead, '+.1f')} |")
    return "\n".join(lines)


def main() -> None:
    """Run the study and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="none: only print and draw")
    parser.add_argument("--runs", type=Path, default=Path("runs/openclipart"))
    options = parser.parse_args()

    def save(system: str, seed: int, split: str, found: dict[str, Any]) -> None:
        results: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {}  # another process may have written
        results.setdefault(system, {}).setdefault(str(seed), {})[split] = found
        write_json(OUT, results)

    batches: dict[str, list[Batch]] = {}
    for seed in options.seeds:
        study(seed, options.runs, batches, save)
    results = json.loads(OUT.read_text())
    for split in ("val", "test"):
        print(f"\nmAP on {split}, labels not shown, mean and spread over the seeds\n{summary(results, split)}")
    print(f"\n{bars(results)}")
    plot(results, OUT.with_suffix(".png"))


if __name__ == "__main__":
    main()
