"""What ``image_first`` and ``latent`` cost in accuracy, and dropout of attention weights: ``docs/experiments/attention.md``.

    python -m benchmarks.attention [--worlds openclipart planted] [--seeds 0 1 2] [--runs runs/attention]

On the clip-art library mAP on test (mean over five draws of the known labels), on the planted world the divergence from the
exact posterior, each at 0, 50 and 75 % known. Every row is trained by the library from a shipped recipe; finished runs are
kept, interrupted ones resumed, and ``docs/experiments/attention.json`` and ``.md`` are written after each run. About
4 minutes a run on one core; the two worlds can run side by side (``OMP_NUM_THREADS=1``).
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from benchmarks import openclipart, planted
from benchmarks.planted_measure import measure
from benchmarks.studies import trained
from ctran.data.loading import Batch
from ctran.data.sources import planted as planted_source
from ctran.evaluation.evaluate import predict, report
from ctran.folders.tagger import Tagger
from ctran.masking import EvalSetting
from ctran.training.pipeline import build_tables
from ctran.training.recipe import Recipe, read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.run_folder import write_json

SHARES = (0.0, 0.5, 0.75)
OUT = Path(__file__).parents[1] / "docs" / "experiments" / "attention.json"

VARIANTS = {
    "full": [],
    "image_first": ["--model.attention=image_first"],
    "latent": ["--model.attention=latent"],
    "full, attention dropout": ["--model.attention_dropout=true"],
}
"""Row -> what differs from the recipe. The demo's has no dropout of attention weights, the planted one's has."""

ROWS = {"openclipart": tuple(VARIANTS), "planted": ("full", "image_first", "latent")}
RECIPES = {"openclipart": "demo", "planted": "planted"}


def recipe_for(world: str, variant: str, seed: int) -> Recipe:
    """A shipped recipe, one option changed."""
    return read_recipe(find_recipe(RECIPES[world]), [*VARIANTS[variant], "--seed", str(seed)])


class Clipart:
    """mAP on the test pictures of the clip-art library, in percent."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def measure(self, tagger: Tagger, recipe: Recipe) -> list[float]:
        """At each known share, mean over the draws; image tokens are computed once, as all runs share their backbone."""
        table = build_tables(recipe)["test"]
        self.batches = self.batches or openclipart.tokens_of(tagger, table)
        settings, rows = [EvalSetting(share) for share in SHARES], []
        for draw in range(openclipart.DRAWS):
            truth, said = predict(tagger.model, self.batches, table.ids, tagger.labels, settings, seed=draw)
            rows.append([s.hidden.mAP for s in report(truth, said, tagger.labels).settings])
        return np.mean(rows, axis=0).tolist()


class Planted:
    """Divergence from the exact posterior on test pictures of the planted world, nats a label."""

    def measure(self, tagger: Tagger, recipe: Recipe) -> list[float]:
        """At each known share."""
        table = planted_source.build(replace(recipe.data, train=1, val=1, test=planted.TEST["test"]))["test"]
        found = measure(tagger, table, planted_source.world(recipe.data))["settings"]
        return [row["kl"]["all"] for row in found if row["known_share"] in SHARES]


WORLDS = {"openclipart": Clipart, "planted": Planted}


def study(world: str, seeds: list[int], runs: Path) -> None:
    """All rows and seeds of one world; what is in the JSON file already is not repeated."""
    measuring = WORLDS[world]()
    for seed in seeds:
        for variant in ROWS[world]:
            if str(seed) in read().get(world, {}).get(variant, {}):
                continue
            recipe = recipe_for(world, variant, seed)
            tagger = trained(recipe, runs / world / f"{variant.replace(', ', '-').replace(' ', '-')}-{seed}")
            found = measuring.measure(tagger, recipe)
            with FileLock(runs / "lock"):
                results = read()
                results.setdefault(world, {}).setdefault(variant, {})[str(seed)] = found
                write_json(OUT, results)
                OUT.with_suffix(".md").write_text(page(results), encoding="utf-8")
            print(world, variant, seed, [round(x, 4) for x in found], flush=True)


def read() -> dict[str, Any]:
    """Figures so far."""
    return json.loads(OUT.read_text()) if OUT.exists() else {}


PAGE = """# What other attention costs in accuracy

Written by `python -m benchmarks.attention`; raw figures in [attention.json](attention.json). Speed and memory are in
[performance.md](../performance.md).

* `full`: the paper's, every token attends to every token.
* `image_first`: image tokens attend to image tokens only, label tokens to all. Nothing of an image depends on what is known
  of its labels, so a what-if costs the label tokens alone.
* `latent`: label tokens attend to image tokens and to 64 learned tokens, which attended to the labels before. Cost grows
  with the number of labels, not with its square.
* `full, attention dropout`: dropout of attention weights, as in the paper, which keeps PyTorch's fused kernel from running
  on CPU. The demo's recipe has dropout on the residuals alone.

Nothing else differs from the shipped recipe, and nothing was tuned for the variants. Means over the seeds with their
standard deviation; on the right the difference from `full`, seed by seed.

## Clip-art library (recipe `demo`)

mAP on test in percent (higher is better) at three shares of known labels, each the mean over five draws of them.

{openclipart}

## Planted world (recipe `planted`, 8,000 pictures)

Divergence from the exact posterior in nats a label (lower is better); 1,000 test pictures. The world has 7 labels, so here 64
latents are no bottleneck: this row shows whether two steps of attention reason as one does, not what is lost by squeezing
many labels through few latents. The clip-art library has 96.

{planted}
"""


def page(results: dict[str, Any]) -> str:
    """The document, from the figures so far."""
    return PAGE.format(**{world: table(results, world) if world in results else "Not run yet." for world in WORLDS})


def table(results: dict[str, Any], world: str) -> str:
    """Markdown: mean and standard deviation over the seeds, and the paired difference from ``full``."""
    form = ".1f" if world == "openclipart" else ".4f"
    heads = [f"{100 * s:g} %" for s in SHARES]
    lines = [f"| | {' | '.join(heads)} | seeds | less full: {' | '.join(heads)} |", "|---" * (2 * len(SHARES) + 2) + "|"]
    full = results[world]["full"]
    for variant, by_seed in results[world].items():
        values = np.array(list(by_seed.values()))
        paired = np.array([np.subtract(v, full[s]) for s, v in by_seed.items() if s in full])
        lines.append(f"| {variant} | {cells(values, form)} | {len(values)} | {cells(paired, '+' + form)} |")
    return "\n".join(lines)


def cells(values: np.ndarray, form: str) -> str:
    """Mean and standard deviation over the rows."""
    spread = values.std(axis=0, ddof=min(1, len(values) - 1))
    return " | ".join(f"{m:{form}} ± {s:{form.lstrip('+')}}" for m, s in zip(values.mean(axis=0), spread, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/attention"), help="where the run folders are")
    options = parser.parse_args()
    for world in options.worlds:
        study(world, options.seeds, options.runs)
        print(table(read(), world))


if __name__ == "__main__":
    main()
