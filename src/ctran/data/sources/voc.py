"""VOC's XML of one's own pictures: a file a picture, with the names of its objects."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctran.data.readers.annotations import to_tables
from ctran.data.readers.listed import ListedConfig, picture_in
from ctran.data.readers.xml_files import read_xml, text_at
from ctran.data.rows import Annotated, Row, Says
from ctran.data.splits import SPLIT_NAMES
from ctran.data.table import DataError, SampleTable
from ctran.textfile import read_text

SUMMARY = "your own VOC XML: a file a picture with its objects, as LabelImg, Roboflow and CVAT write it"
SAYS = Says.LISTED


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """A folder of XML files in VOC's format.

    A label is present where the picture has an object of that name. The split is that of ``ImageSets/Main/train.txt``, or
    of the folder of the file (``train``, ``valid``, ``test``).

    Args:
        root: the folder: with ``Annotations`` and ``JPEGImages``, with a folder a split, or with the XML files themselves.
        images: folder of the pictures; null looks beside each file and in ``JPEGImages``.
        difficult: what a label is of which all objects are marked as difficult.
    """

    images: Path | None = None
    difficult: Literal["unknown", "positive", "negative"] = "unknown"


def read(config: Config) -> Annotated:
    """The pictures of all files."""
    files = sorted(path for path in config.root.rglob("*.xml") if path.is_file())
    if not files:
        raise DataError(f"{config.root}: no .xml file in it or below; give the folder of VOC's annotations as --data.root")
    sets = dict(_sets(config.root))
    rows = [_row(path, config, sets) for path in files]
    return Annotated(rows, config.absent, folder=config.images)


def _sets(root: Path) -> Iterator[tuple[str, str]]:
    """Name of a picture without ending -> split."""
    for name in SPLIT_NAMES:
        path = root / "ImageSets" / "Main" / f"{name}.txt"
        for line in read_text(path, DataError).splitlines() if path.is_file() else ():
            if line.strip():
                yield line.split()[0], name


def _row(path: Path, config: Config, sets: dict[str, str]) -> Row:
    root = read_xml(path, "VOC's <annotation>")
    if root.tag != "annotation":
        raise DataError(f"{path}: expected <annotation> of VOC's format, got <{root.tag}>")
    name = text_at(root, "filename", str(path)).replace("\\", "/")
    objects: dict[str, bool] = {}
    for number, one in enumerate(root.iterfind("object"), start=1):
        label = text_at(one, "name", f"{path}, object {number}")
        objects[label] = objects.get(label, True) and (one.findtext("difficult") or "0").strip() == "1"
    clear = tuple(label for label, difficult in objects.items() if not difficult)
    unclear = {config.difficult: tuple(label for label, difficult in objects.items() if difficult)}
    base = config.images or config.root
    folders = (
        [config.images] if config.images else [path.parent, path.parent.parent / "JPEGImages", path.parent.parent / "images"]
    )
    found = picture_in(folders, name)
    split = path.parent.name if path.parent != config.root and path.parent.name in SPLIT_NAMES else sets.get(path.stem)
    return Row(
        str(path),
        found,
        (found.relative_to(base) if found.is_relative_to(base) else found).as_posix(),
        (*clear, *unclear.get("positive", ())),
        unclear.get("negative", ()),
        split,
        unclear.get("unknown", ()),
    )


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the files."""
    return to_tables(read(config), config)
