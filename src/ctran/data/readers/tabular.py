"""Rows of CSV, JSON-lines and Parquet files as they are, every error with file and row."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ctran.data.table import DataError
from ctran.errors import nearest
from ctran.textfile import read_json_lines, read_text

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_CELL = 2**24
"""Most characters of one CSV cell."""
DAMAGED_PARQUET = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError)
"""What reading a Parquet file raises that is damaged, or holds values that Python has none for."""


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """``(where, row)`` of a file by its ending: ``.jsonl``, ``.parquet``, or else CSV; ``where`` names file and row.

    Raises:
        DataError: the file is damaged, or a row is invalid.
    """
    if path.suffix == ".jsonl":
        yield from read_json_lines(path, DataError)
        return
    if path.suffix == ".parquet":
        try:
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        except DAMAGED_PARQUET as error:
            raise parquet_error(path, error) from None
    else:
        rows = list[dict[str, Any]](read_csv(path))
    for number, row in enumerate(rows, start=1):
        yield f"{path}, row {number}", row


def parquet_error(path: Path | str, error: Exception) -> Exception:
    """What to raise for one of :data:`DAMAGED_PARQUET`: errors of the file system and of rows stay as they are."""
    if isinstance(error, DataError) or (isinstance(error, OSError) and error.errno is not None):
        return error
    return DataError(f"{path}: not a Parquet file that can be read ({type(error).__name__}: {' '.join(str(error).split())})")


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file with every cell as text; blanks around column names are dropped, empty lines do not count.

    Raises:
        DataError: not UTF-8, no row below the header, or as :func:`csv_rows`.
    """
    text = read_text(path, DataError)
    encoding = "utf-16" if path.read_bytes()[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ""
    rows = list(csv_rows(io.StringIO(text, newline=""), str(path), encoding))
    if not rows:
        raise DataError(f"{path}: no row below the header")
    return rows


def csv_rows(lines: Iterable[str], name: str, encoding: str = "") -> Iterator[dict[str, str]]:
    """Rows of CSV, one at a time.

    Args:
        lines: with their ends.
        name: of the file, in errors.
        encoding: other than UTF-8, for what to do.

    Raises:
        DataError: separated by anything but commas, a column without a name or two of one name, a row with more or fewer cells
            than the header, or a quote that is not closed.
    """
    rest = iter(lines)
    first = next((line for line in rest if line.strip("\r\n")), "")
    if separator := _separator(first.partition("\n")[0]):
        short, option = name.replace("\\", "/").rpartition("/")[2], f", encoding={encoding!r}" if encoding else ""
        raise DataError(
            f"{name}: the columns are separated by {_SEPARATORS[separator]}, expected commas; convert it, e.g. with pandas: "
            f"pd.read_csv({short!r}, sep={separator!r}{option}, dtype=str).to_csv({short!r}, index=False)"
        )
    limit = csv.field_size_limit(_CELL)
    reader = csv.reader(chain([first], rest), strict=True)
    try:
        names = [column.strip() for column in next((cells for cells in reader if cells), [])]
        if not names:
            raise DataError(f"{name}: the file is empty; expected a header and rows")
        if "" in names:
            raise DataError(f"{name}: column {names.index('') + 1} has no name; name it or leave it out")
        if duplicate := [column for column in names if names.count(column) > 1]:
            raise DataError(f"{name}: two columns are called {duplicate[0]!r}")
        number = 0
        for cells in reader:
            if not cells:
                continue
            number += 1
            if len(cells) != len(names):
                raise DataError(
                    f"{name}, row {number}: {len(cells)} cells, but the header has {len(names)} columns: {_start(cells)}"
                    '. A cell with commas must be in double quotes: "cat,dog"'
                )
            yield dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: not CSV ({error}); is a quote not closed?") from None
    finally:
        csv.field_size_limit(limit)


def _separator(header: str) -> str | None:
    """What separates the columns of a header without commas; None for commas or a single column."""
    if header.lower().startswith("sep="):
        header = header[4:].strip("\r\n")
    if "," in header:
        return None
    return next((separator for separator in _SEPARATORS if separator in header), None)


def _start(cells: list[str]) -> str:
    text = ",".join(cells)
    return text if len(text) <= 60 else f"{text[:60]}..."


def column_of(name: str, row: Mapping[str, Any], path: Path | str, option: str) -> str:
    """``name``, which must be a column; DataError with the nearest column and the option that names another."""
    if name not in row:
        listed = ", ".join(list(row)[:8]) + (", ..." if len(row) > 8 else "")
        raise DataError(f"{path}: no column {name!r}{nearest(name, row)} (found: {listed}). Name it with {option}")
    return name


def near_column(name: str, row: Mapping[str, Any]) -> str:
    """``"; did you mean 'lables'?"`` for the nearest column within a small edit distance, or an empty string."""
    best = min(row, key=lambda column: distance(name, column), default="")
    return f"; did you mean {best!r}?" if best and distance(name, best) <= 2 else ""


def distance(a: str, b: str) -> int:
    """Least number of letters to insert, remove, replace or swap with the next; case, blanks, ``_`` and ``-`` do not count."""
    a, b = ("".join(c for c in text.casefold() if c not in " _-") for text in (a, b))
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y)))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]
