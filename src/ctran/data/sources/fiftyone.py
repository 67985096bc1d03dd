"""FiftyOne's image classification data set: ``labels.json`` and the pictures in ``data``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from ctran.data.notices import notice
from ctran.data.output import Output, by_split, rest_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.listed import ListedConfig, label_of, read_json
from ctran.data.rows import Annotated, Row, Says
from ctran.data.splits import SPLIT_NAMES
from ctran.data.table import DataError, SampleTable
from ctran.images.reading import picture_files

SUMMARY = "FiftyOne's image classification data set: labels.json, pictures in data"
SAYS = Says.LISTED


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """A FiftyOneImageClassificationDataset, one label or several a picture.

    ``null`` is a picture without an annotation and left out; an empty list one without labels. Folders ``train``, ``val`` and
    ``test`` with such a data set each are splits.

    Args:
        root: the folder with ``labels.json`` and ``data``, or with one of these for each split.
    """


class _Target(Struct):
    label: str


class _File(Struct):
    labels: dict[str, _Target | int | str | list[_Target | int | str] | None]
    classes: list[str] | None = field(default=None)


def read(config: Config) -> Annotated:
    """The pictures of all splits."""
    folders = [config.root, *(config.root / name for name in dict.fromkeys(SPLIT_NAMES))]
    files = [folder / "labels.json" for folder in folders if (folder / "labels.json").is_file()]
    if not files:
        raise DataError(f"{config.root}: no labels.json in it or in train, val or test; give the export as --data.root")
    rows, names = list[Row](), dict[str, None]()
    for path in files:
        content = read_json(path, _File, "FiftyOne's classes and labels")
        names |= dict.fromkeys(label_of(name, f"{path}, classes") for name in content.classes or ())
        rows += _rows(path, content, config.root)
    if not rows:
        raise DataError(f"{files[0]}: no picture has an annotation")
    return Annotated(rows, config.absent, tuple(names), config.root)


def _rows(path: Path, content: _File, root: Path) -> list[Row]:
    folder = path.parent / "data"
    names: dict[str, str] = {}
    for picture in picture_files(folder) if folder.is_dir() else ():
        name = picture.relative_to(folder)
        names[name.as_posix()] = name.as_posix()
        names.setdefault(name.with_suffix("").as_posix(), name.as_posix())
    rows, split = [], path.parent.name if path.parent != root else None
    for key, targets in content.labels.items():
        where = f"{path}, picture {key!r}"
        if targets is None:
            continue
        many = targets if isinstance(targets, list) else [targets]
        labels = dict.fromkeys(_label(target, content.classes, where) for target in many)
        found = folder / names.get(key, key)
        rows.append(Row(where, found, (found.relative_to(root)).as_posix(), tuple(labels), split=split))
    if without := len(content.labels) - len(rows):
        notice(f"{path}: {without:,} pictures without an annotation (null) are left out")
    return rows


def _label(target: _Target | int | str, classes: list[str] | None, where: str) -> str:
    if isinstance(target, _Target):
        return label_of(target.label, where)
    if isinstance(target, int):
        if not classes or not 0 <= target < len(classes):
            raise DataError(f"{where}: target is {target}, and there are {len(classes or ())} classes")
        return label_of(classes[target], where)
    return label_of(target, where)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the export."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``labels.json`` and ``data``, in a folder for each split where there are splits; the options that read it."""
    absent = rest_of(annotated, "FiftyOne's format")
    numbers = {name: number for number, name in enumerate(annotated.labels)}
    for split, rows in by_split(annotated).items():
        under = f"{split}/data" if split else "data"
        names = {row.id: output.picture(row, under).removeprefix(f"{under}/") for row in rows}
        targets = {str(Path(names[row.id]).with_suffix("")): [numbers[name] for name in row.positives] for row in rows}
        output.write_json(f"{split}/labels.json" if split else "labels.json", {"classes": list(numbers), "labels": targets})
    return {"root": Path(), "absent": absent}
