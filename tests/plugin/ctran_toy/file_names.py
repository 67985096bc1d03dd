"""A data source: pictures whose file names list their labels, as ``beach+people-17.jpg``."""

from dataclasses import dataclass
from pathlib import Path

from ctran.data.readers.annotations import to_tables
from ctran.data.reading import Reading
from ctran.data.rows import Annotated, Row
from ctran.data.table import DataError, SampleTable

SUMMARY = "pictures whose file names list their labels: beach+people-17.jpg"


@dataclass(frozen=True)
class Config(Reading):
    """Pictures in one folder; a label that a name does not list is not in the picture.

    Args:
        root: the folder.
        separator: between the labels of a name.
    """

    root: Path
    separator: str = "+"


def build(config: Config) -> dict[str, SampleTable]:
    """Tables of train, val and test: 70, 10 and 20 % of the pictures, by their content."""
    rows = []
    for path in sorted(config.root.glob("*.jpg")):
        names, dash, _ = path.stem.partition("-")
        if not dash:
            raise DataError(f"{path}: expected a name such as beach+people-17.jpg")
        rows.append(Row(path.name, path, path.name, tuple(names.split(config.separator))))
    return to_tables(Annotated(rows, "negative", folder=config.root), config)
