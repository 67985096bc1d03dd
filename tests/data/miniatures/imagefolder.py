"""A folder of ten pictures with ``metadata.csv``: coloured squares, and what is known to be absent."""

from pathlib import Path

from PIL import Image

MISSING = ("metadata.csv", "07.png")
COLOURS = ("red", "green", "blue")


def pictures(root: Path) -> dict[str, tuple[list[str], str]]:
    """Draw ten pictures; name -> colours on it, split."""
    drawn = {}
    for number in range(10):
        name, colours = f"{number:02}.png", [c for place, c in enumerate(COLOURS) if (number + place) % 3]
        picture = Image.effect_noise((48, 32), 60 + number).convert("RGB")
        for place, colour in enumerate(colours):
            picture.paste(colour, (16 * place, 8, 16 * place + 12, 24))
        picture.save(root / name)
        drawn[name] = (colours, ("train", "train", "train", "val", "test")[number % 5])
    return drawn


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    lines = ["file_name,labels,negatives,split"]
    for name, (colours, split) in pictures(root).items():
        lines.append(f'{name},"{",".join(colours)}","{",".join(c for c in COLOURS if c not in colours)}",{split}')
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return {"absent": "unknown"}


def break_record(root: Path) -> str:
    path = root / "metadata.csv"
    path.write_text(path.read_text().replace("02.png,", "02.png,one cell too many,", 1))
    return r"metadata.csv, row 3: 5 cells, but the header has 4 columns"
