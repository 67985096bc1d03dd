"""FiftyOneImageClassificationDataset, a folder a split: numbers of classes, also single ones, and one picture without."""

import json
from pathlib import Path

from tests.data.miniatures import edit_json, imagefolder

MISSING = ("train/data",)


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    files: dict[str, dict[str, object]] = {}
    for name, (colours, split) in imagefolder.pictures(root).items():
        (root / split / "data").mkdir(parents=True, exist_ok=True)
        (root / name).rename(root / split / "data" / name)
        numbers = [imagefolder.COLOURS.index(c) for c in colours]
        files.setdefault(split, {})[name[:-4]] = numbers[0] if len(numbers) == 1 else numbers
    (root / "train/data/none.png").write_bytes((root / "train/data/00.png").read_bytes())
    files["train"]["none"] = None
    for split, labels in files.items():
        (root / split / "labels.json").write_text(json.dumps({"classes": imagefolder.COLOURS, "labels": labels}))
    return {"absent": "negative"}


def break_record(root: Path) -> str:
    edit_json(root / "train/labels.json", lambda content: content["labels"].update({"02": [0, 3]}))
    return r"labels.json, picture '02': target is 3, and there are 3 classes"
