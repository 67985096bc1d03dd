"""Trials on ``val``, trainings with every seed and rows of the first table: the clip art."""

import dataclasses
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison.entries import RATES, WORDNET, Entry
from benchmarks.comparison.results import Measured, Results, Trial
from ctran.data.table import SampleTable
from ctran.errors import UserError
from ctran.training import compare
from ctran.training.extend import FINISHED
from ctran.training.pipeline import build_tables
from ctran.training.recipe import Recipe, recipe_of
from ctran.training.recipe_files import Keys, find_recipe, read_keys
from ctran.training.run_folder import write_json

RECIPE = Path(__file__).with_name("recipe.yaml")
PROCESSOR = "processor_seconds.json"
"""File of a run folder: processor time of the training, of all threads; missing where a process was killed."""
OF_ALL = ("--source", "openclipart", "--evaluation.draws", "5")
"""Flags for the recipes as shipped, which the common recipe has already."""


@dataclass(frozen=True)
class Study:
    """Where and how a table is measured.

    Args:
        runs: folder of the run folders.
        wordnet: folder of WordNet's files.
        flags: of the recipe, for all entries.
    """

    runs: Path
    wordnet: Path
    flags: tuple[str, ...] = ()

    def keys(self, entry: Entry, *more: str) -> Keys:
        """Of an entry's recipe."""
        own = [word.replace(WORDNET, str(self.wordnet)) for word in entry.flags]
        if entry.recipe is not None:
            return read_keys(find_recipe(entry.recipe), [*OF_ALL, *self.flags, *own, *more])
        return read_keys(RECIPE, ["--method", entry.method, *self.flags, *own, *more])

    def recipe(self, entry: Entry, seed: int, train: SampleTable, results: Results, rate: float | None = None) -> Recipe:
        """The recipe of one training.

        Args:
            rate: learning rate of the head; None is the recipe's.
        """
        found = compare.recipe_for(entry.method, self.keys(entry), seed, train)
        if rate is not None:
            found = dataclasses.replace(found, training=dataclasses.replace(found.training, learning_rate=rate))
        if entry.weights_of is None:
            return found
        start = self.run(entry.weights_of, seed, results.chosen(entry.weights_of))
        if not (start / FINISHED).exists():
            raise UserError(f"{entry.name} has the weights of {entry.weights_of}: measure that first, in the same --runs")
        keys = self.keys(entry, "--training.init_from", str(start), "--training.epochs", "0")
        return compare.recipe_for(entry.method, keys, seed, train)

    def run(self, name: str, seed: int, rate: float | None) -> Path:
        """Run folder of one training."""
        rated = "" if rate is None else f"-{rate:g}"
        return self.runs / f"{re.sub('[^a-z0-9_]+', '-', name.lower())}-{seed}{rated}"

    def trained(self, recipe: Recipe, run: Path, tables: Mapping[str, SampleTable]) -> float | None:
        """Train what is left to train, without the evaluation on ``test``; returns seconds of processor time, if known."""
        if not (run / FINISHED).exists():
            compare.store_features(recipe, tables)
            before = _seconds(run) if run.exists() else 0.0
            (run / PROCESSOR).unlink(missing_ok=True)
            started = time.process_time()
            try:
                compare.train(recipe, run, evaluated=False)
            finally:  # an interrupted training goes on another time
                if before is not None and run.exists():
                    write_json(run / PROCESSOR, before + time.process_time() - started)
        return _seconds(run)


def _seconds(run: Path) -> float | None:
    return float(json.loads((run / PROCESSOR).read_text())) if (run / PROCESSOR).exists() else None


def about(study: Study) -> tuple[dict[str, SampleTable], dict[str, str], dict[str, float]]:
    """Tables, what all rows share, and the known shares."""
    keys = read_keys(RECIPE, list(study.flags))
    base = recipe_of(keys)
    tables = build_tables(base)
    settings = {str(s): float(100 * s.share if s.groups is None else s.groups) for s in base.evaluation.settings()}
    return tables, compare.about(keys, None, tables["test"]), settings


def measure(entries: Sequence[Entry], seeds: Sequence[int], study: Study, results: Results, path: Path) -> None:
    """Rows that are not there yet; ``path`` is written after each, and after each trial.

    An entry whose method cannot be trained is listed with the reason.
    """
    tables, shared, settings = about(study)
    results.check("clipart", shared, settings)
    for seed in seeds:
        for each in entries:
            if results.has(each.name, seed, each.flags):
                continue
            try:
                _measure(each, seed, tables, study, results, path)
                results.left_out.pop(each.name, None)
            except UserError as error:
                results.left_out[each.name] = str(error)
                print(f"{each.name}, seed {seed}: not compared: {error}", file=sys.stderr, flush=True)
            results.save(path)


def _measure(each: Entry, seed: int, tables: Mapping[str, SampleTable], study: Study, results: Results, path: Path) -> None:
    """One row, and the trials that it needs."""
    rate = None
    if each.is_tuned(study.recipe(each, 0, tables["train"], results)):
        rate = tune(each, tables, study, results, path)
    recipe = study.recipe(each, seed, tables["train"], results, rate)
    run = study.run(each.name, seed, rate)
    seconds = study.trained(recipe, run, tables)
    row = compare.row_of_run(recipe, tables, run, time.process_time)
    row = dataclasses.replace(row, method=each.name, training_seconds=seconds)
    results.rows = [m for m in results.rows if (m.row.method, m.row.seed) != (each.name, seed)]
    results.rows.append(Measured(row, each.flags, rate))
    shown = " / ".join(f"{value:.1f}" for value in row.figures["mAP"])
    taken = "unknown" if seconds is None else f"{seconds:.0f} s"
    print(f"{each.name}, seed {seed}, rate {rate}: mAP {shown}; training {taken}", flush=True)


def tune(each: Entry, tables: Mapping[str, SampleTable], study: Study, results: Results, path: Path) -> float:
    """The learning rate that is best on ``val`` with seed 0."""
    for rate in RATES:
        if results.score(each.name, rate) is None:
            run = study.run(each.name, 0, rate)
            seconds = study.trained(study.recipe(each, 0, tables["train"], results, rate), run, tables)
            score = json.loads((run / FINISHED).read_text())["best_val_score"]
            results.trials.append(Trial(each.name, rate, float("-inf") if score is None else score, seconds))
            results.save(path)
            print(f"{each.name}, rate {rate:g}: val {score}", flush=True)
    chosen = results.chosen(each.name)
    assert chosen is not None
    return chosen
