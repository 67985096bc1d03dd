"""C-Tran against simple systems on the clip-art library: the figures of ``docs/experiments/openclipart.md``.

    python -m benchmarks.openclipart [--seeds 0 1 2] [--runs runs/openclipart]

Every row is trained by the library from a recipe; finished runs are kept, interrupted ones resumed, and
``docs/experiments/openclipart.json`` is written after each. About 10 minutes a seed on two cores.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ctran.data.loading import Batch, PictureSet, loader
from ctran.data.table import SampleTable
from ctran.evaluation import Report, predict, report
from ctran.inference.tagger import Tagger
from ctran.training.fit import fit, write_json
from ctran.training.pipeline import build_tables
from ctran.training.recipe import Recipe, find_recipe, read_recipe

SHARES = (0.0, 0.25, 0.5, 0.75)
OUT = Path(__file__).parents[1] / "docs" / "experiments" / "openclipart.json"

SYSTEMS: dict[str, tuple[str, list[str]]] = {
    "linear": ("linear", []),
    "no image": (
        "demo",
        ["--model.use_image=false", "--training.apart_epochs=0", "--training.learning_rate=3e-3", "--training.hide_image=0"],
    ),
    "C-Tran": ("demo", []),
    "no label mask training": (
        "demo",
        [
            *("--model.use_states=false", "--model.anchored=false", "--training.unknown_share=[1, 1]"),
            *("--training.apart_epochs=0", "--training.hide_image=0", "--training.epochs=8"),
        ],
    ),
}
"""Row -> shipped recipe and what differs from it. All use the same frozen features of the same three views."""

SUM = "linear + what labels change without image"


def recipe_for(system: str, seed: int) -> Recipe:
    """The recipe of one row and seed."""
    name, changes = SYSTEMS[system]
    return read_recipe(find_recipe(name), [*changes, "--seed", str(seed)])


def train(system: str, seed: int, runs: Path) -> Tagger:
    """Train one row, unless that was done before."""
    run = runs / f"{system.replace(' ', '-').lower()}-{seed}"
    if not (run / "metrics.json").exists():
        fit(recipe_for(system, seed), run, resume=(run / "recipe.yaml").exists())
    return Tagger.load(run)


@torch.inference_mode()
def tokens_of(tagger: Tagger, table: SampleTable) -> list[Batch]:
    """Image tokens of a split by the backbone that all rows share."""
    batches = loader(PictureSet(table, tagger.labels, tagger.preprocessing), batch_size=32)
    return [Batch(tagger.model.encode_images(b.inputs).tokens, b.truth, b.index) for b in batches]


def answers(tagger: Tagger, batches: list[Batch], table: SampleTable) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Truth; states and logits a known share."""
    return predict(tagger.model, batches, table.ids, SHARES, seed=0)


def summed(linear: list[Tensor], no_image: list[Tensor]) -> list[Tensor]:
    """Linear logit + (no-image logit - no-image logit when nothing is known)."""
    return [x + (z - no_image[0]) for x, z in zip(linear, no_image, strict=True)]


def row(found: Report) -> dict[str, Any]:
    """What the study keeps of a report: the table of every share."""
    return {f"{100 * s.known_share:g}": s.hidden.as_dict() for s in found.settings}


def study(seed: int, runs: Path, save: Callable[[str, int, str, dict[str, Any]], None]) -> None:
    """All rows of one seed, on val and test."""
    taggers = {system: train(system, seed, runs) for system in SYSTEMS}
    tables = build_tables(recipe_for("linear", seed))
    for split in ("val", "test"):
        batches = tokens_of(taggers["linear"], tables[split])
        logits: dict[str, list[Tensor]] = {}
        truth, states, _ = answers(taggers["linear"], batches, tables[split])
        for system, tagger in taggers.items():
            logits[system] = answers(tagger, batches, tables[split])[2]
            save(system, seed, split, row(report(truth, states, logits[system], SHARES, tagger.labels)))
        both = summed(logits["linear"], logits["no image"])
        save(SUM, seed, split, row(report(truth, states, both, SHARES, tables[split].labels)))


def summary(results: dict[str, Any], split: str) -> str:
    """Markdown: mean and standard deviation of mAP over the seeds."""
    lines = ["| | " + " | ".join(f"{100 * s:g} %" for s in SHARES) + " |", "|---|---|---|---|---|"]
    for system, seeds in results.items():
        found = np.array([[r[split][f"{100 * s:g}"]["mAP"] for s in SHARES] for r in seeds.values() if split in r])
        spread = found.std(axis=0, ddof=1) if len(found) > 1 else np.zeros(len(SHARES))
        cells = [f"{m:.1f} ± {s:.1f}" for m, s in zip(found.mean(axis=0), spread, strict=True)]
        lines.append(f"| {system} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the study and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/openclipart"))
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {}

    def save(system: str, seed: int, split: str, found: dict[str, Any]) -> None:
        results.setdefault(system, {}).setdefault(str(seed), {})[split] = found
        write_json(OUT, results)

    for seed in options.seeds:
        study(seed, options.runs, save)
    for split in ("val", "test"):
        print(f"\nmAP on {split}, labels not shown, mean and spread over {len(options.seeds)} seeds\n{summary(results, split)}")


if __name__ == "__main__":
    main()
