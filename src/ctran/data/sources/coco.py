"""COCO's JSON of one's own pictures: a label is present where the picture has an annotation of that category."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from ctran.bounds import within
from ctran.data.output import Output, by_split, rest_of, size_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.listed import ListedConfig, label_of, picture_in, read_json, split_in
from ctran.data.rows import Annotated, Row, Says
from ctran.data.splits import SPLIT_NAMES
from ctran.data.table import DataError, SampleTable

SUMMARY = "your own COCO JSON: pictures, categories, and annotations with or without boxes"
SAYS = Says.LISTED


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """COCO's instances format, as Roboflow, CVAT, Label Studio, FiftyOne and Datumaro export it.

    The split follows from the name of a file or its folder: ``instances_train.json``, ``valid/_annotations.coco.json``.

    Args:
        root: the JSON file, or a folder with one for each split: in it, in ``annotations``, or in ``train``, ``valid`` and
            ``test``.
        images: folder of the pictures; null looks beside the file and in the usual folders.
        crowd: whether an annotation with ``iscrowd`` counts.
        min_area: annotations with a smaller area do not count.
        supercategories: whether a category's supercategory is a label too.
    """

    images: Path | None = None
    crowd: bool = True
    min_area: float = within(0.0, 0)
    supercategories: bool = False


class _Picture(Struct, gc=False):
    id: int | str
    file_name: str


class _Annotation(Struct, gc=False):
    image_id: int | str
    category_id: int | str
    area: float | None = None
    iscrowd: int | bool | None = 0


class _Category(Struct):
    id: int | str
    name: str
    supercategory: str | None = None


class _File(Struct):
    images: list[_Picture]
    categories: list[_Category]
    annotations: list[_Annotation] | None = None


def read(config: Config) -> Annotated:
    """The pictures of all files."""
    rows, names = list[Row](), dict[str, None]()
    for path in _files(config.root):
        content = read_json(path, _File, "COCO's images, annotations and categories")
        labels = _labels(path, content, config)
        names |= dict.fromkeys(name for some in labels.values() for name in some)
        rows += _rows(path, content, labels, config)
    return Annotated(rows, config.absent, tuple(names), config.images)


def _files(root: Path) -> list[Path]:
    """The file, or those of a folder."""
    if root.is_file():
        return [root]
    folders = [root, root / "annotations", *(root / name for name in dict.fromkeys(SPLIT_NAMES))]
    found = [path for folder in folders for path in sorted(folder.glob("*.json")) if path.is_file()]
    if not found:
        raise DataError(f"{root}: no .json file in it, in annotations, or in train, valid or test; give it as --data.root")
    return found


def _labels(path: Path, content: _File, config: Config) -> dict[int | str, tuple[str, ...]]:
    """Category id -> its labels."""
    found: dict[int | str, tuple[str, ...]] = {}
    for place, category in enumerate(content.categories):
        where = f"{path}, categories[{place}]"
        if category.id in found:
            raise DataError(f"{where}: two categories have id {category.id}; ids must be distinct")
        names = [label_of(category.name, where)]
        if config.supercategories and category.supercategory and category.supercategory.strip() not in ("", "none"):
            names.append(category.supercategory.strip())
        found[category.id] = tuple(dict.fromkeys(names))
    return found


def _rows(path: Path, content: _File, labels: dict[int | str, tuple[str, ...]], config: Config) -> Iterator[Row]:
    ticks: dict[int | str, dict[str, None]] = {}
    for place, picture in enumerate(content.images):
        if picture.id in ticks:
            raise DataError(f"{path}, images[{place}]: two pictures have id {picture.id}; ids must be distinct")
        ticks[picture.id] = {}
    for place, one in enumerate(content.annotations or ()):
        if one.image_id not in ticks:
            raise DataError(f"{path}, annotations[{place}]: image_id is {one.image_id}, but no entry of images has that id")
        if one.category_id not in labels:
            raise DataError(f"{path}, annotations[{place}]: category_id is {one.category_id}, which no category has")
        if (one.iscrowd and not config.crowd) or (one.area or 0) < config.min_area:
            continue
        ticks[one.image_id] |= dict.fromkeys(labels[one.category_id])
    split = split_in(path, config.root)
    beside = config.root if config.root.is_dir() else path.parent
    folders = [config.images] if config.images else [path.parent, path.parent / "images", beside, *_usual(beside, path, split)]
    for place, picture in enumerate(content.images):
        where = f"{path}, images[{place}]"
        if not picture.file_name:
            raise DataError(f"{where}: file_name is empty")
        found = picture_in(folders, picture.file_name)
        name = found.relative_to(beside) if found.is_relative_to(beside) else picture.file_name
        yield Row(where, found, Path(name).as_posix(), tuple(ticks[picture.id]), split=split)


def _usual(beside: Path, path: Path, split: str | None) -> Iterator[Path]:
    """Folders in which tools put the pictures of a file."""
    subset = path.stem.partition("_")[2] or "."  # instances_val2017
    for base in (beside, path.parent.parent):
        for middle in ("images", "data", "."):
            yield from (base / middle / name for name in dict.fromkeys((path.stem, subset, split or ".", ".")))


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the files."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``annotations/labels_SPLIT.json`` without boxes (Datumaro's coco_labels), and the pictures; the options that read it."""
    absent = rest_of(annotated, "COCO's format")
    numbers = {name: number for number, name in enumerate(annotated.labels, start=1)}
    categories = [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()]
    for split, rows in by_split(annotated).items():
        subset = split or "default"
        images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
        for number, row in enumerate(rows, start=1):
            width, height = size_of(row)
            name = output.picture(row, f"images/{subset}").removeprefix(f"images/{subset}/")
            images.append({"id": number, "file_name": name, "width": width, "height": height})
            for label in row.positives:
                of = {"id": len(annotations) + 1, "image_id": number, "category_id": numbers[label]}
                annotations.append(of | {"bbox": [], "area": 0, "iscrowd": 0, "segmentation": []})
        content = {"images": images, "annotations": annotations, "categories": categories}
        output.write_json(f"annotations/labels_{subset}.json", content)
    return {"root": Path(), "absent": absent}
