"""Google's (Vertex AI, AutoML) import file: CSV without a header, ``use,address,label,label...``, in rows of any length."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctran.data.output import Output, rest_of, split_of, warn_of_lost
from ctran.data.readers.addresses import Pictures, parts_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.listed import ListedConfig, find_file, labels_of
from ctran.data.rows import Annotated, Row, Says
from ctran.data.table import DataError, SampleTable
from ctran.textfile import read_text

SUMMARY = "Vertex AI's import file: CSV without a header, an optional use, the address, any number of labels"
SAYS = Says.LISTED
_USES = {
    "train": "train",
    "training": "train",
    "validate": "val",
    "validation": "val",
    "test": "test",
    "unassigned": None,
    "": None,
}
"""First cell of a row -> split."""


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """An import file of Vertex AI or AutoML Vision, also of tools that write ``path,label,label``.

    Args:
        root: the CSV file.
        images: folder of the pictures, null takes the file's; they are found by the end of the address (``gs://...``).
    """

    images: Path | None = None


def read(config: Config) -> Annotated:
    """The rows of the file."""
    path = find_file(config.root, "*.csv", "the import file")
    folder = config.images or path.parent
    pictures, rows = Pictures(folder), list[Row]()
    reader = csv.reader(io.StringIO(read_text(path, DataError), newline=""), strict=True)
    try:
        for number, cells in enumerate((cells for cells in reader if any(cells)), start=1):
            rows.append(_row(f"{path}, row {number}", cells, pictures, folder))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV ({error}); is a quote not closed?") from None
    return Annotated(rows, config.absent, folder=config.images)


def _row(where: str, cells: list[str], pictures: Pictures, folder: Path) -> Row:
    used = cells[0].strip().lower() in _USES
    split = _USES[cells[0].strip().lower()] if used else None
    address, *labels = (cell.strip() for cell in cells[used:]) if len(cells) > used else ("",)
    if not (parts := parts_of(address)):
        raise DataError(f"{where}: expected the address of a picture, got {address!r}")
    found = pictures.find(address) or folder.joinpath(*parts)
    return Row(where, found, found.relative_to(folder).as_posix(), labels_of((n for n in labels if n), where), split=split)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the file."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``import.csv`` beside the folder of the pictures, whose addresses are relative to it; the options that read it."""
    absent = rest_of(annotated, "an import file of Vertex AI")
    warn_of_lost(annotated, "an import file of Vertex AI")
    uses = {"train": "training", "val": "validation", "test": "test", None: "unassigned"}
    rows = ([uses[split_of(row)], output.picture(row), *row.positives] for row in annotated.rows)
    output.write_csv("import.csv", rows)
    return {"root": Path("import.csv"), "absent": absent}
