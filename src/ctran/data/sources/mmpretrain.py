"""mmpretrain's multi-label annotation: JSON with classes, and class numbers of each picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from ctran.data.output import Output, by_split, rest_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.listed import ListedConfig, label_of, picture_in, read_json, split_in
from ctran.data.rows import Annotated, Row, Says
from ctran.data.table import DataError, SampleTable

SUMMARY = "mmpretrain's multi-label JSON: metainfo.classes, and gt_label of each picture"
SAYS = Says.LISTED


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """Annotation files of mmpretrain's (OpenMMLab's) MultiLabelDataset; the name of a file is the split.

    Args:
        root: the JSON file, or a folder with train.json, val.json and test.json.
        images: folder of the pictures (``data_prefix``); null looks beside the file and in ``images`` and ``data``.
    """

    images: Path | None = None


class _Meta(Struct):
    classes: list[str]


class _Picture(Struct):
    img_path: str
    gt_label: list[int] | int = field(default_factory=list)


class _File(Struct):
    metainfo: _Meta
    data_list: list[_Picture]


def read(config: Config) -> Annotated:
    """The pictures of all files."""
    paths = [config.root] if config.root.is_file() else sorted(config.root.glob("*.json"))
    if not paths:
        raise DataError(f"{config.root}: no .json file in it; give mmpretrain's annotation file or its folder as --data.root")
    rows, names = list[Row](), dict[str, None]()
    for path in paths:
        content = read_json(path, _File, "metainfo and data_list of mmpretrain's annotation files")
        classes = [label_of(name, f"{path}, metainfo.classes[{i}]") for i, name in enumerate(content.metainfo.classes)]
        names |= dict.fromkeys(classes)
        base = path.parent
        folders = (
            [config.images] if config.images else [base, base / "images", base / "data", base.parent, base.parent / "images"]
        )
        for place, picture in enumerate(content.data_list):
            where = f"{path}, data_list[{place}]"
            if not picture.img_path:
                raise DataError(f"{where}: img_path is empty")
            numbers = picture.gt_label if isinstance(picture.gt_label, list) else [picture.gt_label]
            if wrong := [n for n in numbers if not 0 <= n < len(classes)]:
                raise DataError(f"{where}: gt_label has {wrong[0]}, and there are {len(classes)} classes")
            labels = tuple(dict.fromkeys(classes[number] for number in numbers))
            found = picture_in(folders, picture.img_path)
            rows.append(Row(where, found, picture.img_path, labels, split=split_in(path, config.root)))
    return Annotated(rows, config.absent, tuple(names), config.images)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the files."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``SPLIT.json`` beside the pictures; the options that read it."""
    absent = rest_of(annotated, "mmpretrain's format")
    numbers = {name: number for number, name in enumerate(annotated.labels)}
    for split, rows in by_split(annotated).items():
        pictures = [{"img_path": output.picture(row), "gt_label": [numbers[name] for name in row.positives]} for row in rows]
        content = {"metainfo": {"classes": list(numbers)}, "data_list": pictures}
        output.write_json(f"{split or 'labels'}.json", content)
    return {"root": Path(), "absent": absent}
