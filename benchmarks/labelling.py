"""How many clicks a folder of pictures costs, without labels at first: ``docs/experiments/labelling.md``.

    python -m benchmarks.labelling [--seeds 0 1 2] [--systems none linear linear-unsure quick quick-teaches]
    python -m benchmarks.labelling --click             how long a click of the studio takes
    python -m benchmarks.labelling --page-only

A simulated annotator who answers truthfully labels the training pictures of the clip-art library, with a model that is fitted
again after 50, 100, 200, 400, ... pictures. Image features are computed once (100 s) and kept in ``CTRAN_CACHE``. Each system
and seed is written to ``docs/experiments/labelling.json`` when it is done, and not repeated: up to two minutes of one core for
``quick``, half of one for ``linear``.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import labelling_click
from benchmarks.labelling_folder import Folder, recipe_of
from benchmarks.labelling_page import write_page
from benchmarks.labelling_simulate import SCREEN, SYSTEMS, Block, Habit, simulate
from ctran.training.pipeline import build_tables
from ctran.training.run_folder import write_json

OUT = Path(__file__).parents[1] / "docs" / "experiments" / "labelling.json"
EVERY = 25
"""Pictures between two points of a curve that are kept."""
LEVELS = (90, 95, 99)
PICTURES, CLICKS = 120, 100
"""Of the folder in which clicks are timed, half of it labelled; clicks of each kind."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--habit", choices=("missing", "top"), default="missing", help="which wrong label is set right first")
    parser.add_argument(
        "--growth", type=float, default=2.0, help="labelled pictures from one fit to the next (default: double)"
    )
    parser.add_argument("--source", default="openclipart", help="whose training pictures are labelled (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUT, help="where the figures go, and the page beside them")
    parser.add_argument("--click", action="store_true", help="measure the time of a click instead")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, write page and figure again")
    options = parser.parse_args(arguments)
    if options.click:
        table = build_tables(recipe_of("quick", ["--source", options.source]))["train"]
        found = labelling_click.measure(table, min(PICTURES, len(table)), min(PICTURES, len(table)) // 2, CLICKS)
        write_json(options.output, read(options.output) | {"click": found})
    elif not options.page_only:
        measure(
            Folder.of(["--source", options.source]),
            options.systems,
            options.seeds,
            options.habit,
            options.growth,
            options.output,
        )
    write_page(read(options.output), options.output)


def read(output: Path) -> dict[str, Any]:
    """Figures so far: ``rows``, and ``click``."""
    return json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}


def measure(
    folder: Folder, systems: Sequence[str], seeds: Sequence[int], habit: Habit, growth: float, output: Path, *, first: int = 50
) -> None:
    """Rows that are not there yet, all systems of a seed before the next."""
    for seed in seeds:
        for name in systems:
            key = {"system": name, "seed": seed, "habit": habit, "growth": growth}
            if any(row.items() >= key.items() for row in read(output).get("rows", [])):
                continue
            started = time.monotonic()
            blocks = list(simulate(folder, SYSTEMS[name], seed, first=first, growth=growth, habit=habit))
            row = key | row_of(blocks, folder)
            results = read(output)  # another process may have written meanwhile
            rows = [*results.get("rows", []), row]
            rows.sort(key=lambda each: (list(SYSTEMS).index(each["system"]), each["habit"], -each["growth"], each["seed"]))
            write_json(output, results | {"rows": rows})
            print(
                f"{name} seed {seed}: {row['clicks']:,} clicks, {row['to_f1']}, {time.monotonic() - started:.0f} s", flush=True
            )


def row_of(blocks: Sequence[Block], folder: Folder) -> dict[str, Any]:
    """What is kept of one labelling of the folder."""
    clicks = torch.cat([block.clicks for block in blocks])
    f1 = torch.cat([block.f1 for block in blocks])
    by_picture = (clicks + 1).cumsum(0)
    by_screen = clicks.cumsum(0) + _screens(blocks)
    kept = sorted({*range(EVERY - 1, len(clicks), EVERY), len(clicks) - 1})
    return {
        "pictures": len(folder),
        "labels": len(folder.labels),
        "positives": int(folder.positive.sum()),
        "corrections": int(clicks.sum()),
        "clicks": int(by_picture[-1]),
        "grid_clicks": int(by_screen[-1]),
        "to_f1": {str(level): _reached(f1, by_picture, level) for level in LEVELS},
        "grid_to_f1": {str(level): _reached(f1, by_screen, level) for level in LEVELS},
        "curve": [[n + 1, int(by_picture[n]), int(by_screen[n]), round(float(f1[n]), 2)] for n in kept],
        "models": [_model(block) for block in blocks],
    }


def _model(block: Block) -> dict[str, Any]:
    found = {
        "known": block.known,
        "pictures": len(block.clicks),
        "corrections": int(block.clicks.sum()),
        "wrong_at_first": int(block.wrong.sum()),
        "f1_before": block.f1_before,
        "threshold": block.threshold,
    }
    if block.fitted is None:
        return found
    return found | {
        "seconds": block.fitted.seconds,
        "processor_seconds": block.fitted.processor,
        "chosen": block.fitted.chosen,
    }


def _screens(blocks: Sequence[Block]) -> torch.Tensor:
    """Screens that are confirmed up to each picture, its own included: a screen has the predictions of one model."""
    found, before = [], 0
    for block in blocks:
        own = torch.arange(len(block.clicks)) // SCREEN + 1
        found.append(before + own)
        before += int(own[-1])
    return torch.cat(found)


def _reached(f1: torch.Tensor, clicks: torch.Tensor, level: float) -> int:
    """Clicks after which F1 never falls below the level again."""
    below = (f1 < level).nonzero()[:, 0]
    at = int(below[-1]) + 1 if len(below) else 0
    return int(clicks[at])


if __name__ == "__main__":
    main()
