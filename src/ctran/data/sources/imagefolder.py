"""A folder of pictures with Hugging Face's ``metadata.csv``, ``.jsonl`` or ``.parquet`` and a ``labels`` column."""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from pyarrow import ArrowInvalid

from ctran.data.files import SPLIT_NAMES, Row, to_tables
from ctran.data.table import DataError, SampleTable
from ctran.labels import nearest

SUMMARY = "your own folder: metadata.csv, .jsonl or .parquet with columns file_name and labels"
COLUMNS = ("file_name", "labels", "negatives", "id", "split")


@dataclass(frozen=True)
class Config:
    """A folder in the layout of Hugging Face's imagefolder.

    The metadata file stands in the folder, or one in each of its sub-folders ``train``, ``val`` (``validation``) and ``test``.
    Columns: ``file_name`` (relative to the metadata file), ``labels`` and optionally ``negatives`` (each a list, or a string
    with a delimiter), ``id``, ``split``. Without split column and sub-folders, 70 / 10 / 20 % by a hash of the id.

    Args:
        root: the folder.
        absent: what a label means that a row does not list. ``negative``: it is not in the picture. ``unknown``: nobody
            looked; then some rows need ``negatives``.
        delimiter: between the labels of a string.
        skip_broken: leave out pictures that cannot be read; the run folder lists them.
    """

    root: Path
    absent: Literal["negative", "unknown"]
    delimiter: str = ","
    skip_broken: bool = False


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of one metadata file as they are."""
    try:
        if path.suffix == ".jsonl":
            lines = (line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip())
            for number, line in enumerate(lines, start=1):
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise DataError(f"{path}, row {number}: no JSON ({error})") from None
                if not isinstance(row, dict):
                    raise DataError(f"{path}, row {number}: expected keys and values in braces, got {line.strip()[:40]}")
                yield row
        elif path.suffix == ".parquet":
            yield from pq.read_table(path).to_pylist()
        else:
            yield from read_csv(path)
    except (ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from None


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file with every cell as text; blanks around column names are dropped.

    Raises:
        DataError: no CSV, a column without a name or two of one name, or no row below the header.
    """
    try:
        with pacsv.open_csv(path) as reader:
            raw = reader.schema.names
        names = [name.strip() for name in raw]
        if "" in names:
            raise DataError(f"{path}: column {names.index('') + 1} has no name; name it or leave it out")
        if twice := [name for name in names if names.count(name) > 1]:
            raise DataError(f"{path}: two columns are called {twice[0]!r}")
        convert = pacsv.ConvertOptions(column_types=dict.fromkeys(raw, "string"), strings_can_be_null=False)
        rows = pacsv.read_csv(path, convert_options=convert).rename_columns(names).to_pylist()
        if not rows:
            raise DataError(f"{path}: no row below the header")
        return rows
    except ArrowInvalid as error:
        raise DataError(f"{path}: {error}") from None


def names_of(cell: Any, delimiter: str, where: str) -> tuple[str, ...]:
    """Label names of one cell: a list (in CSV as JSON or Python writes it), or a string with ``delimiter``; may be empty."""
    if cell is None:
        return ()
    if isinstance(cell, str) and cell.strip().startswith("["):
        try:
            cell = ast.literal_eval(cell.strip())
        except (SyntaxError, ValueError):
            raise DataError(f"{where}: {cell!r} starts like a list but is none") from None
    elif isinstance(cell, str):
        cell = cell.split(delimiter)
    if not isinstance(cell, list) or not all(isinstance(name, str) for name in cell):
        raise DataError(f"{where}: labels must be a list of names or one string, got {cell!r}")
    return tuple(dict.fromkeys(name.strip() for name in cell if name.strip()))


def read_metadata(path: Path, config: Config, split: str | None) -> list[Row]:
    """Rows of one metadata file, checked column by column."""
    rows = []
    for number, raw in enumerate(read_rows(path), start=1):
        where = f"{path}, row {number}"
        if unknown := [c for c in raw if c not in COLUMNS]:
            hint = nearest(unknown[0], COLUMNS)
            raise DataError(f"{where}: unknown column {unknown[0]!r}{hint} (known: {', '.join(COLUMNS)})")
        if missing := [c for c in ("file_name", "labels") if c not in raw]:
            raise DataError(f"{where}: no column {missing[0]!r}; found {', '.join(raw)}")
        for column in ("file_name", "split"):
            if not isinstance(raw.get(column) or "", str):
                raise DataError(f"{where}: {column} must be text, got {raw[column]!r}")
        if not raw["file_name"]:
            raise DataError(f"{where}: file_name is empty")
        picture = path.parent / raw["file_name"]
        inside = picture.is_relative_to(config.root)
        rows.append(
            Row(
                where,
                picture,
                str(raw.get("id") or (picture.relative_to(config.root) if inside else picture).as_posix()),
                names_of(raw["labels"], config.delimiter, where),
                names_of(raw.get("negatives"), config.delimiter, where),
                split or raw.get("split") or None,
            )
        )
    return rows


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the folder."""
    if not config.root.is_dir():
        raise DataError(f"{config.root} is no folder; give the folder with the metadata file as --data.root")
    folders: list[tuple[Path, str | None]] = [(config.root, None)]
    folders += [(d, d.name) for d in sorted(config.root.iterdir()) if d.is_dir() and d.name in SPLIT_NAMES]
    found = [
        (file, split)
        for folder, split in folders
        for file in sorted(folder.glob("metadata.*"))
        if file.suffix in (".csv", ".jsonl", ".parquet")
    ]
    if not found:
        raise DataError(f"{config.root}: no metadata.csv, metadata.jsonl or metadata.parquet in it or its split folders")
    rows = [row for file, split in found for row in read_metadata(file, config, split)]
    return to_tables(rows, absent=config.absent, skip_broken=config.skip_broken)
