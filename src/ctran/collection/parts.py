"""Part files: Parquet, CSV or JSON lines of predictions, and of errors."""

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from ctran.collection.options import Form
from ctran.collection.storage import writing

BUFFERED = 1000
"""Rows of a Parquet row group: what is held in memory before it is written."""
_SCHEMAS = {
    "predictions": {
        "id": pa.string(),
        "labels": pa.list_(pa.string()),
        "probabilities": pa.map_(pa.string(), pa.float32()),
        "known": pa.map_(pa.string(), pa.bool_()),
        "dense": pa.list_(pa.float32()),
        "model": pa.dictionary(pa.int32(), pa.string()),
    },
    "errors": {"id": pa.string(), "where": pa.string(), "reason": pa.string()},
}
"""Columns of each kind of part file."""


class Writer(ABC):
    """Writes rows (column -> plain value) to one file."""

    @abstractmethod
    def add(self, row: Mapping[str, Any]) -> None:
        """One row."""

    @abstractmethod
    def close(self) -> None:
        """After the last row."""


class _Parquet(Writer):
    def __init__(self, path: Path, table: str, columns: Sequence[str]) -> None:
        self.schema = pa.schema([(name, _SCHEMAS[table][name]) for name in columns])
        self.file = pq.ParquetWriter(path, self.schema, compression="zstd")
        self.rows: list[dict[str, Any]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        maps = {name: list(value.items()) for name, value in row.items() if isinstance(value, dict)}
        self.rows.append({**row, **maps})
        if len(self.rows) == BUFFERED:
            self._flush()

    def _flush(self) -> None:
        self.file.write_table(pa.Table.from_pylist(self.rows, self.schema))
        self.rows = []

    def close(self) -> None:
        if self.rows:
            self._flush()
        self.file.close()


class _Text(Writer):
    def __init__(self, path: Path, table: str, columns: Sequence[str]) -> None:
        self.columns = columns
        self.file: TextIO = path.open("w", encoding="utf-8", newline="")

    def close(self) -> None:
        self.file.close()


class _Jsonl(_Text):
    def add(self, row: Mapping[str, Any]) -> None:
        self.file.write(json.dumps({name: row[name] for name in self.columns}, ensure_ascii=False) + "\n")


class _Csv(_Text):
    """Lists and mappings are JSON in their cells."""

    def __init__(self, path: Path, table: str, columns: Sequence[str]) -> None:
        super().__init__(path, table, columns)
        self.lines = csv.writer(self.file)
        self.lines.writerow(columns)

    def add(self, row: Mapping[str, Any]) -> None:
        values = (row[name] for name in self.columns)
        self.lines.writerow([json.dumps(v, ensure_ascii=False) if isinstance(v, list | dict) else v for v in values])


FORMS: Mapping[Form, type[Writer]] = {"parquet": _Parquet, "csv": _Csv, "jsonl": _Jsonl}


@contextmanager
def part(place: str, form: Form, table: str, *, dense: bool = False) -> Iterator[Writer]:
    """A part file to add rows to, which is there when the block ends, whole, and not before.

    Args:
        place: path or URL.
        table: ``predictions`` or ``errors``.
        dense: with the column of all probabilities.
    """
    columns = [name for name in _SCHEMAS[table] if name != "dense" or dense]
    with writing(place) as path:
        writer = FORMS[form](path, table, columns)  # pyright: ignore[reportCallIssue]
        try:
            yield writer
        finally:
            writer.close()


def text(value: str) -> str:
    """A text that any file can hold: what is not UTF-8 in the name of a file is escaped."""
    return value.encode("utf-8", "backslashreplace").decode()
