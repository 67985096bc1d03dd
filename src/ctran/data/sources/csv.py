"""One wide CSV: a column of picture files, then one column a label with 1, 0 or nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ctran.data.notices import notice
from ctran.data.output import Output, split_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.cells import value_of
from ctran.data.readers.tabular import column_of, read_csv
from ctran.data.rows import Absent, Annotated, OwnFiles, Row, Says
from ctran.data.table import DataError, SampleTable

SUMMARY = "your own wide CSV: one column of files, one column a label with 1, 0 or blank"
SAYS = Says.ALL


@dataclass(frozen=True)
class Config(OwnFiles):
    """A wide CSV file.

    Pictures are named relative to it. 1 (true, yes) is positive, 0 (false, no) negative, blank or NaN not stated, -1 uncertain.

    Args:
        root: the CSV file.
        absent: what a blank means. ``negative``: not in the picture. ``unlisted``: nobody checked, and it probably is not.
            ``unknown``: not annotated.
        image_column: the column of the files.
        split_column: the column with train, val or test; without it 70 / 10 / 20 % by the content of the pictures.
        uncertain: what -1 means, whatever ``absent`` is.
        ignore_columns: columns that are not labels.
    """

    root: Path
    absent: Absent = "unknown"
    image_column: str = "file_name"
    split_column: str | None = None
    uncertain: Literal["unknown", "positive", "negative"] = "unknown"
    ignore_columns: tuple[str, ...] = ()


def read(config: Config) -> Annotated:
    """The rows of the file."""
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
    return Annotated(rows, config.absent, tuple(labels))


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the file."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``labels.csv`` with 1, 0 and blank beside the folder of the pictures; the options that read it."""
    labels = annotated.labels
    image, split = "file_name", "split"
    while image in labels:
        image += "_"
    while split in labels:
        split += "_"
    splits = any(row.split for row in annotated.rows)
    rows: list[list[object]] = [[image, *([split] if splits else []), *labels]]
    for row, known in annotated.known():
        cells = ["" if (state := known.get(name)) is None else int(state) for name in labels]
        rows.append([output.picture(row), *([split_of(row) or ""] if splits else []), *cells])
    output.write_csv("labels.csv", rows)
    options = {"root": Path("labels.csv"), "image_column": image}
    options |= {"absent": "unlisted"} if annotated.rest == "unlisted" else {}
    return options | ({"split_column": split} if splits else {})
