"""One wide CSV: a column of picture files, then one column a label with 1, 0 or nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctran.data.files import Row, to_tables
from ctran.data.sources.imagefolder import read_csv
from ctran.data.table import DataError, SampleTable
from ctran.labels import nearest

SUMMARY = "your own wide CSV: one column of files, one column a label with 1, 0 or blank"
VALUES = {"1": 1, "1.0": 1, "0": 0, "0.0": 0, "": None, "-1": None, "-1.0": None, "nan": None}


@dataclass(frozen=True)
class Config:
    """A wide CSV file. Pictures are named relative to it. 1 is positive, 0 negative; blank, -1 and NaN are not stated.

    Args:
        root: the CSV file.
        absent: what a blank means. ``negative``: not in the picture. ``unknown``: nobody looked.
        image_column: the column of the files.
        split_column: the column that says train, val or test; without it 70 / 10 / 20 % by a hash of the file's name.
        skip_broken: leave out pictures that cannot be read; the run folder lists them.
    """

    root: Path
    absent: Literal["negative", "unknown"] = "unknown"
    image_column: str = "file_name"
    split_column: str | None = None
    skip_broken: bool = False


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the file."""
    if not config.root.is_file():
        raise DataError(f"{config.root} is no file; give the CSV file as --data.root")
    raw = read_csv(config.root)
    special = [config.image_column] + ([config.split_column] if config.split_column else [])
    for column in special:
        if column not in raw[0]:
            hint = nearest(column, raw[0])
            raise DataError(f"{config.root}: no column {column!r}{hint} (found: {', '.join(list(raw[0])[:8])})")
    labels = [c for c in raw[0] if c not in special]
    rows = []
    for number, cells in enumerate(raw, start=1):
        where = f"{config.root}, row {number}"
        values = {}
        for label in labels:
            text = cells[label].strip().lower()
            if text not in VALUES:
                raise DataError(f"{where}, column {label!r}: expected 1, 0 or blank, got {cells[label]!r}")
            values[label] = VALUES[text]
        name = cells[config.image_column]
        if not name:
            raise DataError(f"{where}: {config.image_column} is empty")
        positives = tuple(k for k, v in values.items() if v == 1)
        negatives = tuple(k for k, v in values.items() if v == 0)
        split = cells[config.split_column] if config.split_column else None
        rows.append(Row(where, config.root.parent / name, name, positives, negatives, split))
    return to_tables(rows, absent=config.absent, skip_broken=config.skip_broken)
