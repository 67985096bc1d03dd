"""From a set's drawings to a folder that ``ctran train --source imagefolder`` reads."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.suite import near, sets
from benchmarks.suite.drawing import Drawing
from benchmarks.suite.held_out import held_out
from benchmarks.suite.keywords import singular
from benchmarks.suite.packages import Archive
from ctran import registry
from ctran.errors import UserError
from ctran.files import atomic, atomic_folder, write_text
from ctran.progress import track

LISTS = Path(__file__).parent / "splits"
"""The committed lists: which pictures of a package are used, and the split of each."""
MIN_TRAIN = 3
"""Positives among its training pictures that a label of a small subset needs."""


@dataclass(frozen=True)
class LabelSet:
    """A set, ready to be written: drawings with splits, and the labels in alphabetic order."""

    name: str
    drawings: list[Drawing]
    labels: list[str]

    def count(self, split: str) -> int:
        """Pictures of a split."""
        return sum(d.split == split for d in self.drawings)

    def subset(self, share: float) -> "LabelSet":
        """The set with a share of its training and validation pictures, as if fewer had been annotated; ``test`` is whole.

        The pictures of a smaller share are among those of a greater one. A label stays if it has ``MIN_TRAIN`` positives among
        the training pictures that are left.
        """
        if not 0 < share <= 1:
            raise UserError(f"share must be above 0 and at most 1, got {share:g}")
        if share == 1:
            return self
        kept = {d.id for d in self.drawings if d.split == "test"}
        for split in ("train", "val"):
            ranked = sorted((d.id for d in self.drawings if d.split == split), key=lambda i: near.order(f"subset {i}"))
            kept.update(ranked[: max(1, round(share * len(ranked)))])
        drawings = [d for d in self.drawings if d.id in kept]
        positives = Counter(k for d in drawings if d.split == "train" for k in d.keywords)
        return replace(self, drawings=drawings, labels=[k for k in self.labels if positives[k] >= MIN_TRAIN])


def find(name: str) -> ModuleType:
    """The module of a set; UserError with the nearest name where there is none."""
    return registry.find(sets, name)


def collect(name: str, archives: Sequence[Archive]) -> list[Drawing]:
    """The drawings of a set with at least one keyword, plurals as singulars."""
    drawings: list[Drawing] = find(name).collect(archives)
    spelled = singular([*(d.keywords for d in drawings), *(set(d.unknown) for d in drawings)])
    both = zip(drawings, spelled[: len(drawings)], spelled[len(drawings) :], strict=True)
    return [replace(d, keywords=own, unknown=frozenset(unknown - own)) for d, own, unknown in both if own]


def prepare(name: str, archives: Sequence[Archive]) -> LabelSet:
    """A set with the committed splits, or with those of its source.

    Raises:
        UserError: the packages lack a picture of the list.
    """
    if not archives:
        drawings = find(name).collect(archives)
        return LabelSet(name, drawings, sorted({k for d in drawings for k in d.keywords}))
    return with_list(name, collect(name, archives), read_list(name))


def with_list(name: str, drawings: Sequence[Drawing], listed: Mapping[str, str]) -> LabelSet:
    """The listed pictures, with the listed splits, and the labels that follow from these."""
    found = {d.id: d for d in drawings}
    if missing := sorted(listed.keys() - found.keys()):
        raise UserError(f"{LISTS / name}.csv: {len(missing)} pictures are not in the packages (first: {missing[0]!r})")
    chosen = [replace(found[one], split=split) for one, split in listed.items()]
    sides = {split: [d for d in chosen if d.split == split] for split in near.SPLITS}
    return LabelSet(name, chosen, near.finish(sides, near.choose_labels(chosen))[1])


def propose(name: str, drawings: Sequence[Drawing]) -> LabelSet:
    """A set with splits made from its pictures: near duplicates and families together, each label on all sides.

    Of drawings that give exactly the same picture only the first stays, as their labels may contradict each other.
    """
    different: dict[bytes, tuple[Drawing, np.ndarray]] = {}
    for d in track(drawings, f"{name}: comparing", len(drawings)):
        content, _ = d.picture()
        if content not in different:
            different[content] = (d, near.orientations(Image.open(io.BytesIO(content))))
    drawings = [d for d, _ in different.values()]
    hashes = np.stack([own for _, own in different.values()])
    kept = near.cut(drawings, near.cluster(hashes, [d.family for d in drawings], near.NEAR["icons"]))
    labels = near.choose_labels([d for d, _ in kept])
    sides, labels = near.finish(near.split([(d, c) for d, c in kept if d.keywords & set(labels)], labels), labels)
    return LabelSet(name, [replace(d, split=split) for split, ds in sides.items() for d in ds], labels)


# ------------------------------------------------------------------- files


def read_list(name: str) -> dict[str, str]:
    """Split of each picture of a set, by id."""
    with (LISTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return {row["picture"]: row["split"] for row in csv.DictReader(file)}


def write_list(label_set: LabelSet) -> Path:
    """Write the list of a set, sorted by id."""
    path = LISTS / f"{label_set.name}.csv"
    _write_csv(path, ["picture", "split"], sorted([d.id, d.split] for d in label_set.drawings))
    return path


def write(label_set: LabelSet, folder: Path, archives: Sequence[Archive]) -> dict[str, Any]:
    """Draw the pictures and write ``metadata.csv``, ``LICENCE`` and ``build.json``; the folder appears when it is complete.

    Returns:
        what ``build.json`` holds: origin, counts, and how to train on it.
    """
    if folder.exists():
        raise UserError(f"{folder} exists; give another --output, or delete it")
    report = describe(label_set)
    licences = [f"{label_set.name}: {report['licence']}", *(f"# {a.package.spec}\n\n{a.licence()}" for a in archives)]
    with atomic_folder(folder) as part:
        _write_pictures(label_set, part)
        write_text(part / "LICENCE", "\n\n".join(licences) + "\n")
        write_text(part / "build.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return report


def _write_pictures(label_set: LabelSet, folder: Path) -> None:
    """The pictures, and ``metadata.csv`` with a column of negatives where labels can be unknown."""
    (folder / "pictures").mkdir()
    holes = find(label_set.name).HOLES
    known = set(label_set.labels)
    rows = []
    for number, d in enumerate(track(label_set.drawings, f"{label_set.name}: drawing", len(label_set.drawings))):
        content, ending = d.picture()
        file = f"pictures/{number:05}{ending}"
        (folder / file).write_bytes(content)
        negatives = [_cell(known - d.keywords - d.unknown)] if holes else []
        rows.append([file, d.id, d.split, _cell(known & d.keywords), *negatives])
    _write_csv(folder / "metadata.csv", ["file_name", "id", "split", "labels", *(["negatives"] if holes else [])], rows)


def _cell(names: Iterable[str]) -> str:
    return json.dumps(sorted(names), ensure_ascii=False)


def describe(label_set: LabelSet) -> dict[str, Any]:
    """Origin and counts of a set."""
    module = find(label_set.name)
    known = set(label_set.labels)
    entries = len(label_set.drawings) * len(known)
    absent = "unknown" if module.HOLES else "negative"
    return {
        "set": label_set.name,
        "summary": module.SUMMARY,
        "kind": module.KIND,
        "held_out": label_set.name in held_out(),
        "licence": module.LICENCE,
        "packages": [package.spec for package in module.PACKAGES],
        "pictures": {split: label_set.count(split) for split in near.SPLITS},
        "labels": len(known),
        "positives_per_picture": round(sum(len(known & d.keywords) for d in label_set.drawings) / len(label_set.drawings), 2),
        "unknown_share": round(sum(len(known & d.unknown) for d in label_set.drawings) / entries, 4),
        "train": f"ctran train --source imagefolder --data.root FOLDER --data.absent {absent}",
    }


def _write_csv(path: Path, header: list[str], rows: Sequence[Sequence[Any]]) -> None:
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
