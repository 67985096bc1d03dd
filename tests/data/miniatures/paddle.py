"""Lists of PaddleX's MLClsDataset beside the folder of the pictures."""

from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ("label.txt", "images/07.png")


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    (root / "images").mkdir()
    (root / "label.txt").write_text("".join(f"{i} {c}\n" for i, c in enumerate(imagefolder.COLOURS)))
    lists: dict[str, list[str]] = {}
    for name, (colours, split) in imagefolder.pictures(root / "images").items():
        cells = ",".join(str(int(c in colours)) for c in imagefolder.COLOURS)
        lists.setdefault(split, []).append(f"images/{name}\t{cells}\n")
    for split, lines in lists.items():
        (root / f"{split}.txt").write_text("".join(lines))
    return {}


def break_record(root: Path) -> str:
    path = root / "train.txt"
    path.write_text(path.read_text().replace("02.png\t1,", "02.png\t", 1))
    return r"train.txt, line 3: expected a path, a tab, and 3 times 0 or 1"
