"""What readers of published data sets share: where a data set comes from, checks against the known counts, a disk cache."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
from datasets import Dataset, DatasetInfo, Features, Image, List, Value
from filelock import FileLock

from ctran.data.feature_cache import default_root, key_of
from ctran.data.notices import said as _said
from ctran.data.notices import say
from ctran.data.reading import OPTIONS
from ctran.data.table import DataError, SampleTable
from ctran.files import atomic_folder
from ctran.labels import LabelSpace, LabelState
from ctran.version import __version__

Selection = Literal["val", "test"]
"""Which pictures choose the best epoch: some held out of the official training set, or the test set as in the released code."""

FORMAT = 1
"""Of the tables on disk; raised whenever a reader changes what it makes of the same files."""

FEATURES = Features(
    image=Image(decode=False), id=Value("string"), positives=List(Value("int32")), negatives=List(Value("int32"))
)


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from.

    Args:
        where: the site that publishes it; None where it is not public.
        size: of what is to be downloaded.
        licence: of annotations and pictures.
        layout: the files that its official archives unpack to, one line each, below the folder given as ``--root``.
        note: what a user should know before the download.
    """

    where: str | None
    size: str
    licence: str
    layout: tuple[str, ...]
    note: str = ""

    def __str__(self) -> str:
        place = f"get it from {self.where}" if self.where else "it is not public"
        layout = "".join(f"\n    {line}" for line in self.layout)
        note = f"\n  {self.note}" if self.note else ""
        return f"  {place} ({self.size}; licence: {self.licence}){note}\n  expected below --root:{layout}"


def require(path: Path, name: str, origin: Origin) -> Path:
    """``path`` itself; DataError that says what was looked for and where data set ``name`` comes from if it is not there."""
    if not path.exists():
        raise DataError(f"{name}: {path} not found.\n{origin}")
    return path


def require_pictures(folder: Path, files: Iterable[str], name: str, origin: Origin) -> None:
    """DataError unless every one of ``files`` is there; no picture is opened, each folder is listed once.

    Args:
        folder: what the names start from.
        files: names, with folders in them where pictures lie deeper (``2014/05/a.jpg``).
        name: of the data set.
        origin: where to get what is missing.
    """
    by_folder: dict[str, list[str]] = {}
    for file in files:
        parent, _, last = file.rpartition("/")
        by_folder.setdefault(parent, []).append(last)
    for parent, names in by_folder.items():
        with os.scandir(require(folder / parent, name, origin)) as entries:
            there = {entry.name for entry in entries}
        if missing := [file for file in names if file not in there]:
            raise DataError(
                f"{name}: {len(missing):,} of {len(names):,} pictures are not in {folder / parent} (first: {missing[0]}).\n"
                f"{origin}"
            )


def check_counts(found: Mapping[str, int], known: Mapping[str, int], name: str, *, check: bool) -> None:
    """Compare what was read with what the data set is known to hold.

    Raises:
        DataError: they differ and ``check`` is set; otherwise a line on stderr says so.
    """
    wrong = [f"{key}: expected {n:,}, found {found.get(key, 0):,}" for key, n in known.items() if found.get(key, 0) != n]
    if not wrong:
        return
    message = f"{name}: {'; '.join(wrong)}"
    if check:
        raise DataError(f"{message}. An incomplete download? To use what is there: --data.check_counts false")
    say(f"warning: {message}")


def by_hash(ids: Sequence[str]) -> list[int]:
    """Positions of ``ids`` in the order of their hashes: a shuffle that is the same on every machine."""
    return sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode()).digest())


def hold_out(ids: Sequence[str], count: int) -> tuple[list[int], list[int]]:
    """Positions of the training pictures, and of ``count`` held out for validation: those whose ids have the least hashes.

    Both lists keep the order of ``ids``.

    Raises:
        DataError: nothing would be left on one side.
    """
    if not 0 < count < len(ids):
        raise DataError(f"--data.val must hold out between 1 and {len(ids) - 1} training pictures, got {count}")
    order = by_hash(ids)
    return sorted(order[count:]), sorted(order[:count])


def make_table(
    paths: Sequence[Path],
    ids: Sequence[str],
    positives: Sequence[Sequence[int]],
    labels: LabelSpace,
    *,
    negatives: Sequence[Sequence[int]] | None = None,
    absent: LabelState = LabelState.NEGATIVE,
) -> SampleTable:
    """A table of picture files; ``positives`` and ``negatives`` hold label indices, one list a picture."""
    columns = {
        "image": [{"bytes": None, "path": str(path)} for path in paths],
        "id": list(ids),
        "positives": list(positives),
        "negatives": [[] for _ in ids] if negatives is None else list(negatives),
    }
    return SampleTable(Dataset.from_dict(columns, features=FEATURES), labels, absent)


def with_selection(train: SampleTable, test: SampleTable, *, select_on: Selection, val: int) -> dict[str, SampleTable]:
    """Three splits of a data set that publishes two: ``val`` is held out of ``train``, or is ``test`` (``select_on: test``)."""
    if select_on == "test":
        return {"train": train, "val": test, "test": test}
    kept, held = hold_out(train.ids, val)
    return {"train": train.select(kept), "val": train.select(held), "test": test}


def cached(
    name: str,
    config: Any,
    inputs: Sequence[Path],
    make: Callable[[], dict[str, SampleTable]],
    *,
    same: Callable[[dict[str, SampleTable]], tuple[Any, Sequence[Path]]] | None = None,
) -> dict[str, SampleTable]:
    """The tables that ``make`` builds, from disk where they were built before.

    The key holds :data:`FORMAT`, the source's options and path, size and time of every one of ``inputs`` (files, and folders
    whose time changes when pictures come or go), so changed files are read anew.

    Args:
        name: of the source; the first part of the cache folder's name.
        config: the source's ``Config``.
        inputs: what ``make`` reads; all exist.
        make: reads, checks and builds.
        same: from the tables, other options and inputs that give the same tables, so they are found by those too.
    """
    _said.set([])
    folder = _folder(name, config, inputs)
    with _lock(folder):  # of several processes one builds
        if not folder.is_dir():
            tables = make()
            _store(tables, folder)
            if same is not None:
                other = _folder(name, *same(tables))
                with _lock(other):
                    if not other.is_dir():
                        _store(tables, other)
            return tables
    for message in json.loads((folder / "said.json").read_text()):
        say(message)
    return _load(folder)


def _folder(name: str, config: Any, inputs: Sequence[Path]) -> Path:
    stats = [(str(p.absolute()), p.stat().st_size, p.stat().st_mtime_ns) for p in inputs]
    options = {key: value for key, value in dataclasses.asdict(config).items() if key not in OPTIONS}
    parts = {"ctran": __version__, "format": FORMAT, "config": options, "inputs": stats}
    return default_root() / "tables" / f"{name}-{key_of(parts)}"


def _lock(folder: Path) -> FileLock:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.with_name(f"{folder.name}.lock"))


def _store(tables: dict[str, SampleTable], folder: Path) -> None:
    with atomic_folder(folder) as part:
        _write_tables(tables, part)


def _write_tables(tables: dict[str, SampleTable], part: Path) -> None:
    splits: dict[str, dict[str, Any]] = {}
    for split, table in tables.items():
        same = next((s for s in splits if tables[s] is table), None)  # select_on: test gives one table two names
        if same is None:
            pq.write_table(table.rows.with_format("arrow")[:], part / f"{split}.parquet")
            table.labels.save(part / "labels.json")
        splits[split] = {"file": f"{same or split}.parquet", "absent": int(table.absent)}
    (part / "splits.json").write_text(json.dumps(splits))
    (part / "said.json").write_text(json.dumps(_said.get()))


def _load(folder: Path) -> dict[str, SampleTable]:
    labels = LabelSpace.load(folder / "labels.json")
    tables: dict[str, SampleTable] = {}
    by_file: dict[str, SampleTable] = {}
    for split, entry in json.loads((folder / "splits.json").read_text()).items():
        if entry["file"] not in by_file:
            rows = Dataset(pq.read_table(folder / entry["file"]), info=DatasetInfo(features=FEATURES))
            by_file[entry["file"]] = SampleTable(rows, labels, LabelState(entry["absent"]))
        tables[split] = by_file[entry["file"]]
    return tables
