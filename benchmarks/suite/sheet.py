"""A page of pictures of a built set, to see that they are drawn right."""

import csv
import hashlib
import json
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw

from ctran.errors import UserError
from ctran.files import atomic

COLUMNS, ROWS, SIDE, TEXT = 10, 6, 120, 44


def write_sheet(folder: Path, path: Path) -> None:
    """Sixty pictures, chosen by the hash of their ids, each above its labels."""
    metadata = folder / "metadata.csv"
    if not metadata.is_file():
        raise UserError(f"{metadata}: not found; give a folder that the command build has written")
    with metadata.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: hashlib.sha256(row["id"].encode()).hexdigest())
    page = Image.new("RGB", (COLUMNS * SIDE, ROWS * (SIDE + TEXT)), "white")
    draw = ImageDraw.Draw(page)
    for number, row in enumerate(rows[: COLUMNS * ROWS]):
        left, top = number % COLUMNS * SIDE, number // COLUMNS * (SIDE + TEXT)
        with Image.open(folder / row["file_name"]) as picture:
            page.paste(picture.convert("RGB").resize((SIDE - 8, SIDE - 8)), (left + 4, top + 4))
        draw.rectangle((left, top, left + SIDE - 1, top + SIDE + TEXT - 1), outline="#ccc")
        text = textwrap.wrap(", ".join(json.loads(row["labels"])), 20)[:4]
        draw.text((left + 3, top + SIDE - 3), "\n".join(text), fill="black", font_size=9)
    with atomic(path) as part:
        page.save(part, "PNG")
