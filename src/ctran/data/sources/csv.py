"""One wide CSV: a column of picture files, then one column a label with 1, 0 or nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ctran.data.notices import notice
from ctran.data.readers.annotations import Row, to_tables
from ctran.data.readers.cells import value_of
from ctran.data.readers.tabular import column_of, read_csv
from ctran.data.reading import Reading
from ctran.data.table import DataError, SampleTable

SUMMARY = "your own wide CSV: one column of files, one column a label with 1, 0 or blank"


@dataclass(frozen=True)
class Config(Reading):
    """A wide CSV file. Pictures are named relative to it. 1 (true, yes) is positive, 0 (false, no) negative, blank or NaN not
    stated, -1 uncertain.

    Args:
        root: the CSV file.
        absent: what a blank means. ``negative``: not in the picture. ``unknown``: not annotated.
        image_column: the column of the files.
        split_column: the column with train, val or test; without it 70 / 10 / 20 % by the content of the pictures.
        uncertain: what -1 means, whatever ``absent`` is.
        ignore_columns: columns that are not labels.
    """

    CHECKED: ClassVar[bool] = True

    root: Path
    absent: Literal["negative", "unknown"] = "unknown"
    image_column: str = "file_name"
    split_column: str | None = None
    uncertain: Literal["unknown", "positive", "negative"] = "unknown"
    ignore_columns: tuple[str, ...] = ()


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the file."""
    if not config.root.is_file():
        raise DataError(f"{config.root}: not a file; give the CSV file as --data.root")
    raw = read_csv(config.root)
    special = {column_of(config.image_column, raw[0], config.root, "--data.image_column")}
    if config.split_column:
        special.add(column_of(config.split_column, raw[0], config.root, "--data.split_column"))
    special |= {column_of(name, raw[0], config.root, "--data.ignore_columns") for name in config.ignore_columns}
    labels = [c for c in raw[0] if c not in special]
    if not labels:
        raise DataError(f"{config.root}: no column of a label other than {', '.join(map(repr, raw[0]))}")
    rows, unsure = [], 0
    for number, cells in enumerate(raw, start=1):
        where = f"{config.root}, row {number}"
        values = {label: value_of(cells[label], where, label) for label in labels}
        name = cells[config.image_column].strip()
        if not name:
            raise DataError(f"{where}: {config.image_column} is empty")
        by_state: dict[str, list[str]] = {"positive": [], "negative": [], "unknown": []}
        for label, value in values.items():
            if value is not None:
                by_state[("negative", "positive", config.uncertain)[value]].append(label)
        unsure += list(values.values()).count(-1)
        split = cells[config.split_column] if config.split_column else None
        positives, negatives, unknown = (tuple(by_state[kind]) for kind in ("positive", "negative", "unknown"))
        rows.append(Row(where, config.root.parent / name, name, positives, negatives, split or None, unknown))
    if unsure:
        notice(
            f"{config.root}: {unsure:,} cells are -1 (uncertain) and count as {config.uncertain}; --data.uncertain changes that"
        )
    return to_tables(rows, absent=config.absent, reading=config)
