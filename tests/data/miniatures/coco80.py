"""COCO 2014 in small: the official folders and fields, all 80 categories, 28 drawn pictures."""

import json
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

MISSING = ("annotations/instances_train2014.json", "annotations/instances_val2014.json", "train2014", "val2014")
SUPER_CATEGORIES = {
    "person": "1 person",
    "vehicle": "2 bicycle, 3 car, 4 motorcycle, 5 airplane, 6 bus, 7 train, 8 truck, 9 boat",
    "outdoor": "10 traffic light, 11 fire hydrant, 13 stop sign, 14 parking meter, 15 bench",
    "animal": "16 bird, 17 cat, 18 dog, 19 horse, 20 sheep, 21 cow, 22 elephant, 23 bear, 24 zebra, 25 giraffe",
    "accessory": "27 backpack, 28 umbrella, 31 handbag, 32 tie, 33 suitcase",
    "sports": "34 frisbee, 35 skis, 36 snowboard, 37 sports ball, 38 kite, 39 baseball bat, 40 baseball glove, 41 skateboard, "
    "42 surfboard, 43 tennis racket",
    "kitchen": "44 bottle, 46 wine glass, 47 cup, 48 fork, 49 knife, 50 spoon, 51 bowl",
    "food": "52 banana, 53 apple, 54 sandwich, 55 orange, 56 broccoli, 57 carrot, 58 hot dog, 59 pizza, 60 donut, 61 cake",
    "furniture": "62 chair, 63 couch, 64 potted plant, 65 bed, 67 dining table, 70 toilet",
    "electronic": "72 tv, 73 laptop, 74 mouse, 75 remote, 76 keyboard, 77 cell phone",
    "appliance": "78 microwave, 79 oven, 80 toaster, 81 sink, 82 refrigerator",
    "indoor": "84 book, 85 clock, 86 vase, 87 scissors, 88 teddy bear, 89 hair drier, 90 toothbrush",
}
CATEGORIES = [
    {"supercategory": group, "id": int(number), "name": name}
    for group, members in SUPER_CATEGORIES.items()
    for number, _, name in (member.partition(" ") for member in members.split(", "))
]
SIZES = {"train2014": 16, "val2014": 12}
WIDTH, HEIGHT = 40, 32


def file_name(half: str, number: int) -> str:
    return f"COCO_{half}_{number:012}.jpg"


def plan(half: str) -> dict[int, list[tuple[int, int, bool]]]:
    """What is in each picture of a half: number -> (category id, side of its square in pixels, crowd), commoner ones first.

    The second picture has nothing, the third a crowd alone, the fourth one object of 9 square pixels.
    """
    chance = random.Random(half)
    common = [1, 3, 17, 18, 44, 62, 67, 90]
    numbers = chance.sample(range(1, 580_000), SIZES[half])
    objects = [[(kind, 12, False) for kind in chance.sample(common, chance.randint(1, 4))] for _ in numbers]
    objects[0] = [(1, 12, False), (1, 8, False), (90, 10, False)]
    objects[1], objects[2], objects[3] = [], [(1, 20, True)], [(13, 3, False)]
    return dict(zip(numbers, objects, strict=True))


def draw(path: Path, shades: list[int], sides: list[int]) -> None:
    """A grey picture with one square for each shade (any number up to 90)."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "grey")
    pen = ImageDraw.Draw(picture)
    for place, (shade, side) in enumerate(zip(shades, sides, strict=True)):
        pen.rectangle([9 * place, 2, 9 * place + side, 2 + side], fill=(shade * 2, 255 - shade * 2, 40 * place))
    picture.save(path, quality=90)


def picture_entry(half: str, number: int) -> dict[str, Any]:
    return {
        "license": 5,
        "file_name": file_name(half, number),
        "coco_url": f"http://images.cocodataset.org/{half}/{file_name(half, number)}",
        "height": HEIGHT,
        "width": WIDTH,
        "date_captured": "2013-11-14 16:28:13",
        "flickr_url": "http://farm1.staticflickr.com/0/0_z.jpg",
        "id": number,
    }


def content(half: str) -> dict[str, Any]:
    """An instances file: every field of the official ones."""
    annotations = []
    for number, objects in plan(half).items():
        for kind, side, crowd in objects:
            outline: Any = [[2.5, 2.0, 2.5 + side, 2.0, 2.5 + side, 2.0 + side, 2.5, 2.0 + side]]
            if crowd:
                outline = {"counts": [64, side * side, WIDTH * HEIGHT - side * side - 64], "size": [HEIGHT, WIDTH]}
            entry = {"segmentation": outline, "area": float(side * side), "iscrowd": int(crowd), "image_id": number}
            annotations.append(entry | {"bbox": [2.5, 2.0, side, side], "category_id": kind, "id": len(annotations) + 1})
    return {
        "info": {"description": "COCO 2014 in small", "url": "http://cocodataset.org", "version": "1.0", "year": 2014},
        "images": [picture_entry(half, number) for number in plan(half)],
        "licenses": [{"url": "http://creativecommons.org/licenses/by-nc/2.0/", "id": 5, "name": "a licence"}],
        "annotations": annotations,
        "categories": CATEGORIES,
    }


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    for half in SIZES:
        (root / half).mkdir(parents=True)
        for number, objects in plan(half).items():
            draw(root / half / file_name(half, number), [kind for kind, _, _ in objects], [side for _, side, _ in objects])
        path = root / "annotations" / f"instances_{half}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content(half)), encoding="utf-8")
    return {"check_counts": False, "val": 4}


def break_record(root: Path) -> str:
    path = root / "annotations" / "instances_train2014.json"
    content = json.loads(path.read_text())
    content["annotations"][2]["image_id"] = "7"
    path.write_text(json.dumps(content))
    return r"instances_train2014.json.*got `str` - at `\$.annotations\[2\].image_id`"
