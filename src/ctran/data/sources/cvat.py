"""CVAT's XML for images: tags, and the labels of boxes and other shapes."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctran.data.output import Output, by_split, refuse_controls, rest_of, size_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.listed import ListedConfig, label_of, picture_in, split_in
from ctran.data.readers.xml_files import read_xml
from ctran.data.rows import Annotated, Row, Says
from ctran.data.splits import SPLIT_NAMES
from ctran.data.table import DataError, SampleTable

SUMMARY = "CVAT's XML for images (CVAT for images 1.1): tags, labels of shapes, checkboxes"
SAYS = Says.LISTED
_SHAPES = ("box", "polygon", "polyline", "points", "cuboid", "mask", "skeleton", "ellipse")


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """An export of CVAT in the format "CVAT for images 1.1".

    A label is present where the picture has a tag, or a shape, of it. ``subset`` is the split.

    Args:
        root: annotations.xml, or a folder with it or with such a file for each split.
        images: folder of the pictures; null looks in ``images`` beside the file and beside it.
        shapes: whether labels of boxes, polygons and other shapes count, or those of tags alone.
        checkboxes: whether a checkbox of a tag is a label too: true is present, false absent.
    """

    images: Path | None = None
    shapes: bool = True
    checkboxes: bool = False


def read(config: Config) -> Annotated:
    """The pictures of all files, and all labels of their tasks or projects."""
    paths = [config.root] if config.root.is_file() else sorted(config.root.glob("*.xml"))
    if not paths:
        raise DataError(f"{config.root}: no .xml file in it; give annotations.xml of CVAT's export as --data.root")
    rows, names = list[Row](), dict[str, None]()
    for path in paths:
        root = read_xml(path, "CVAT's annotations.xml")
        if root.tag != "annotations":
            raise DataError(f"{path}: expected <annotations> of CVAT for images 1.1, got <{root.tag}>")
        labels = (label_of(label.findtext("name"), f"{path}, <meta>") for label in root.iterfind("meta//labels/label"))
        boxes = _checkboxes(root) if config.checkboxes else frozenset[str]()
        names |= dict.fromkeys((*labels, *sorted(boxes)))
        for number, image in enumerate(root.iter("image"), start=1):
            rows.append(_row(path, f"{path}, image {image.get('id', number)}", image, config, boxes))
    return Annotated(rows, config.absent, tuple(names), config.images)


def _row(path: Path, where: str, image: ElementTree.Element, config: Config, boxes: frozenset[str]) -> Row:
    if not (name := (image.get("name") or "").strip()):
        raise DataError(f"{where}: it has no name")
    subset = (image.get("subset") or "").strip()
    split = subset.lower() if subset.lower() in SPLIT_NAMES else split_in(path, config.root)
    base = config.images or path.parent
    folders = [config.images] if config.images else [base / "images", base]
    found = picture_in([*(folder / subset for folder in folders if subset), *folders], name)
    states = dict(_states(image, where, config, boxes))
    positives, negatives = (tuple(n for n, state in states.items() if state is value) for value in (True, False))
    return Row(where, found, found.relative_to(base).as_posix(), positives, negatives, split)


def _checkboxes(root: ElementTree.Element) -> frozenset[str]:
    """Names of the attributes that are checkboxes."""
    found = root.iterfind("meta//labels/label/attributes/attribute")
    kinds = ((one.findtext("name") or "", one.findtext("input_type") or "") for one in found)
    return frozenset(name.strip() for name, kind in kinds if kind.strip() == "checkbox" and name.strip())


def _states(image: ElementTree.Element, where: str, config: Config, boxes: frozenset[str]) -> Iterator[tuple[str, bool]]:
    """Labels of a picture; those of shapes and tags last, which hold against a checkbox."""
    tags = [one for one in image if one.tag == "tag" or (config.shapes and one.tag in _SHAPES)]
    for one in tags:
        for attribute in one.iterfind("attribute") if one.tag == "tag" else ():
            if (name := (attribute.get("name") or "").strip()) in boxes:
                yield name, (attribute.text or "").strip().lower() == "true"
    for one in tags:
        yield label_of(one.get("label"), f"{where}, <{one.tag}>"), True


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the file."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``annotations.xml``, or a file for each split (a task of CVAT's), with tags; the pictures in ``images``."""
    absent = rest_of(annotated, "CVAT's XML")
    refuse_controls(annotated.labels, "XML")
    for split, rows in by_split(annotated).items():
        root = ElementTree.Element("annotations")
        ElementTree.SubElement(root, "version").text = "1.1"
        task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
        ElementTree.SubElement(task, "name").text = split or "annotations"
        ElementTree.SubElement(task, "size").text = str(len(rows))
        ElementTree.SubElement(task, "mode").text = "annotation"
        labels = ElementTree.SubElement(task, "labels")
        for name in annotated.labels:
            label = ElementTree.SubElement(labels, "label")
            ElementTree.SubElement(label, "name").text = name
            ElementTree.SubElement(label, "type").text = "tag"
            ElementTree.SubElement(label, "attributes")
        for number, row in enumerate(rows):
            width, height = size_of(row)
            about = {"id": str(number), "name": output.picture(row).removeprefix("images/")}
            image = ElementTree.SubElement(root, "image", about | {"width": str(width), "height": str(height)})
            for label in row.positives:
                ElementTree.SubElement(image, "tag", label=label, source="manual")
        ElementTree.indent(root)
        content = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        output.write(f"{split or 'annotations'}.xml", content)
    return {"root": Path(), "absent": absent}
