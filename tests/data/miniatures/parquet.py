"""A Parquet file a split as ``push_to_hub`` writes it: pictures with their bytes, lists of ClassLabel."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, Image, List, Value

from tests.data.miniatures import imagefolder

MISSING = ("data",)
FEATURES = Features(image=Image(), labels=List(ClassLabel(names=list(imagefolder.COLOURS))), maker=Value("string"))


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    (root / "data").mkdir()
    rows: dict[str, list[dict]] = {}
    for name, (colours, split) in imagefolder.pictures(root).items():
        numbers = [imagefolder.COLOURS.index(c) for c in colours]
        picture = {"bytes": (root / name).read_bytes(), "path": name}
        rows.setdefault(split, []).append({"image": picture, "labels": numbers, "maker": "a"})
        (root / name).unlink()
    for split, some in rows.items():
        name = {"val": "validation"}.get(split, split)
        Dataset.from_list(some, features=FEATURES).to_parquet(root / "data" / f"{name}-00000-of-00001.parquet")
    return {"absent": "negative"}


def edit(root: Path, column: str, cells: dict[int, object]) -> None:
    path = root / "data/train-00000-of-00001.parquet"
    table = pq.read_table(path)
    held = table.column(column).to_pylist()
    for row, cell in cells.items():
        held[row] = cell
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, table.schema.field(column), pa.array(held, table.schema.field(column).type)), path)


def break_pictures(root: Path, contents: list[bytes]) -> None:
    edit(root, "image", {row: {"bytes": content, "path": f"{row}.png"} for row, content in enumerate(contents)})


def break_record(root: Path) -> str:
    edit(root, "labels", {2: [3]})
    return r"train-00000-of-00001.parquet, row 3, labels: 3 is not the number of one of 3 classes"
