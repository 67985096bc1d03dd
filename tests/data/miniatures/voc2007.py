"""A tiny VOC2007: the official folders, lists, per-class files and XML annotations of 28 drawn pictures."""

import random
from pathlib import Path

from PIL import Image, ImageDraw

MISSING = (
    *(f"VOCdevkit/VOC2007/ImageSets/Main/{f}.txt" for f in ("trainval", "test", "tvmonitor_trainval", "train_test")),
    "VOCdevkit/VOC2007/JPEGImages",
)
CLASSES = [
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
]
SIZE = (40, 32)


def objects() -> dict[str, list[tuple[str, bool]]]:
    """Picture -> its objects (class, difficult), from which every file is written."""
    chance = random.Random(2007)
    drawn = {}
    for number in range(1, 29):
        names = chance.choices(CLASSES, k=chance.randint(1, 4))
        drawn[f"{number:06}"] = [(name, chance.random() < 0.3) for name in names]
    drawn["000001"] = [("dog", True), ("person", False)]  # only difficult
    drawn["000005"] = [("dog", True), ("dog", False)]  # both: the class is there
    for number in range(6, 29, 2):
        drawn[f"{number:06}"].append(("sofa", True))
        drawn[f"{number:06}"].append(("cat", False))
    return drawn


def sets() -> dict[str, list[str]]:
    """The published sets: trainval is train and val."""
    names = [f"{number:06}" for number in range(1, 29)]
    halves = {"train": names[4:20:2], "val": names[5:20:2], "test": names[:4] + names[20:]}
    return {**halves, "trainval": sorted(halves["train"] + halves["val"])}


def mark(held: list[tuple[str, bool]], label: str) -> int:
    """1, 0 or -1 as the development kit defines them."""
    difficult = [hard for name, hard in held if name == label]
    return -1 if not difficult else 0 if all(difficult) else 1


def xml(picture: str, held: list[tuple[str, bool]]) -> str:
    boxes = "".join(
        f"\t<object>\n\t\t<name>{name}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
        f"\t\t<difficult>{int(hard)}</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{2 + 4 * n}</xmin>\n\t\t\t<ymin>4</ymin>\n"
        f"\t\t\t<xmax>{5 + 4 * n}</xmax>\n\t\t\t<ymax>{8 if hard else 28}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        for n, (name, hard) in enumerate(held)
    )
    return (
        f"<annotation>\n\t<folder>VOC2007</folder>\n\t<filename>{picture}.jpg</filename>\n\t<source>\n"
        "\t\t<database>The VOC2007 Database</database>\n\t\t<annotation>PASCAL VOC2007</annotation>\n"
        "\t\t<image>flickr</image>\n\t</source>\n\t<size>\n"
        f"\t\t<width>{SIZE[0]}</width>\n\t\t<height>{SIZE[1]}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>0</segmented>\n{boxes}</annotation>\n"
    )


def make(root: Path) -> dict[str, object]:
    """Write the data set below ``root``; the options that make it usable."""
    base = root / "VOCdevkit" / "VOC2007"
    lists = base / "ImageSets" / "Main"
    for folder in (base / "Annotations", base / "JPEGImages", lists):
        folder.mkdir(parents=True)
    drawn = objects()
    for picture, held in drawn.items():
        image = Image.new("RGB", SIZE, "white")
        pen = ImageDraw.Draw(image)
        for n, (name, hard) in enumerate(held):
            pen.rectangle([2 + 4 * n, 4, 5 + 4 * n, 8 if hard else 28], fill=f"hsl({18 * CLASSES.index(name)}, 80%, 50%)")
        image.save(base / "JPEGImages" / f"{picture}.jpg")
        (base / "Annotations" / f"{picture}.xml").write_text(xml(picture, held))
    for name, pictures in sets().items():
        (lists / f"{name}.txt").write_text("".join(f"{p}\n" for p in pictures))
        for label in CLASSES:
            lines = (f"{p} {mark(drawn[p], label):2d}\n" for p in pictures)
            (lists / f"{label}_{name}.txt").write_text("".join(lines))
    return {"check_counts": False, "val": 4}


def break_record(root: Path) -> str:
    path = root / "VOCdevkit/VOC2007/ImageSets/Main/cow_test.txt"
    path.write_text(path.read_text().replace("000002 -1", "000002 5", 1))
    return r"cow_test.txt, line 2: expected a picture and 1, 0 or -1, got '000002 5'"
