"""Finished runs beside a published table: which run belongs to which row, by its recipe, and its figures."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import msgspec

from ctran.paper.published import Column, PublishedTable
from ctran.training.recipe import Recipe, read_recipe, read_run
from ctran.training.recipe_files import find_recipe

_PRESET = "ctran"
"""The definitions of the metrics that the paper's figures were made with."""

_OWN_DEFINITIONS = (f"metrics by this library's definitions (ctran evaluate RUN --preset {_PRESET} has the paper's)",)
_NO_DIFFERENCE = {"seed", "data.check_counts"}
_NO_DIFFERENCE |= {f"training.{name}" for name in ("workers", "accelerator", "strategy", "deterministic", "heartbeat")}
"""Keys that set how a recipe is run, not what it trains."""


class Measured(msgspec.Struct, frozen=True):
    """One setting of a ``metrics.json``, as far as it is needed here; see :class:`ctran.evaluation.report.Setting`."""

    known_share: float
    known_groups: int | None
    reveal: str
    hidden: dict[str, float | None]
    published: dict[str, dict[str, float | None]]
    accuracy: dict[str, float | None]


class Metrics(msgspec.Struct, frozen=True):
    """A ``metrics.json``."""

    split: str
    settings: list[Measured]


@dataclass(frozen=True)
class Run:
    """A run folder that is finished.

    Args:
        folder: where it is.
        recipe: what was trained.
        settings: what was measured on the test pictures.
    """

    folder: Path
    recipe: Recipe
    settings: list[Measured]

    def value(self, column: Column) -> float | None:
        """Its figure for a published column, in percent; None where it was not measured."""
        if self.recipe.source != column.source:
            return None
        found = [s for s in self.settings if s.known_groups == column.known_groups]
        if column.known_groups is None:
            at_random = (s for s in found if s.reveal == "random" or not s.known_share)
            found = [s for s in at_random if abs(s.known_share - (column.known_share or 0)) < 1e-9]
        if not found:
            return None
        if column.metric == "accuracy":
            return next(iter(found[0].accuracy.values()), None)
        return found[0].published.get(_PRESET, found[0].hidden)[column.metric]

    @property
    def by_default_definitions(self) -> bool:
        """Whether its metrics are by this library's definitions, as the paper's were not measured."""
        return not all(_PRESET in s.published for s in self.settings)


def find_runs(root: Path) -> tuple[list[Run], list[str]]:
    """Finished runs below ``root``, by path; and why other run folders are left out, a sentence each."""
    runs, left_out = list[Run](), list[str]()
    for folder in sorted(path.parent for path in root.rglob("recipe.yaml")):
        metrics = folder / "metrics.json"
        if not metrics.is_file():
            left_out.append(f"{folder} is not finished (ctran train --resume {folder})")
            continue
        try:
            recipe, report = read_run(folder), msgspec.json.decode(metrics.read_bytes(), type=Metrics)
        except ValueError as error:  # RecipeError, and msgspec's
            left_out.append(f"{folder} cannot be read: {error}")
            continue
        if report.split == "test":
            runs.append(Run(folder, recipe, report.settings))
        else:
            left_out.append(f"{metrics} is of {report.split or 'an unnamed split'}, not of test (ctran evaluate {folder})")
    return runs, left_out


def variant(recipe: Recipe) -> tuple[str, ...]:
    """What decides which row a run belongs to, in words: data set, method, and what the method's options say."""
    return recipe.source, recipe.method, *recipe.model.published_as(recipe.training)


def _departures(recipe: Recipe, published: Recipe) -> tuple[str, ...]:
    """Keys in which a recipe differs from the one that makes the published row: ``training.loss asl instead of bce``.

    Options of a loss are compared with those of the same loss: its defaults, where the published row has another.
    """
    if type(recipe.loss) is not type(published.loss):
        training = dataclasses.replace(published.training, loss=recipe.training.loss)
        same_loss = dataclasses.replace(published, training=training, loss=type(recipe.loss)())
        other = f"training.loss {recipe.training.loss} instead of {published.training.loss}"
        return other, *_departures(recipe, same_loss)
    ours, printed = (_pictures_a_step(dict(_leaves(dataclasses.asdict(r)))) for r in (recipe, published))
    return tuple(
        f"{key} {_short(ours.get(key))} instead of {_short(printed.get(key))}"
        for key in dict.fromkeys([*ours, *printed])
        if ours.get(key) != printed.get(key)
        and key not in _NO_DIFFERENCE
        and not key.startswith("evaluation.")  # the columns show what was measured
        and not (key.startswith("data.") and isinstance(ours.get(key) or printed.get(key), Path))  # where the data are
    )


def _pictures_a_step(keys: dict[str, Any]) -> dict[str, Any]:
    """With the pictures of a step as batch size: on how many devices, and in how many parts, makes no difference."""
    parts = [f"training.{name}" for name in ("devices", "nodes", "accumulate_grad_batches")]
    size = math.prod(keys[part] for part in parts)
    return keys | {"training.batch_size": keys["training.batch_size"] * size} | dict.fromkeys(parts, 1)


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _short(value: Any) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Ours:
    """Runs of one recipe with different seeds, over the data sets of a table.

    Args:
        departs: how their recipe differs from the row's.
        runs: all of them.
    """

    departs: tuple[str, ...]
    runs: tuple[Run, ...]

    def _values(self, column: Column) -> list[float]:
        return [value for run in self.runs if (value := run.value(column)) is not None]

    def mean(self, column: Column) -> float | None:
        """Over the runs that measured it."""
        values = self._values(column)
        return mean(values) if values else None

    def spread(self, column: Column) -> float | None:
        """Standard deviation over the runs (of the sample, ``n - 1``); None for fewer than two."""
        values = self._values(column)
        return stdev(values) if len(values) > 1 else None


@dataclass
class Comparison:
    """A published table and the runs that belong to it.

    Args:
        table: as printed.
        ours: for each row the runs that belong to it, nearest recipe first.
        missing: commands for the rows and data sets without a run.
        left_out: why other run folders are not in the table, a sentence each.
    """

    table: PublishedTable
    ours: list[list[Ours]]
    missing: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def compare(table: PublishedTable, runs: Sequence[Run], left_out: Sequence[str] = ()) -> Comparison:
    """Sort runs into the rows of a table.

    A run belongs to a row whose recipe is of the same :func:`variant`. Other differences put it in a separate row beside the
    published one, and are named.
    """
    sources = list(dict.fromkeys(block.source for block in table.blocks))
    counts = any(column.metric != "accuracy" for column in table.columns)
    found = Comparison(table, [[] for _ in table.rows], left_out=list(left_out))
    placed = set[Path]()
    for row, ours in zip(table.rows, found.ours, strict=True):
        if row.recipe is None:
            continue
        groups: dict[tuple[str, ...], list[Run]] = {}
        for source in sources:
            name = row.recipe.format(source=source)
            wanted = read_recipe(find_recipe(name), ["--data.root", "."])
            belonging = [run for run in runs if variant(run.recipe) == variant(wanted)]
            if not belonging:
                found.missing.append(f"ctran train {name} --root FOLDER")
            for run in belonging:
                placed.add(run.folder)
                remarks = _OWN_DEFINITIONS if counts and run.by_default_definitions else ()
                groups.setdefault(_departures(run.recipe, wanted) + remarks, []).append(run)
        ours += [Ours(departs, tuple(groups[departs])) for departs in sorted(groups, key=len)]
    others = (run for run in runs if run.folder not in placed)
    found.left_out += [f"{run.folder} ({', '.join(variant(run.recipe))}) is not a row of this table" for run in others]
    return found
