"""The clip-art library of the repository (``data/openclipart``), which has its own builder, splits and labels."""

from collections.abc import Sequence

from benchmarks.suite.drawing import Drawing, as_it_is
from benchmarks.suite.packages import Archive, Package
from ctran.data.sources import openclipart
from ctran.data.table import SampleTable

SUMMARY = "Open Clip Art 0.18: drawings; tags of their authors, cleaned"
KIND = "drawings"
LICENCE = "CC0-1.0, the Open Clip Art Library's contributors"
HOLES = False
PACKAGES: tuple[Package, ...] = ()


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every picture of the source ``openclipart``."""
    return from_tables(openclipart.build(openclipart.Config()))


def from_tables(tables: dict[str, SampleTable]) -> list[Drawing]:
    """The pictures of a source that has splits; every label that is not positive is absent."""
    return [
        Drawing(table.ids[i], {table.labels.names[k] for k in positives}, "", as_it_is(*_file(table, i)), split=split)
        for split, table in tables.items()
        for i, positives in enumerate(table.rows["positives"])
    ]


def _file(table: SampleTable, row: int) -> tuple[bytes, str]:
    content = table.content(row)
    return content, ".webp" if content[8:12] == b"WEBP" else ".jpg"
