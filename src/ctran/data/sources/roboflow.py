"""Roboflow's multi-label CSV: ``_classes.csv`` with 1 and 0 beside the pictures of each split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctran.data.output import Output, by_split, refuse_unknown
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.cells import state_of
from ctran.data.readers.tabular import column_of, read_csv
from ctran.data.rows import Annotated, OwnFiles, Row, Says
from ctran.data.splits import SPLIT_NAMES
from ctran.data.table import DataError, SampleTable
from ctran.errors import UserError

SUMMARY = "Roboflow's multi-label CSV: _classes.csv with 1 and 0 in each of train, valid and test"
SAYS = Says.DECIDED
FILE = "_classes.csv"


@dataclass(frozen=True, kw_only=True)
class Config(OwnFiles):
    """An export of Roboflow in the format "Multi Label Classification".

    Blank cells, which Roboflow does not write, are unknown.

    Args:
        root: the folder with train, valid and test, or one with ``_classes.csv`` itself.
    """

    root: Path


def read(config: Config) -> Annotated:
    """The rows of all splits."""
    folders = [config.root, *(config.root / name for name in dict.fromkeys(SPLIT_NAMES))]
    files = [folder / FILE for folder in folders if (folder / FILE).is_file()]
    if not files:
        raise DataError(f"{config.root}: no {FILE} in it or in train, valid or test; give Roboflow's export as --data.root")
    rows, names = list[Row](), dict[str, None]()
    for path in files:
        raw = read_csv(path)
        image = column_of("filename", raw[0], path, "the header, as Roboflow writes it")
        labels = [column for column in raw[0] if column != image]
        names |= dict.fromkeys(labels)
        split = None if path.parent == config.root else path.parent.name
        for number, cells in enumerate(raw, start=1):
            rows.append(_row(f"{path}, row {number}", path, cells, image, labels, split, config.root))
    return Annotated(rows, "unknown", tuple(names), config.root)


def _row(where: str, path: Path, cells: dict[str, str], image: str, labels: list[str], split: str | None, root: Path) -> Row:
    name, states = cells[image].strip(), {}
    if not name:
        raise DataError(f"{where}: {image} is empty")
    for label in labels:
        try:
            states[label] = state_of(cells[label])
        except UserError as error:
            raise DataError(f"{where}, column {label!r}: {error}") from None
    positives, negatives = (tuple(n for n, state in states.items() if state == value) for value in (1, 0))
    picture = path.parent / name
    return Row(where, picture, picture.relative_to(root).as_posix(), positives, negatives, split)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the export."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """A folder with ``_classes.csv`` and the pictures for each split, or all in one where there are none."""
    refuse_unknown(annotated, "Roboflow's multi-label CSV")
    labels, known = annotated.labels, {row.id: states for row, states in annotated.known()}
    image = "filename"
    if image in labels:
        raise DataError(f"label {image!r} is the name of a column in Roboflow's CSV; rename it, or use another format")
    for split, rows in by_split(annotated).items():
        folder = {"val": "valid", None: ""}.get(split, split) or ""
        lines: list[list[object]] = [[image, *labels]]
        for row in rows:
            name = output.picture(row, folder).removeprefix(f"{folder}/")
            lines.append([name, *(int(known[row.id][label]) for label in labels)])
        output.write_csv(f"{folder}/{FILE}" if folder else FILE, lines)
    return {"root": Path()}
