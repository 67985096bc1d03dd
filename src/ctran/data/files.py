"""From annotation rows of a user's own files to checked sample tables."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value

from ctran.data.table import Broken, DataError, SampleTable
from ctran.images import BrokenImageError, open_image
from ctran.labels import LabelSpace, LabelState
from ctran.progress import track

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
ABSENT = {"negative": LabelState.NEGATIVE, "unknown": LabelState.UNKNOWN}


@dataclass(frozen=True)
class Row:
    """One annotated picture, as read: ``where`` (file and row) is what errors call it."""

    where: str
    path: Path
    id: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    split: str | None = None


def find_broken(rows: Sequence[Row]) -> dict[int, str]:
    """Decode every picture once; position of each that cannot be -> reason."""

    def check(row: Row) -> str:
        try:
            open_image(row.path)
        except BrokenImageError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        reasons = track(pool.map(check, rows), "checking pictures", len(rows))
        return {i: reason for i, reason in enumerate(reasons) if reason}


def assign_splits(rows: Sequence[Row]) -> list[str]:
    """The split that each row names; where none does, 70 / 10 / 20 % by the hash of the id.

    So a picture's split is the same on every machine and stays when others are added; only where that leaves a split empty
    (few pictures) is it the rank of the hash that counts.
    """
    named = [row.split for row in rows]
    if any(named):
        for row in rows:
            if row.split is None or row.split not in SPLIT_NAMES:
                raise DataError(f"{row.where}: split must be one of {', '.join(SPLIT_NAMES)}, got {row.split!r}")
        return [SPLIT_NAMES[name] for name in named if name]
    if len(rows) < 3:
        raise DataError(f"training needs at least 3 pictures (train, val, test), got {len(rows)}")
    hashes = [hashlib.sha256(row.id.encode()).digest() for row in rows]
    places = [int.from_bytes(h[:8], "big") / 2**64 for h in hashes]
    splits = ["test" if p < 0.2 else "val" if p < 0.3 else "train" for p in places]
    if len(set(splits)) == 3:
        return splits
    order = sorted(range(len(rows)), key=lambda i: hashes[i])
    test, val = max(1, round(0.2 * len(rows))), max(1, round(0.1 * len(rows)))
    splits = ["train"] * len(rows)
    for place, i in enumerate(order[: test + val]):
        splits[i] = "test" if place < test else "val"
    return splits


def to_tables(rows: Sequence[Row], *, absent: str, skip_broken: bool) -> dict[str, SampleTable]:
    """Checked tables over one label space (all names that occur, sorted).

    Raises:
        DataError: a picture that is broken or missing (unless ``skip_broken``, which lists it in the table), one that is
            listed twice, a label both positive and negative, or no label at all.
    """
    seen: dict[object, Row] = {}
    for row in rows:
        for key in (row.id, row.path.resolve()):
            if key in seen:
                raise DataError(f"{row.where}: {row.id!r} is listed twice, first in {seen[key].where}")
            seen[key] = row
        if both := set(row.positives) & set(row.negatives):
            raise DataError(f"{row.where}: {sorted(both)[0]!r} is both positive and negative")
    names = sorted({name for row in rows for name in (*row.positives, *row.negatives)})
    if not names:
        where = rows[0].where if rows else "the annotation"
        raise DataError(f"no label in any row (first: {where}); is the label column empty?")
    broken = find_broken(rows)
    if broken and not skip_broken:
        first = min(broken)
        more = f" ({len(broken)} such pictures in all)" if len(broken) > 1 else ""
        raise DataError(f"{rows[first].where}: {broken[first]}{more}. Mend it, or leave such out with --data.skip_broken true")
    splits = assign_splits(rows)
    labels = LabelSpace(tuple(names))
    features = Features(
        image=Image(decode=False), id=Value("string"), positives=List(Value("int32")), negatives=List(Value("int32"))
    )
    tables = {}
    for split in ("train", "val", "test"):
        chosen = [i for i, s in enumerate(splits) if s == split and i not in broken]
        if not chosen:
            raise DataError(f"no usable picture in split {split!r}; training needs train, val and test")
        columns = {
            "image": [{"bytes": None, "path": str(rows[i].path)} for i in chosen],
            "id": [rows[i].id for i in chosen],
            "positives": [[labels.index(n) for n in rows[i].positives] for i in chosen],
            "negatives": [[labels.index(n) for n in rows[i].negatives] for i in chosen],
        }
        left_out = tuple(Broken(rows[i].where, why) for i, why in broken.items() if splits[i] == split)
        tables[split] = SampleTable(Dataset.from_dict(columns, features=features), labels, ABSENT[absent], left_out)
    return tables
