"""Datumaro's format in the layout of its package (1.10): a file and a folder of pictures for each subset."""

import json
from pathlib import Path

from tests.data.miniatures import edit_json, imagefolder

MISSING = ("annotations", "images/train/07.png")


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    (root / "annotations").mkdir()
    labels = [{"name": c, "parent": "", "attributes": []} for c in imagefolder.COLOURS]
    categories = {"label": {"labels": labels, "label_groups": [], "attributes": []}}
    items: dict[str, list[dict]] = {}
    for name, (colours, split) in imagefolder.pictures(root).items():
        (root / "images" / split).mkdir(parents=True, exist_ok=True)
        (root / name).rename(root / "images" / split / name)
        ticks = [
            {"id": 0, "type": "label", "attributes": {}, "group": 0, "label_id": imagefolder.COLOURS.index(c)} for c in colours
        ]
        item = {"id": name[:-4], "annotations": ticks, "attr": {}, "image": {"path": name, "size": [32, 48]}}
        items.setdefault(split, []).append(item)
    head = {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": categories}
    for split, some in items.items():
        (root / "annotations" / f"{split}.json").write_text(json.dumps(head | {"items": some}))
    return {"absent": "negative"}


def break_record(root: Path) -> str:
    edit_json(root / "annotations/train.json", lambda content: content["items"][2]["annotations"][0].update(label_id=3))
    return r"train.json, item '02', annotations\[0\]: label_id is 3, and there are 3 labels"
