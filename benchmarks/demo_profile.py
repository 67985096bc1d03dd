"""Where the time of the demo goes."""

import contextlib
import cProfile
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Options, say
from ctran import plots
from ctran.data.cache_folder import default_root
from ctran.folders.tagger import Tagger
from ctran.training.evaluation import evaluate_run
from ctran.training.pipeline import build_tables, prepare
from ctran.training.recipe import Recipe, read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.run_folder import start
from ctran.training.trainer import assemble, quiet

TITLE = "The demo, and where its time goes"
TARGET = "The whole of `make demo` (train, evaluate, predict twice), phase by phase; there is no figure to reach."
COMMANDS = 4
"""That scripts/demo.sh starts."""
TOP = 12
"""Functions listed."""
SHORT = (
    *("--training.epochs", "2", "--model.weight_epochs", "1"),
    *("--training.feature_views", "1", "--training.augmentation", "none"),
)


class Phases:
    """Wall time by name, in the order in which names first came, and one profile over all of them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.profile = cProfile.Profile()

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time and profile a block."""
        begun = time.perf_counter()
        self.profile.enable()
        try:
            yield
        finally:
            self.profile.disable()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun
            say(f"  {name}: {self.seconds[name]:.1f} s")

    def functions(self) -> list[dict[str, Any]]:
        """The ``TOP`` functions by their own time."""
        stats: Any = pstats.Stats(self.profile)
        slowest = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:TOP]
        return [{"function": label(where), "calls": row[1], "own_s": row[2]} for where, row in slowest]


def label(where: tuple[str, int, str]) -> str:
    """Module file and function, without this machine's folders."""
    path, _, function = where
    return function if path == "~" else f"{'/'.join(Path(path).parts[-2:])}: {function}"


@contextlib.contextmanager
def own_cache(folder: Path) -> Iterator[None]:
    """Image tokens are made anew, in ``folder``."""
    before = os.environ.get("CTRAN_CACHE")
    os.environ["CTRAN_CACHE"] = str(folder)
    try:
        assert default_root() == folder
        yield
    finally:
        if before is None:
            del os.environ["CTRAN_CACHE"]
        else:
            os.environ["CTRAN_CACHE"] = before


def imports(repeats: int) -> float:
    """Seconds in which a fresh process has what ``ctran train`` imports; the median."""
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import ctran.cli.main, ctran.training.fit"], check=True)
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def demo(recipe: Recipe, run: Path, phases: Phases) -> None:
    """What ``scripts/demo.sh`` does, in this process, with the library's functions."""
    quiet()
    start(recipe, run, resume=False)
    with phases("tables"):
        tables = build_tables(recipe)
    with phases("model and image tokens"):
        parts = prepare(recipe, tables)
        trainer, task, _ = assemble(recipe, run, parts)
    with phases("training, with validation after each epoch"):
        trainer.fit(task, parts.train, parts.val)
    with phases("evaluation on test, twice (train, evaluate)"):
        tagger = Tagger.load(run)
        for _ in range(2):
            evaluate_run(tagger, tables["test"], recipe.evaluation)
    with phases("page of predictions"):
        plots.contact_sheet(tagger, tables["test"], run / "predictions.png")
    with phases("two predictions, model loaded for each"):
        picture = tables["test"].picture(0)
        for known in ({}, {tagger.labels.names[0]: True}):
            Tagger.load(run).predict(picture, known)


def measure(recipe: Recipe) -> dict[str, Any]:
    """All phases of a recipe's demo but the imports, in folders that are deleted afterwards."""
    phases = Phases()
    with tempfile.TemporaryDirectory() as folder, own_cache(Path(folder) / "cache"):
        demo(recipe, Path(folder) / "run", phases)
    return {"phases": phases.seconds, "functions": phases.functions()}


def run(options: Options) -> dict[str, Any]:
    """The demo's recipe; ``tiny`` shortens it."""
    start_up = {f"imports of {COMMANDS} commands": COMMANDS * imports(min(options.repeats, 3))}
    found = measure(read_recipe(find_recipe("auto"), ["--source", "openclipart", *(SHORT if options.tiny else ())]))
    return found | {"phases": start_up | found["phases"]}


def table(result: dict[str, Any]) -> str:
    phases = result["phases"]
    total = sum(phases.values())
    lines = ["| phase | seconds | share |", "|---|---|---|"]
    lines += [f"| {name} | {spent:.1f} | {100 * spent / total:.0f} % |" for name, spent in phases.items()]
    lines += [f"| **all** | {total:.1f} | 100 % |", "", "| function | calls | own time, s |", "|---|---|---|"]
    lines += [f"| `{row['function']}` | {row['calls']:,} | {row['own_s']:.1f} |" for row in result["functions"]]
    note = "One run, in one process, under Python's profiler, whose cost is in the times; image tokens are computed again."
    return "\n".join([*lines, "", note])
