"""Tables of published data sets on disk: built once, reused while options and files are the same."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetInfo
from filelock import FileLock

from ctran.data.cache_folder import default_root, key_of
from ctran.data.file_table import FEATURES
from ctran.data.notices import collected, notice
from ctran.data.reading import OPTIONS
from ctran.data.table import SampleTable
from ctran.files import atomic_folder
from ctran.labels import LabelSpace, LabelState
from ctran.version import __version__

FORMAT = 2
"""Version of the tables on disk; raised whenever a reader makes other tables of the same files."""
DAMAGED = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What loading damaged tables raises."""


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
    whose time changes when pictures come or go), so changed files are read again.

    Args:
        name: of the source; the first part of the cache folder's name.
        config: the source's ``Config``.
        inputs: what ``make`` reads; all exist.
        make: reads, checks and builds.
        same: from the tables, other options and inputs that give the same tables, which are stored for those too.
    """
    collected.set([])
    folder = _folder(name, config, inputs)
    with _lock(folder):  # only one of several processes builds
        if folder.is_dir():
            try:
                return _load(folder)
            except DAMAGED as error:
                reason = " ".join(str(error).split())
                notice(f"{folder}: damaged tables ({type(error).__name__}: {reason}); they are built again")
                collected.set([])
        tables = make()
        _store(tables, folder)
        if same is not None:
            other = _folder(name, *same(tables))
            with _lock(other):
                if not other.is_dir():
                    _store(tables, other)
        return tables


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
    (part / "notices.json").write_text(json.dumps(collected.get()))


def _load(folder: Path) -> dict[str, SampleTable]:
    labels, messages = LabelSpace.load(folder / "labels.json"), json.loads((folder / "notices.json").read_text())
    tables: dict[str, SampleTable] = {}
    by_file: dict[str, SampleTable] = {}
    for split, entry in json.loads((folder / "splits.json").read_text()).items():
        if entry["file"] not in by_file:
            rows = Dataset(pq.read_table(folder / entry["file"]), info=DatasetInfo(features=FEATURES))
            by_file[entry["file"]] = SampleTable(rows, labels, LabelState(entry["absent"]))
        tables[split] = by_file[entry["file"]]
    for message in messages:
        notice(message)
    return tables
