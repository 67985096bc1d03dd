"""An export of Roboflow as it writes it: a blank after each comma, and notes beside."""

from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ("train/07.png",)


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    lines: dict[str, list[str]] = {}
    for name, (colours, split) in imagefolder.pictures(root).items():
        folder = {"val": "valid"}.get(split, split)
        (root / folder).mkdir(exist_ok=True)
        (root / name).rename(root / folder / name)
        cells = [str(int(colour in colours)) for colour in imagefolder.COLOURS]
        lines.setdefault(folder, [f"filename, {', '.join(imagefolder.COLOURS)}"]).append(", ".join([name, *cells]))
    for folder, some in lines.items():
        (root / folder / "_classes.csv").write_text("\n".join(some) + "\n")
    (root / "README.roboflow.txt").write_text("colours\n")
    return {}


def break_record(root: Path) -> str:
    path = root / "train/_classes.csv"
    path.write_text(path.read_text().replace("02.png, 1", "02.png, 3", 1))
    return r"train/_classes.csv, row 3, column 'red': expected 1, 0 or blank"
