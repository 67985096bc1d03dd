"""A folder of pictures with Hugging Face's ``metadata.csv``, ``.jsonl`` or ``.parquet`` and a ``labels`` column."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctran.data.folder_labels import FolderLabels
from ctran.data.notices import Doubts, warn
from ctran.data.output import Output, lists_of, split_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.cells import Joined, names_of
from ctran.data.readers.tabular import near_column, read_rows
from ctran.data.rows import Absent, Annotated, OwnFiles, Row, Says
from ctran.data.splits import SPLIT_NAMES
from ctran.data.table import DataError, SampleTable
from ctran.errors import UserError

SUMMARY = "your own folder: metadata.csv, .jsonl or .parquet with columns file_name and labels"
SAYS = Says.ALL
_OWN = ("file_name", "labels", "negatives", "id", "split")
"""Columns that are read; others are kept in a conversion."""


@dataclass(frozen=True)
class Config(OwnFiles):
    """A folder in the layout of Hugging Face's imagefolder.

    The metadata file is in the folder, or one is in each of its sub-folders ``train``, ``val`` (``validation``) and ``test``.
    Columns: ``file_name`` (relative to the metadata file), ``labels`` and optionally ``negatives`` (each a list, or a string
    with a delimiter), ``id``, ``split``; all others are ignored. Without split column and sub-folders, 70 / 10 /
    20 % by the content of the pictures. A ``labels.yaml`` in the folder, as the studio writes it, adds exclusive groups and
    implications.

    Args:
        root: the folder.
        absent: what it means that a row does not list a label. ``negative``: it is not in the picture. ``unlisted``: nobody
            checked, and it probably is not. ``unknown``: it is not annotated; then some rows need ``negatives``.
        delimiter: between the labels of a string.
    """

    root: Path
    absent: Absent
    delimiter: str = ","

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.delimiter:
            raise UserError("data.delimiter must be one character or more, got ''")


class Reader:
    """Rows of metadata files, checked column by column; counts what is doubtful."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.doubts, self.joined = Doubts(), Joined(config.delimiter)

    def read(self, path: Path, split: str | None) -> list[Row]:
        """Rows of one file, all of whose pictures are in ``split`` if that is not None."""
        raw = list(read_rows(path))
        _check_columns(path, raw)
        return [self._row(where, path, row, split) for where, row in raw]

    def _row(self, where: str, path: Path, raw: dict[str, Any], split: str | None) -> Row:
        for column in ("file_name", "split"):
            if not isinstance(raw.get(column) or "", str):
                raise DataError(f"{where}: {column} must be text, got {raw[column]!r}")
        if not raw.get("file_name"):
            raise DataError(f"{where}: file_name is empty")
        own = raw.get("split") or None
        if split and own and SPLIT_NAMES.get(own) not in (None, SPLIT_NAMES[split]):
            raise DataError(f"{where}: split is {own!r}, but the file is in folder {split}; expected one of the two")
        picture = path.parent / raw["file_name"]
        inside = picture.is_relative_to(self.config.root)
        number = raw.get("id")
        named = not (number is None or number == "" or (isinstance(number, float) and math.isnan(number)))
        return Row(
            where,
            picture,
            str(number if named else (picture.relative_to(self.config.root) if inside else picture).as_posix()),
            self._names(raw.get("labels"), where, missing=self.config.absent == "negative"),
            self._names(raw.get("negatives"), where, missing=False),
            split or own,
            extra={key: value for key, value in raw.items() if key not in _OWN},
        )

    def _names(self, cell: Any, where: str, *, missing: bool) -> tuple[str, ...]:
        """Labels of a cell; a missing cell is doubtful where it makes labels negative."""
        self.joined.add(cell, where)
        return () if cell is None and not missing else names_of(cell, self.config.delimiter, where, self.doubts)

    def warn(self) -> None:
        """Print what is doubtful."""
        self.doubts.warn()
        if hint := self.joined.hint("--data.delimiter"):
            warn(hint)


def _check_columns(path: Path, raw: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Refuse a file without a needed column, and warn of one whose name is nearly that of an optional one."""
    columns = dict.fromkeys(column for _, row in raw for column in row)
    if not columns:
        raise DataError(f"{path}: no row in it; expected file_name and labels of each picture")
    for name in ("file_name", "labels"):
        if name not in columns:
            raise DataError(f"{path}, row 1: no column {name!r}{near_column(name, columns)}; found {', '.join(columns)}")
    for name in ("negatives", "split"):
        if name not in columns and (hint := near_column(name, columns)):
            warn(f"{path}: there is no column {name!r}{hint} It is not read")


def metadata_files(folder: Path) -> list[tuple[Path, str | None]]:
    """Metadata files of a folder and of its split folders, and the split of each."""
    places: list[tuple[Path, str | None]] = [(folder, None)]
    places += [(d, d.name) for d in sorted(folder.iterdir()) if d.is_dir() and d.name in SPLIT_NAMES]
    return [
        (file, split)
        for place, split in places
        for file in sorted(place.glob("metadata.*"))
        if file.suffix in (".csv", ".jsonl", ".parquet")
    ]


def read(config: Config) -> Annotated:
    """The rows of the folder's metadata files."""
    if not config.root.is_dir():
        raise DataError(f"{config.root}: not a folder; give the folder with the metadata file as --data.root")
    found = metadata_files(config.root)
    if not found:
        raise DataError(
            f"{config.root}: no metadata.csv, metadata.jsonl or metadata.parquet in it or its split folders; write one with "
            "columns file_name and labels (docs/howto/own-pictures.md, also for a folder for each class), or name the format "
            "with --source"
        )
    reader = Reader(config)
    rows = [row for file, split in found for row in reader.read(file, split)]
    reader.warn()
    return Annotated(rows, config.absent, folder=config.root)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the folder; rules of its ``labels.yaml`` hold."""
    rules, tables = FolderLabels.read(config.root), to_tables(read(config), config)
    return {split: replace(table, labels=rules.on(table.labels)) for split, table in tables.items()}


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``metadata.jsonl`` beside the folder of the pictures; the options that read it."""
    absent, rows = lists_of(annotated, "metadata.jsonl")
    lines = []
    for row, lists in rows:
        cells: dict[str, Any] = {"file_name": output.picture(row), **lists}
        if split := split_of(row):
            cells["split"] = split
        extra = {key: value for key, value in row.extra.items() if key not in _OWN}
        lines.append(json.dumps(cells | extra, ensure_ascii=False, default=str))
    output.write("metadata.jsonl", "\n".join(lines) + "\n")
    return {"root": Path(), "absent": absent}
