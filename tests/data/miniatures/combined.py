"""Two folders of ten pictures, one with a label that the other does not have, and the file that lists them."""

from pathlib import Path

from tests.data.miniatures import csv, imagefolder

MISSING = ("sources.yaml", "first/metadata.csv", "second/07.png")
FILE = """first:
  source: imagefolder
  root: first
  absent: unknown
second:
  source: csv
  root: second/labels.csv
  split_column: fold
  annotates: [red, violet]
"""


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    for name, form in (("first", imagefolder), ("second", csv)):
        (root / name).mkdir()
        form.make(root / name)
    path = root / "second/labels.csv"
    path.write_text(path.read_text().replace("blue", "violet", 1))
    (root / "sources.yaml").write_text(FILE)
    return {"root": root / "sources.yaml"}


def break_record(root: Path) -> str:
    pattern = csv.break_record(root / "second")
    return f"sources.yaml: second: .*{pattern}"
