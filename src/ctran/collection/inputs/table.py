"""CSV and JSON lines: a picture and its known labels a row."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ctran.collection.inputs.broken import Files
from ctran.collection.inputs.cells import check_columns, needed, row_of
from ctran.collection.known_cells import KnownCells
from ctran.collection.options import Kind
from ctran.collection.rows import Row, Shard, digest_of
from ctran.collection.storage import File, opened, parent
from ctran.data.readers.tabular import csv_rows
from ctran.inference.many import chunks
from ctran.textfile import json_rows, lines_of


@dataclass(frozen=True)
class TableShard(Shard):
    """Some rows of a table, as they were read.

    Args:
        place: of the table.
        first: number of its first row, from 1 on.
        values: the columns of each row that are needed.
    """

    place: str
    first: int
    values: tuple[Mapping[str, Any], ...]

    def rows(self, cells: KnownCells) -> Iterator[Row]:
        for number, values in enumerate(self.values, start=self.first):
            yield row_of(values, f"{self.place}, row {number}", parent(self.place), cells)


@dataclass(frozen=True)
class Table(Files):
    """One or several CSV or JSON-lines files, read as a stream.

    Args:
        form: of the files.
    """

    form: Kind

    def of_file(self, file: File, numbers: Iterator[int]) -> Iterator[Shard]:
        first = 1
        for some in chunks(self._rows(file), self.part_size):
            yield TableShard(next(numbers), len(some), 0, digest_of(some), file.place, first, tuple(some))
            first += len(some)

    def _rows(self, file: File) -> Iterator[dict[str, Any]]:
        """Rows with the columns that are read."""
        newline = "" if self.form == "csv" else "\n"
        with opened(file.place) as content, closing(lines_of(content, file.place, newline)) as lines:
            csv = self.form == "csv"
            found = csv_rows(lines, file.place) if csv else (row for _, row in json_rows(lines, file.place))
            for number, row in enumerate(found):
                if not number:
                    check_columns(row, file.place, self.cells)
                yield {name: row[name] for name in needed(row, self.cells)}
