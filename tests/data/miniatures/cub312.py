"""A tiny CUB-200-2011: 200 classes of three pictures, the 312 real attributes, votes from which the published 112 come out."""

from pathlib import Path

import numpy as np
from PIL import Image

from ctran.data.readers.cub_concepts import CONCEPTS

MISSING = (
    "attributes.txt",
    *(f"CUB_200_2011/{f}" for f in ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt", "images")),
    "CUB_200_2011/attributes/image_attribute_labels.txt",
)
COLOURS = "blue brown iridescent purple rufous grey yellow olive green pink orange black white red buff"
PATTERNS = "solid spotted striped multi-colored"
ATTRIBUTES = {
    "bill_shape": "curved_(up_or_down) dagger hooked needle hooked_seabird spatulate all-purpose cone specialized",
    "wing_color": COLOURS,
    "upperparts_color": COLOURS,
    "underparts_color": COLOURS,
    "breast_pattern": PATTERNS,
    "back_color": COLOURS,
    "tail_shape": "forked_tail rounded_tail notched_tail fan-shaped_tail pointed_tail squared_tail",
    "upper_tail_color": COLOURS,
    "head_pattern": "spotted malar crested masked unique_pattern eyebrow eyering plain eyeline striped capped",
    "breast_color": COLOURS,
    "throat_color": COLOURS,
    "eye_color": COLOURS.replace(" iridescent", ""),
    "bill_length": "about_the_same_as_head longer_than_head shorter_than_head",
    "forehead_color": COLOURS,
    "under_tail_color": COLOURS,
    "nape_color": COLOURS,
    "belly_color": COLOURS,
    "wing_shape": "rounded-wings pointed-wings broad-wings tapered-wings long-wings",
    "size": "large_(16_-_32_in) small_(5_-_9_in) very_large_(32_-_72_in) medium_(9_-_16_in) very_small_(3_-_5_in)",
    "shape": "upright-perching_water-like chicken-like-marsh long-legged-like duck-like owl-like gull-like hummingbird-like "
    "pigeon-like tree-clinging-like hawk-like sandpiper-like upland-ground-like swallow-like perching-like",
    "back_pattern": PATTERNS,
    "tail_pattern": PATTERNS,
    "belly_pattern": PATTERNS,
    "primary_color": COLOURS,
    "leg_color": COLOURS,
    "bill_color": COLOURS,
    "crown_color": COLOURS,
    "wing_pattern": PATTERNS,
}
NAMES = [f"has_{group}::{value}" for group, values in ATTRIBUTES.items() for value in values.split()]
CLASSES = [f"{number:03}.Bird_{number}" for number in range(1, 201)]
FILES = [f"{name}/{name[4:]}_{part:04}_{100 * part + 7}.jpg" for name in CLASSES for part in (1, 2, 3)]
TRAINS = np.tile([True, True, False], 200)
IRREGULAR = {1000: "0", 1001: "0 0", 50_000: "0", 150_000: "0 0"}
"""Lines of the votes' file -> what stands between the fourth field and the time, as in some lines of the real one."""


def votes() -> tuple[np.ndarray, np.ndarray]:
    """Present (0, 1) and certainty (1 to 4) of 600 pictures x 312 attributes.

    60 classes have an attribute of the list, 5 classes any other. In training, the first picture of a class says what is meant;
    the second agrees, or says that nothing is there, or does not see the part. The test picture says anything.
    """
    chance = np.random.default_rng(312)
    rank = chance.random((200, 312)).argsort(axis=0)
    meant = rank < np.where(np.isin(np.arange(312), CONCEPTS), 60, 5)
    present, certainty = np.empty((200, 3, 312), int), chance.integers(2, 5, (200, 3, 312))
    second = chance.random((200, 312))
    present[:, 0] = meant
    present[:, 1] = meant & (second < 0.6)
    present[:, 2] = chance.random((200, 312)) < 0.5
    certainty[:, 1][second > 0.8] = 1
    certainty[:, 2] = chance.integers(1, 5, (200, 312))
    return present.reshape(600, 312), certainty.reshape(600, 312)


def numbered(words: list[str]) -> str:
    return "".join(f"{number} {word}\n" for number, word in enumerate(words, start=1))


def make(root: Path) -> dict[str, object]:
    """Write the data set below ``root``; the options that make it usable."""
    base = root / "CUB_200_2011"
    (base / "attributes").mkdir(parents=True)
    (root / "attributes.txt").write_text(numbered(NAMES))
    (base / "classes.txt").write_text(numbered(CLASSES))
    (base / "images.txt").write_text(numbered(FILES))
    (base / "image_class_labels.txt").write_text(numbered([str(1 + i // 3) for i in range(600)]))
    (base / "train_test_split.txt").write_text(numbered([str(int(train)) for train in TRAINS]))
    (base / "attributes" / "certainties.txt").write_text(numbered(["not visible", "guessing", "probably", "definitely"]))
    for number, file in enumerate(FILES):
        path = base / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), f"hsl({number * 360 // 600}, 70%, 50%)").save(path)
    present, certainty = (matrix.ravel().tolist() for matrix in votes())
    said = enumerate(zip(present, certainty, strict=True))
    lines = [f"{1 + n // 312} {1 + n % 312} {p} {c} {n % 97 / 8:.3f}\n" for n, (p, c) in said]
    for number, more in IRREGULAR.items():
        start, _, time = lines[number].rpartition(" ")
        lines[number] = f"{start} {more} {time}"
    (base / "attributes" / "image_attribute_labels.txt").write_text("".join(lines))
    return {"check_counts": False, "val": 8}


def break_record(root: Path) -> str:
    path = root / "CUB_200_2011" / "train_test_split.txt"
    path.write_text(path.read_text().replace("\n9 0\n", "\n9 yes\n", 1))
    return r"train_test_split.txt, line 9: expected a number from 0 to 1, got 'yes'"
