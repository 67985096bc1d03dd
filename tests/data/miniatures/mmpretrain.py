"""Annotation files of mmpretrain's MultiLabelDataset beside the pictures."""

import json
from pathlib import Path

from tests.data.miniatures import edit_json, imagefolder

MISSING = ("data/07.png",)


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    (root / "data").mkdir()
    files: dict[str, list[dict]] = {}
    for name, (colours, split) in imagefolder.pictures(root / "data").items():
        numbers = [imagefolder.COLOURS.index(c) for c in colours]
        files.setdefault(split, []).append({"img_path": name, "gt_label": numbers})
    for split, pictures in files.items():
        content = {"metainfo": {"classes": imagefolder.COLOURS}, "data_list": pictures}
        (root / f"{split}.json").write_text(json.dumps(content))
    return {"absent": "negative"}


def break_record(root: Path) -> str:
    edit_json(root / "train.json", lambda content: content["data_list"][2].update(gt_label=[0, "green"]))
    return r"train.json: .*data_list\[2\]|train.json: Expected .*\$\.data_list\[2\]"
