"""NEWS-500's files in small, as the released loader reads them: pickles of protocol 2, arrays of doubles, 500 columns."""

import pickle
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

MISSING = ("train_split.p", "caption_train_space.npy", "test_split.p", "caption_test_space.npy", "bbc_data/images/2009")
PREFIX = "/localtmp/data/data/"
LABELS = 500
SIZES = {"train": 14, "test": 8}


def plan(split: str) -> dict[str, tuple[str, list[int]]]:
    """Image id -> file below root, label indices. One picture of each split has none."""
    chance = random.Random(split)
    pictures = {}
    for number in range(SIZES[split]):
        labels = [] if number == 2 else sorted({0, *chance.sample(range(LABELS), 3)} if number % 2 else {LABELS - 1, number})
        name = f"{split}-{chance.randrange(10**6):06}"
        pictures[name] = (f"bbc_data/images/{2009 + number % 2}/{name}.jpg", labels)
    return pictures


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    for split in SIZES:
        pictures = plan(split)
        space = np.zeros((len(pictures), LABELS))
        for row, (file, labels) in enumerate(pictures.values()):
            space[row, labels] = 1
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.new("RGB", (40, 32), (row * 15, 90, 160))
            ImageDraw.Draw(picture).text((2, 2), str(row), fill="white")
            picture.save(path, quality=90)
        records = [{"file_path": PREFIX + file, "image_id": name} for name, (file, _) in pictures.items()]
        (root / f"{split}_split.p").write_bytes(pickle.dumps(records, protocol=2))
        np.save(root / f"caption_{split}_space.npy", space)
    return {"check_counts": False, "val": 4}


def break_record(root: Path) -> str:
    (root / "train_split.p").write_bytes(pickle.dumps([["a.jpg", 3]]))
    return r"train_split.p, record 0: expected .*file_path.*got \['a.jpg', 3\]"
