"""Photographs with keywords in the files or beside them, as digiKam, Lightroom, darktable and others write them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ctran.data.notices import notice
from ctran.data.output import Output, refuse_controls, rest_of, warn_of_lost
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.keywords import keywords_of, xmp_of
from ctran.data.readers.listed import ListedConfig
from ctran.data.rows import Annotated, Row, Says
from ctran.data.table import DataError, SampleTable
from ctran.images.reading import BrokenImageError, picture_files

SUMMARY = "photographs with keywords: XMP or IPTC in the files, or .xmp beside them (digiKam, Lightroom, darktable)"
SAYS = Says.LISTED
SPLITS = False
PICTURES_APART = False


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """Keywords (``dc:subject``, IPTC keywords) of all pictures in a folder and below. A sidecar replaces what is in the file.

    Args:
        root: the folder.
        untagged: pictures without any keyword: ``skip`` leaves them out, as most programs cannot say that a picture was
            checked and has none; ``empty``: they have no label.
        hierarchy: whether each part of a keyword's path (``animal|dog``) is a label too.
    """

    untagged: Literal["skip", "empty"] = "skip"
    hierarchy: bool = False


def read(config: Config) -> Annotated:
    """The pictures of the folder."""
    if not config.root.is_dir():
        raise DataError(f"{config.root}: not a folder; give the folder of the photographs as --data.root")
    rows, skipped = list[Row](), 0
    for path in picture_files(config.root):
        try:
            names = keywords_of(path, hierarchy=config.hierarchy)
        except BrokenImageError:  # the table's own check names it, or leaves it out
            rows.append(_row(path, (), config))
            continue
        if not names and config.untagged == "skip":
            skipped += 1
            continue
        rows.append(_row(path, names or (), config))
    if skipped:
        notice(f"{config.root}: {skipped:,} pictures without a keyword are left out; --data.untagged empty takes them")
    if not rows:
        raise DataError(f"{config.root}: no picture with a keyword in it or below")
    return Annotated(rows, config.absent)


def _row(path: Path, names: tuple[str, ...], config: Config) -> Row:
    return Row(str(path), path, path.relative_to(config.root).as_posix(), names)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the folder."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """Pictures with an ``.xmp`` beside each; the pictures themselves are not changed. The options that read them."""
    absent = rest_of(annotated, "a list of keywords")
    refuse_controls(annotated.labels, "XMP")
    warn_of_lost(annotated, "a list of keywords")
    for row in annotated.rows:
        name = output.picture(row, "")
        output.write(f"{name}.xmp", xmp_of(row.positives))
    return {"root": Path(), "absent": absent, "untagged": "empty"}
