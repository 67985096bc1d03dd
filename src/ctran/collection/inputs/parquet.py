"""Parquet: rows with paths of pictures, or with the pictures themselves; one file or many shards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow.parquet as pq

from ctran.collection.inputs.broken import Files
from ctran.collection.inputs.cells import check_columns, needed, row_of
from ctran.collection.known_cells import KnownCells
from ctran.collection.rows import Row, Shard, digest_of
from ctran.collection.storage import File, base_name, opened, parent
from ctran.data.readers.tabular import DAMAGED_PARQUET, parquet_error

BATCH = 64
"""Rows that are held in memory, pictures included."""


@dataclass(frozen=True)
class ParquetShard(Shard):
    """Rows ``start`` to ``stop`` of a file."""

    place: str
    start: int
    stop: int

    def rows(self, cells: KnownCells) -> Iterator[Row]:
        with opened(self.place) as content, _readable(self.place):
            file = pq.ParquetFile(content)
            groups, first = _groups(file, self.start, self.stop)
            names = needed(file.schema_arrow.names, cells)
            number, name = first, base_name(self.place)
            for batch in file.iter_batches(BATCH, row_groups=groups, columns=names):
                for values in batch.to_pylist():
                    number += 1  # rows are counted from 1 on
                    if self.start < number <= self.stop:
                        yield row_of(values, f"{self.place}, row {number}", parent(self.place), cells, f"{name}:{number}")
                if number >= self.stop:
                    return


@dataclass(frozen=True)
class Parquet(Files):
    """One or several Parquet files."""

    def of_file(self, file: File, numbers: Iterator[int]) -> Iterator[Shard]:
        with opened(file.place) as content, _readable(file.place):
            about = pq.ParquetFile(content)
            rows, names = about.metadata.num_rows, about.schema_arrow.names
        check_columns(names, file.place, self.cells)
        for start in range(0, rows, self.part_size):
            stop = min(start + self.part_size, rows)
            digest, size = digest_of([file.name, file.stamp, start, stop]), file.size * (stop - start) // rows
            yield ParquetShard(next(numbers), stop - start, size, digest, file.place, start, stop)


@contextmanager
def _readable(place: str) -> Iterator[None]:
    """Names the file in an error of Parquet's."""
    try:
        yield
    except DAMAGED_PARQUET as error:
        raise parquet_error(place, error) from None


def _groups(file: pq.ParquetFile, start: int, stop: int) -> tuple[list[int], int]:
    """Row groups that hold rows ``start`` to ``stop``, and the number of rows before them."""
    found, before, first = list[int](), 0, 0
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if before < stop and before + rows > start:
            first = first if found else before
            found.append(group)
        before += rows
    return found, first
