"""An import file of Vertex AI with addresses in a bucket; the pictures lie beside it."""

from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ("import.csv", "pictures/07.png")
USES = {"train": "TRAINING", "val": "VALIDATION", "test": "TEST"}


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    (root / "pictures").mkdir()
    rows = imagefolder.pictures(root / "pictures").items()
    lines = [",".join([USES[split], f"gs://bucket/some/pictures/{name}", *colours]) for name, (colours, split) in rows]
    (root / "import.csv").write_text("\n".join(lines) + "\n")
    return {"root": root / "import.csv", "absent": "negative"}


def break_record(root: Path) -> str:
    path = root / "import.csv"
    path.write_text(path.read_text().replace("gs://bucket/some/pictures/02.png", "", 1))
    return r"import.csv, row 3: expected the address of a picture, got "
