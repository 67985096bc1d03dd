"""A tiny part of Open Images V7: verdicts, some of pictures that are elsewhere, and pictures without a verdict."""

import random
from pathlib import Path

from PIL import Image, ImageDraw

MISSING = (
    "oidv7-class-descriptions.csv",
    *(f"oidv7-{split}-annotations-human-imagelabels.csv" for split in ("train", "val", "test")),
    "validation",
    "test",
)
DESCRIPTIONS = {
    "/m/01g317": "Person",
    "/m/0199g": "Bicycle",
    "/m/07j7r": "Tree",
    "/m/0c9ph5": "Flower",
    "/m/0h8n6ft": 'Salt, "kosher"',
    "/m/02xwb": "Crab",  # the animal
    "/m/0n28_": "Crab",  # the food
    "/m/083vt": "Wood",
}
SIZE = (40, 32)
RARE = "/m/083vt"
"""Verified to be there in two training pictures only."""
COUNTS = {"train": 20, "val": 8, "test": 8}
FOLDERS = {"train": ("train_0", "train_f"), "val": ("validation",), "test": ("test",)}
WITHOUT_VERDICT = 2
ELSEWHERE = 3
"""So many pictures of each split are on disk without a verdict, and so many have verdicts but are not on disk."""


def identity(split: str, number: int) -> str:
    """Sixteen hexadecimal digits, as the real ids have."""
    return f"{random.Random(f'{split} {number}').getrandbits(64):016x}"


def verdicts(split: str) -> dict[str, dict[str, int]]:
    """Picture -> label code -> 1 or 0, of the pictures on disk; a picture without a verdict has an empty one."""
    chance = random.Random(f"verdicts {split}")
    said = {}
    for number in range(COUNTS[split]):
        about = [code for code in DESCRIPTIONS if code != RARE and chance.random() < 0.5] or ["/m/07j7r"]
        said[identity(split, number)] = {code: int(chance.random() < 0.6) for code in about}
    for picture in list(said)[:2]:
        said[picture][RARE] = 1
    return said | {identity(split, number): {} for number in range(COUNTS[split], COUNTS[split] + WITHOUT_VERDICT)}


def write_labels(path: Path, split: str) -> None:
    """The label file, a picture's rows together; those that are elsewhere come between."""
    chance = random.Random(f"labels {split}")
    said = verdicts(split) | {identity(f"{split} elsewhere", number): {"/m/07j7r": 1} for number in range(ELSEWHERE)}
    lines = ["ImageID,Source,LabelName,Confidence\n"]
    for picture in sorted(said):
        for code, value in said[picture].items():
            source = chance.choice(["verification", "crowdsource-verification"])
            lines.append(f"{picture},{source},{code},{chance.choice([f'{value}', f'{value}.0'])}\n")
    path.write_text("".join(lines))


def make(root: Path) -> dict[str, object]:
    """Write the data set below ``root``; the options that make it usable."""
    root.mkdir(parents=True, exist_ok=True)
    quoted = {code: f'"{name.replace(chr(34), chr(34) * 2)}"' if "," in name else name for code, name in DESCRIPTIONS.items()}
    lines = "".join(f"{code},{name}\n" for code, name in quoted.items())
    (root / "oidv7-class-descriptions.csv").write_text(f"LabelName,DisplayName\n{lines}")
    for split, folders in FOLDERS.items():
        write_labels(root / f"oidv7-{split}-annotations-human-imagelabels.csv", split)
        for number, (picture, said) in enumerate(verdicts(split).items()):
            path = root / folders[number % len(folders)] / f"{picture}.jpg"
            path.parent.mkdir(exist_ok=True)
            image = Image.new("RGB", SIZE, "white")
            pen = ImageDraw.Draw(image)
            for place, code in enumerate(DESCRIPTIONS):
                if said.get(code):
                    pen.rectangle([5 * place, 4, 5 * place + 4, 28], fill=f"hsl({45 * place}, 80%, 50%)")
            image.save(path)
    return {"min_positives": 3}


def break_record(root: Path) -> str:
    path = root / "oidv7-train-annotations-human-imagelabels.csv"
    header, _, rest = path.read_text().partition("\n")
    path.write_text(f"{header}\nx,verification,/m/07j7r,0.7\n{rest}")
    return r"oidv7-train-annotations-human-imagelabels.csv, line 2: expected a person's verdict, .* got ImageID x"
