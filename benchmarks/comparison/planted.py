"""The second table: log-loss above that of the exact posterior, which no method can beat, on a planted world."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from benchmarks.comparison.entries import Entry
from benchmarks.comparison.measure import RECIPE, Study
from benchmarks.comparison.results import Excess, Results
from benchmarks.planted_measure import scored
from ctran import registry
from ctran.data import sources
from ctran.data.loading import PictureSet
from ctran.data.planted_canvas import drawn
from ctran.data.planted_world import LabelWorld, kl
from ctran.data.table import SampleTable
from ctran.errors import UserError
from ctran.evaluation.entries import SettingLogits
from ctran.folders.tagger import Tagger
from ctran.labels import LabelState
from ctran.training import compare
from ctran.training.pipeline import build_tables
from ctran.training.recipe import Recipe, recipe_of
from ctran.training.recipe_files import read_keys

WORLD = "planted"
PICTURES = 2000
EPOCHS = 20
FLAGS = (
    *("--source", WORLD, "--data.train", str(PICTURES), "--data.val", "500", "--data.test", "1000"),
    *("--training.augmentation", "none", "--training.feature_views", "1"),
)
RATE = 1e-3
"""Learning rate of a method that the clip art has chosen none for."""
REFERENCES = ("exact, known labels ignored", "prevalence")


def measure(entries: Sequence[Entry], seeds: Sequence[int], study: Study, results: Results, path: Path) -> None:
    """Rows that are not there yet; ``path`` is written after each."""
    world_study = Study(study.runs / WORLD, study.wordnet, (*FLAGS, *study.flags))
    keys = read_keys(RECIPE, list(world_study.flags))
    base = recipe_of(keys)
    tables = build_tables(base)
    settings = {str(s): 100.0 * s.share for s in base.evaluation.settings()}
    results.check("planted", compare.about(keys, None, tables["test"]), settings)
    world = registry.find(sources, base.source).world(base.data)
    for seed in seeds:
        for each in entries:
            if results.has_excess(each.name, seed):
                continue
            try:
                recipe = recipe_for(each, seed, tables["train"], world_study, results)
                rate = recipe.training.learning_rate if recipe.training.epochs else None
                run = world_study.run(each.name, seed, rate)
                world_study.trained(recipe, run, tables)
                tagger = Tagger.load(run, "cpu")
                test = PictureSet(tables["test"], tagger.labels, tagger.preprocessing)
                _, outputs = compare.test_outputs(recipe, tagger, test)
                values = excess(outputs, tables["test"], world)
                results.planted.append(Excess(each.name, seed, values, each.flags))
                if not results.has_excess(REFERENCES[0], None):
                    results.planted += references(outputs, tables, world)
                print(f"{each.name}, seed {seed}, {WORLD}: {' / '.join(f'{v:.4f}' for v in values)}", flush=True)
            except UserError as error:
                print(f"{each.name}, seed {seed}, {WORLD}: not compared: {error}", file=sys.stderr, flush=True)
            results.save(path)


def recipe_for(each: Entry, seed: int, train: SampleTable, study: Study, results: Results) -> Recipe:
    """The recipe of an entry on the world, with the learning rate that the clip art has chosen."""
    plain = study.recipe(each, seed, train, results)
    if not each.is_tuned(plain):
        return plain
    rate = results.chosen(each.name)
    found = study.recipe(each, seed, train, results, RATE if rate is None else rate)
    return dataclasses.replace(found, training=dataclasses.replace(found.training, epochs=EPOCHS))


def excess(outputs: Sequence[SettingLogits], table: SampleTable, world: LabelWorld) -> list[float]:
    """Expected log-loss above the exact posterior's at each known share, mean over the draws."""
    return _means(outputs, table, world, lambda output: output.logits.double().sigmoid().numpy())


def references(outputs: Sequence[SettingLogits], tables: Mapping[str, SampleTable], world: LabelWorld) -> list[Excess]:
    """What is computed without training: the exact posterior of a reader who ignores known labels, and the prevalence."""
    table, train = tables["test"], tables["train"]
    prevalence = (train.truth.counts()[LabelState.POSITIVE].double() / len(train)).numpy()
    shown = drawn(table)
    blind = world.posterior(shown, np.zeros(shown.shape, dtype=np.int64))
    every = np.broadcast_to(prevalence, shown.shape)
    rows = [_means(outputs, table, world, lambda output, found=found: found) for found in (blind, every)]
    return [Excess(name, None, values) for name, values in zip(REFERENCES, rows, strict=True)]


def _means(
    outputs: Sequence[SettingLogits],
    table: SampleTable,
    world: LabelWorld,
    of: Callable[[SettingLogits], Float[np.ndarray, "N L"]],
) -> list[float]:
    """Mean divergence from the exact posterior of what ``of`` gives, in each setting."""
    shown, draws = drawn(table), dict[object, list[float]]()
    for output in outputs:
        states = output.states.long().numpy()
        error = kl(world.posterior(shown, states), of(output))
        draws.setdefault(output.setting, []).append(float(error[scored(states, table)].mean()))
    return [float(np.mean(each)) for each in draws.values()]
