"""A long CSV: a row for each colour of a picture, an empty one for pictures without."""

from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ("labels.csv", "07.png")


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    lines = ["image,tag,fold"]
    for name, (colours, split) in imagefolder.pictures(root).items():
        lines += [f"{name},{colour},{split}" for colour in colours or [""]]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    columns = {"image_column": "image", "label_column": "tag", "split_column": "fold"}
    return {"root": root / "labels.csv", "absent": "negative"} | columns


def break_record(root: Path) -> str:
    path = root / "labels.csv"
    path.write_text(path.read_text().replace("02.png,red,train", "02.png,red,test", 1))
    return r"labels.csv, row \d+: '02.png' has split '\w+', but '\w+' in .*labels.csv, row \d+"
