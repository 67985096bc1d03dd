"""Datumaro's JSON: labels of pictures and of the shapes in them, a file a subset."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from ctran.data.output import Output, by_split, rest_of, size_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.listed import ListedConfig, label_of, picture_in, read_json
from ctran.data.rows import Annotated, Row, Says
from ctran.data.splits import SPLIT_NAMES
from ctran.data.table import DataError, SampleTable

SUMMARY = "Datumaro's JSON: annotations/SUBSET.json with labels, pictures in images"
SAYS = Says.LISTED


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """A data set in Datumaro's own format.

    A label is present where the picture has an annotation of it, of any type. The subset is the split.

    Args:
        root: the folder with ``annotations`` and ``images``, or one JSON file.
        images: folder of the pictures; null looks in ``images`` and ``images/SUBSET``.
        zero_score: what a label with the attribute ``score`` 0 is, which Datumaro's import of Open Images gives to labels that
            were verified as absent.
    """

    images: Path | None = None
    zero_score: Literal["negative", "unknown", "positive"] = "negative"


class _Label(Struct):
    name: str


class _Labels(Struct):
    labels: list[_Label] = field(default_factory=list)


class _Categories(Struct):
    label: _Labels = field(default_factory=_Labels)


class _Annotation(Struct):
    label_id: int | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


class _Picture(Struct):
    path: str = ""


class _Item(Struct):
    id: str
    annotations: list[_Annotation] = field(default_factory=list)
    image: _Picture | None = None


class _File(Struct):
    items: list[_Item]
    categories: _Categories = field(default_factory=_Categories)


def read(config: Config) -> Annotated:
    """The items of all subsets."""
    folder = config.root / "annotations"
    paths = [config.root] if config.root.is_file() else sorted(folder.glob("*.json"))
    if not paths:
        raise DataError(f"{folder}: no .json file in it; give the folder of Datumaro's data set as --data.root")
    rows, names = list[Row](), dict[str, None]()
    for path in paths:
        content = read_json(path, _File, "categories and items of Datumaro's format")
        labels = [label_of(one.name, f"{path}, label {i}") for i, one in enumerate(content.categories.label.labels)]
        names |= dict.fromkeys(labels)
        rows += [_row(path, item, labels, config) for item in content.items]
    return Annotated(rows, config.absent, tuple(names), config.images)


def _row(path: Path, item: _Item, labels: list[str], config: Config) -> Row:
    where, states = f"{path}, item {item.id!r}", dict[str, str]()
    for place, one in enumerate(item.annotations):
        if one.label_id is None:
            continue
        if not 0 <= one.label_id < len(labels):
            raise DataError(f"{where}, annotations[{place}]: label_id is {one.label_id}, and there are {len(labels)} labels")
        zero = config.zero_score if one.attributes.get("score") == 0 else "positive"
        if states.get(labels[one.label_id]) != "positive":
            states[labels[one.label_id]] = zero
    if item.image is None or not (name := item.image.path or item.id):
        raise DataError(f"{where}: it has no image with a path")
    base = path.parent.parent if path.parent.name == "annotations" else path.parent
    beside = base / "images"
    found = picture_in([config.images] if config.images else [beside / path.stem, beside, base], name)
    split = path.stem if path.stem in SPLIT_NAMES else None
    listed = [tuple(n for n, state in states.items() if state == kind) for kind in ("positive", "negative", "unknown")]
    return Row(where, found, f"{path.stem}/{item.id}", listed[0], listed[1], split, listed[2])


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the files."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``annotations/SUBSET.json`` and ``images/SUBSET``; the options that read it."""
    absent = rest_of(annotated, "Datumaro's format")
    numbers = {name: number for number, name in enumerate(annotated.labels)}
    labels = [{"name": name, "parent": "", "attributes": []} for name in numbers]
    categories = {"label": {"labels": labels, "label_groups": [], "attributes": []}}
    for split, rows in by_split(annotated).items():
        subset, items = split or "default", []
        for row in rows:
            width, height = size_of(row)
            under = f"images/{subset}"
            name = output.picture(row, under).removeprefix(f"{under}/")
            ticks = [
                {"id": 0, "type": "label", "attributes": {}, "group": 0, "label_id": numbers[label]} for label in row.positives
            ]
            image = {"path": name, "size": [height, width]}
            items.append({"id": str(Path(name).with_suffix("")), "annotations": ticks, "image": image})
        content = {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": categories, "items": items}
        output.write_json(f"annotations/{subset}.json", content)
    return {"root": Path(), "absent": absent}
