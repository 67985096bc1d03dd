"""Warnings about tables as a whole: labels that a split lacks, annotations that an implication changes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ctran.data.lists import among
from ctran.data.notices import SHOWN, few, notice, warn
from ctran.data.table import SampleTable
from ctran.labels import LabelState

_MEANING = {
    "train": "nothing can be learned about them",
    "val": "they do not count where the best epoch is chosen",
    "test": "they are left out of its figures",
}


def warn_of_tables(tables: Mapping[str, SampleTable]) -> None:
    """Warnings about the tables of a training, on stderr."""
    if any(table.unlisted for table in tables.values()):
        notice(
            "labels that are not listed are unknown to the model, and count as probably absent in training and as absent in "
            "figures (--absent unlisted); with --absent negative they are absent, with unknown nothing is assumed"
        )
    for split, names in lacking(tables).items():
        labels = tables[split].labels
        count = f"{len(names):,} of {len(labels):,} labels"
        warn(f"never positive in {split}: {few(names)} ({count}); {_MEANING.get(split, 'nothing is measured of them')}")
    for one in completed_by(tables)[:SHOWN]:
        child, parent = one.child, one.parent
        line = (
            f"implication {child!r} => {parent!r}: {one.completed:,} of {one.pictures:,} pictures with {child!r} do not list "
        )
        line += f"{parent!r}; there it counts as present"
        if one.contrary:
            warn(f"{line}, not as absent. Is the implication true of these data?")
        else:
            notice(line)


def lacking(tables: Mapping[str, SampleTable]) -> dict[str, list[str]]:
    """Split -> labels to predict that are positive in none of its pictures; splits with all labels are left out."""
    found: dict[str, list[str]] = {}
    seen: dict[int, str] = {}
    for split, table in tables.items():
        if seen.setdefault(id(table), split) != split:  # select_on: test gives one table two names
            continue
        never = (table.truth.counts()[LabelState.POSITIVE] == 0) & table.labels.targets
        if names := [table.labels.names[i] for i in never.nonzero().flatten().tolist()]:
            found[split] = names
    return found


@dataclass(frozen=True)
class Completed:
    """What one implication changes.

    Args:
        child, parent: names.
        pictures: in which the child is present.
        completed: of them, those that do not list the parent.
        contrary: whether unlisted labels are absent and other pictures list the parent: its absence may be meant.
    """

    child: str
    parent: str
    pictures: int
    completed: int
    contrary: bool


def completed_by(tables: Mapping[str, SampleTable]) -> list[Completed]:
    """Each implication that adds labels, and to how many pictures, most first; with those that follow from others."""
    counts: dict[tuple[str, str], list[int]] = {}
    for table in {id(t): t for t in tables.values()}.values():
        for pair, numbers in _counts(table):
            counts[pair] = [a + b for a, b in zip(counts.get(pair, [0, 0, 0]), numbers, strict=True)]
    absent = all(table.absent == LabelState.NEGATIVE for table in tables.values())
    found = [
        Completed(child, parent, pictures, completed, absent and listed > 0)
        for (child, parent), (pictures, completed, listed) in counts.items()
        if completed
    ]
    return sorted(found, key=lambda one: -one.completed)


def _counts(table: SampleTable) -> Iterator[tuple[tuple[str, str], list[int]]]:
    """Of each implication: pictures with the child, those of them that do not list the parent, pictures that list it."""
    labels = table.labels
    if not len(labels.implied):
        return
    listed, size = table.listed[0], len(labels)
    keys = np.unique(listed.keys(size))
    whole = np.unique(table.truth.positives.keys(size))
    for child, parent in labels.implied.tolist():
        rows = whole[whole % size == child] // size
        missing = int((~among(rows * size + parent, keys)).sum())
        yield (labels.names[child], labels.names[parent]), [len(rows), missing, int((keys % size == parent).sum())]
