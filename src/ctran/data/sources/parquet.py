"""Parquet with the pictures in it, as Hugging Face's ``push_to_hub`` and ``to_parquet`` write it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, Image, List, Value

from ctran.data.notices import Doubts
from ctran.data.output import Output, by_split, lists_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.cells import names_of
from ctran.data.readers.listed import ListedConfig, split_in
from ctran.data.readers.tabular import DAMAGED_PARQUET, column_of, parquet_error
from ctran.data.readers.unpacked import Unpacked
from ctran.data.rows import Annotated, Row, Says
from ctran.data.table import DataError, SampleTable
from ctran.images.reading import BrokenImageError, ending_of

SUMMARY = "Parquet of Hugging Face: a column of pictures with their bytes, and a column of lists of labels"
SAYS = Says.ALL
PICTURES_APART = False
BATCH = 64
"""Rows that are held in memory, pictures included."""


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """Parquet files as the ``datasets`` package writes them. Pictures are unpacked into the cache folder.

    Labels are names, or numbers of a ``ClassLabel``. The name of a file is the split: ``data/train-00000-of-00001.parquet``.

    Args:
        root: a file, or a folder with files in it or in ``data``.
        image_column: the column of the pictures.
        labels_column: the column of the labels: lists, or one label a row.
        negatives_column: a column of labels that are absent, where there is one.
    """

    image_column: str = "image"
    labels_column: str = "labels"
    negatives_column: str = "negatives"


def read(config: Config) -> Annotated:
    """The rows of all files."""
    folders = [config.root, config.root / "data"]
    paths = [config.root] if config.root.is_file() else [p for folder in folders for p in sorted(folder.glob("*.parquet"))]
    if not paths:
        raise DataError(f"{config.root}: no .parquet file in it or in data; give the file or its folder as --data.root")
    doubts, rows, names = Doubts(), list[Row](), dict[str, None]()
    for path in paths:
        try:
            rows += _rows(path, config, doubts, names)
        except DAMAGED_PARQUET as error:
            raise parquet_error(path, error) from None
    doubts.warn()
    if not rows:
        raise DataError(f"{paths[0]}: no row in it")
    return Annotated(rows, config.absent, tuple(names))


def _rows(path: Path, config: Config, doubts: Doubts, names: dict[str, None]) -> Iterator[Row]:
    file, unpacked = pq.ParquetFile(path), Unpacked(path)
    columns = dict.fromkeys(file.schema_arrow.names)
    image = column_of(config.image_column, columns, path, "--data.image_column")
    labels = column_of(config.labels_column, columns, path, "--data.labels_column")
    classes = _classes(file.schema_arrow)
    for some in classes.values():
        names |= dict.fromkeys(some)
    number = 0
    for batch in file.iter_batches(BATCH):
        for values in batch.to_pylist():
            where, number = f"{path}, row {number + 1}", number + 1
            content, name = _picture(values[image], where)
            try:
                ending = ending_of(content, name)
            except BrokenImageError:  # named by the table's own check
                ending = Path(name).suffix or ".jpg"
            lists = [_names(values.get(c), classes.get(c), f"{where}, {c}", doubts) for c in (labels, config.negatives_column)]
            given = values.get("id")
            identity = str(given) if given not in (None, "") else f"{path.stem}/{number:06}"
            own = (image, labels, config.negatives_column, "id")
            extra = {key: value for key, value in values.items() if key not in own}
            picture = unpacked.picture(number, ending, content)
            yield Row(where, picture, identity, lists[0], lists[1], split_in(path, config.root), extra=extra)


def _picture(cell: Any, where: str) -> tuple[bytes, str]:
    """Content and name of a picture."""
    if isinstance(cell, bytes):
        return cell, ""
    if not isinstance(cell, dict) or not isinstance(cell.get("bytes"), bytes):
        raise DataError(
            f"{where}: expected the bytes of a picture, got {str(cell)[:60]!r}; of a table with paths: --source imagefolder"
        )
    name = cell.get("path")
    return cell["bytes"], name if isinstance(name, str) else ""


def _classes(schema: pa.Schema) -> dict[str, list[str]]:
    """Column -> names of its ClassLabel, from the features in the file's metadata."""
    try:
        features = Features.from_arrow_schema(schema)
    except Exception:  # metadata of anything
        return {}
    found = {}
    for name, feature in features.items():
        inner = feature.feature if isinstance(feature, List) else feature
        if isinstance(inner, ClassLabel):
            found[name] = list(inner.names)
    return found


def _names(cell: Any, classes: list[str] | None, where: str, doubts: Doubts) -> tuple[str, ...]:
    """Labels of a cell."""
    if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):
        return ()
    entries = cell if isinstance(cell, list) else [cell]
    if classes is not None:
        named: dict[Any, str] = dict(enumerate(classes))
        if wrong := [entry for entry in entries if entry not in named]:
            raise DataError(f"{where}: {wrong[0]!r} is not the number of one of {len(classes)} classes")
        entries = [named[entry] for entry in entries]
    return names_of(entries, "\0", where, doubts)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the files."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``data/SPLIT-00000-of-00001.parquet``, which ``load_dataset`` takes; the options that read it."""
    absent, rows = lists_of(annotated, "Parquet")
    lists = {row.id: cells for row, cells in rows}
    (output.folder / "data").mkdir()
    features = Features(image=Image(decode=False), id=Value("string"), labels=List(Value("string")))
    if any("negatives" in cells for cells in lists.values()):
        features["negatives"] = List(Value("string"))
    for split, some in by_split(annotated).items():
        columns: dict[str, list[Any]] = {name: [] for name in features}
        for row in some:
            cells = {"image": {"bytes": row.path.read_bytes(), "path": Path(row.id).name}, "id": row.id, **lists[row.id]}
            for name, cell in cells.items():
                columns[name].append(cell)
        table = Dataset.from_dict(columns, features=features.copy()).cast_column("image", Image())
        path = output.folder / "data" / f"{split or 'all'}-00000-of-00001.parquet"
        pq.write_table(cast(pa.Table, table.with_format("arrow")[:]), path)
    return {"root": Path(), "absent": absent}
