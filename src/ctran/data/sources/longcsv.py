"""One CSV with a column of picture files and one of labels: a label a row, or several with a delimiter."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctran.data.notices import Doubts, warn
from ctran.data.output import Output, rest_of, split_of, warn_of_lost
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.cells import Joined, names_of
from ctran.data.readers.listed import ListedConfig, find_file
from ctran.data.readers.tabular import column_of, read_csv
from ctran.data.rows import Annotated, Row, Says
from ctran.data.table import DataError, SampleTable
from ctran.errors import UserError

SUMMARY = "your own long CSV: a row for each label of a picture, or one with labels and a delimiter"
SAYS = Says.LISTED


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """A CSV file with a header.

    Pictures are named relative to it. Rows of the same picture are taken together; an empty cell lists no label.

    Args:
        root: the CSV file.
        image_column: the column of the files.
        label_column: the column of the labels.
        split_column: the column with train, val or test; without it 70 / 10 / 20 % by the content of the pictures.
        delimiter: between the labels of a cell, such as ``" "`` or ``"|"``; null: a cell is one label as it is.
    """

    image_column: str = "file_name"
    label_column: str = "label"
    split_column: str | None = None
    delimiter: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delimiter == "":
            raise UserError("data.delimiter must be one character or more, got ''; null is for one label a cell")


def read(config: Config) -> Annotated:
    """The rows of the file, one a picture."""
    path = find_file(config.root, "*.csv", "the CSV file")
    raw = read_csv(path)
    image = column_of(config.image_column, raw[0], path, "--data.image_column")
    label = column_of(config.label_column, raw[0], path, "--data.label_column")
    if config.split_column:
        column_of(config.split_column, raw[0], path, "--data.split_column")
    doubts, joined = Doubts(), Joined(config.delimiter or "\0")
    rows: dict[str, Row] = {}
    for number, cells in enumerate(raw, start=1):
        where, name = f"{path}, row {number}", cells[image].strip()
        if not name:
            raise DataError(f"{where}: {image} is empty")
        joined.add(cells[label], where)
        names = _names(cells[label], config.delimiter, where, doubts)
        split = (cells[config.split_column].strip() or None) if config.split_column else None
        row = rows.setdefault(name, Row(where, path.parent / name, name, (), split=split))
        if row.split != split:
            raise DataError(f"{where}: {name!r} has split {split!r}, but {row.split!r} in {row.where}")
        if doubled := set(names) & set(row.positives):
            doubts.add("a label is listed twice for one picture", f"{where} ({sorted(doubled)[0]!r})")
        every = tuple(dict.fromkeys((*row.positives, *names)))
        rows[name] = Row(row.where, row.path, name, every, split=split)
    doubts.warn()
    if hint := joined.hint("--data.delimiter"):
        warn(hint)
    return Annotated(list(rows.values()), config.absent)


def _names(cell: str, delimiter: str | None, where: str, doubts: Doubts) -> tuple[str, ...]:
    """Labels of a cell."""
    if delimiter is not None:
        return names_of(cell, delimiter, where, doubts)
    name = cell.strip()
    if name.startswith(("[", "{", "(")) and name.endswith(("]", "}", ")")):
        doubts.add("a cell looks like a list and is read as one label; --data.delimiter , reads lists", where)
    return (name,) if name else ()


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the file."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``labels.csv`` with a row for each label of a picture, beside the folder of the pictures; the options that read it."""
    absent = rest_of(annotated, "a long CSV")
    warn_of_lost(annotated, "a long CSV")
    splits = any(row.split for row in annotated.rows)
    rows: list[list[object]] = [["file_name", "label", *(["split"] if splits else [])]]
    for row in annotated.rows:
        name = output.picture(row)
        rows += ([name, label, *([split_of(row)] if splits else [])] for label in row.positives or [""])
    output.write_csv("labels.csv", rows)
    return {"root": Path("labels.csv"), "absent": absent} | ({"split_column": "split"} if splits else {})
