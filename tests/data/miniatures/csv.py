"""A wide CSV beside ten pictures: 1, 0 or nothing for each colour."""

from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ("labels.csv", "07.png")


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    lines = [f"file_name,fold,{','.join(imagefolder.COLOURS)}"]
    for number, (name, (colours, split)) in enumerate(imagefolder.pictures(root).items()):
        cells = [("1" if c in colours else "0") if number != 6 else "" for c in imagefolder.COLOURS]
        lines.append(f"{name},{split},{','.join(cells)}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return {"root": root / "labels.csv", "split_column": "fold"}


def break_record(root: Path) -> str:
    path = root / "labels.csv"
    path.write_text(path.read_text().replace("02.png,train,1", "02.png,train,perhaps", 1))
    return r"labels.csv, row 3, column 'red': expected 1, 0 or blank, got 'perhaps'"
