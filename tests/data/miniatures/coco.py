"""COCO's JSON for each split in the layout of Roboflow's export: boxes, and ids with gaps."""

import json
from pathlib import Path

from tests.data.miniatures import edit_json, imagefolder

MISSING = ("train/07.png",)


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    categories = [{"id": 10 * i, "name": c, "supercategory": "colour"} for i, c in enumerate(imagefolder.COLOURS, start=1)]
    files: dict[str, dict[str, list]] = {}
    for number, (name, (colours, split)) in enumerate(imagefolder.pictures(root).items(), start=5):
        folder = {"val": "valid"}.get(split, split)
        (root / folder).mkdir(exist_ok=True)
        (root / name).rename(root / folder / name)
        content = files.setdefault(folder, {"info": {}, "images": [], "annotations": [], "categories": categories})
        content["images"].append({"id": number, "license": 1, "file_name": name, "height": 32, "width": 48})
        for colour in colours:
            category = 10 * (1 + imagefolder.COLOURS.index(colour))
            box = {"bbox": [1, 8, 12, 16], "area": 192, "segmentation": [], "iscrowd": 0}
            of = {"id": len(content["annotations"]), "image_id": number, "category_id": category}
            content["annotations"].append(of | box)
    for folder, content in files.items():
        (root / folder / "_annotations.coco.json").write_text(json.dumps(content))
    return {"absent": "negative"}


def break_record(root: Path) -> str:
    edit_json(root / "train/_annotations.coco.json", lambda content: content["annotations"][1].update(category_id=7))
    return r"_annotations.coco.json, annotations\[1\]: category_id is 7, which no category has"
