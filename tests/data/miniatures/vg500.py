"""A tiny VG-500: lists, index and two picture folders as they are unpacked, 500 label numbers."""

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

MISSING = ("train_list_500.txt", "test_list_500.txt", "vg_category_500_labels_index.json", "VG_100K")
TRAIN = [f"{2_320_000 + 37 * n}.jpg" for n in range(20)]
TEST = [f"{2_400_000 + 41 * n}.jpg" for n in range(6)] + [f"{n}.jpg" for n in range(1, 5)]
SIZE = (40, 32)


def drawn() -> dict[str, list[int]]:
    """Picture -> label numbers, the frequent ones first; the last picture has all 500."""
    chance = random.Random(500)
    labels = {file: sorted({int(500 * chance.random() ** 3) for _ in range(chance.randint(1, 20))}) for file in (*TRAIN, *TEST)}
    return {**labels, TEST[-1]: list(range(500)), "999999.jpg": [3]}  # the index may know pictures that are in no list


def make(root: Path) -> dict[str, object]:
    """Write the data set below ``root``; the options that make it usable."""
    labels = drawn()
    for number, file in enumerate((*TRAIN, *TEST)):
        path = root / ("VG_100K_2" if number % 3 else "VG_100K") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", SIZE, "white")
        pen = ImageDraw.Draw(image)
        for place, label in enumerate(labels[file][:8]):
            pen.rectangle([5 * place, 4, 5 * place + 4, 28], fill=f"hsl({label * 360 // 500}, 80%, 50%)")
        image.save(path)
    (root / "train_list_500.txt").write_text("".join(f"{file}\n" for file in TRAIN))
    (root / "test_list_500.txt").write_text("".join(f"{file}\n" for file in TEST))
    (root / "vg_category_500_labels_index.json").write_text(json.dumps(labels))
    return {"check_counts": False, "val": 5}


def break_record(root: Path) -> str:
    path = root / "vg_category_500_labels_index.json"
    path.write_text(json.dumps(drawn() | {TRAIN[3]: [500]}))
    return rf"labels_index.json.*picture {TRAIN[3]}: expected a list of numbers from 0 to 499, got \[500\]"
