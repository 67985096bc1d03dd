"""COCO's JSON files (instances and captions), read into typed records.

msgspec keeps the fields that are named here and skips the others without making objects of them. Most of an instances file is
polygons, so its 450 MB take a few seconds and little more memory than the file itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from ctran.data.readers.typed_json import decode_json
from ctran.data.table import DataError

T = TypeVar("T")


class Picture(Struct, gc=False):
    """One entry of ``images``."""

    id: int
    file_name: str


class OfPicture(Struct, gc=False):
    """An annotation of any kind."""

    image_id: int


class Annotation(OfPicture, gc=False):
    """One object of an instances file; ``area`` in square pixels, ``iscrowd`` 1 for a region of many objects."""

    category_id: int
    area: float
    iscrowd: int


class Category(Struct):
    """One entry of ``categories``; the ids have gaps."""

    id: int
    name: str
    supercategory: str


class Caption(OfPicture, gc=False):
    """One sentence on a picture."""

    caption: str


class Instances(Struct):
    """``instances_*.json``."""

    images: list[Picture]
    annotations: list[Annotation]
    categories: list[Category]


class Captions(Struct):
    """``captions_*.json``."""

    images: list[Picture]
    annotations: list[Caption]


def read(path: Path, kind: type[T]) -> T:
    """The file as ``kind`` (:class:`Instances` or :class:`Captions`).

    Raises:
        DataError: not JSON (with the byte), or a field that is missing or of another type (with the place, such as
            ``$.annotations[3].image_id``).
    """
    broken = "An incomplete download? Get the file again"
    return decode_json(path.read_bytes(), kind, path, f"Is it COCO's {kind.__name__.lower()} format?", broken)


def rows_of(path: Path, pictures: Sequence[Picture], annotations: Sequence[OfPicture]) -> list[int]:
    """For each of ``annotations`` the position of its picture in ``pictures``.

    Raises:
        DataError: two pictures with one id, or an annotation of a picture that is not listed; names ``path`` and the record.
    """
    row = {picture.id: i for i, picture in enumerate(pictures)}
    if len(row) != len(pictures):
        duplicate = next(i for i, picture in enumerate(pictures) if row[picture.id] != i)
        later = row[pictures[duplicate].id]
        raise DataError(
            f"{path}: images[{duplicate}] and images[{later}] both have id {pictures[duplicate].id}; ids must be distinct"
        )
    try:
        return [row[annotation.image_id] for annotation in annotations]
    except KeyError:
        n = next(n for n, annotation in enumerate(annotations) if annotation.image_id not in row)
        unknown = annotations[n].image_id
        raise DataError(f"{path}: annotations[{n}].image_id is {unknown}, but no entry of images has that id") from None
