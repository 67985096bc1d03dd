"""The same pictures and known labels in every kind of input."""

import csv
import io
import json
import random
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.collection.conftest import LABELS, NAMES


def known_labels() -> dict[str, dict[str, bool]]:
    """Known labels of each picture, of some none; at most one of an exclusive group."""
    chance = random.Random(3)
    found = {}
    for number, name in enumerate(sorted(NAMES)):
        some = chance.sample([n for n in LABELS.names if n != "cold"], number % 3)
        found[name] = {label: chance.random() < 0.5 for label in some}
    return found


def _lists(known: dict[str, bool]) -> dict[str, list[str]]:
    return {
        "labels": [name for name, present in known.items() if present],
        "negatives": [name for name, present in known.items() if not present],
    }


def folder(photos: Path, known) -> Path:
    return photos


def _write_csv(photos: Path, rows: list[dict]) -> Path:
    path = photos / "table.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        lines = csv.DictWriter(file, list(rows[0]))
        lines.writeheader()
        lines.writerows(rows)
    return path


def csv_lists(photos: Path, known) -> Path:
    """Comma-separated labels, in a JSON list where there are several."""
    rows = []
    for name, labels in known.items():
        lists = _lists(labels)
        rows.append({"file_name": name, "labels": ",".join(lists["labels"]), "negatives": json.dumps(lists["negatives"])})
    return _write_csv(photos, rows)


def csv_wide(photos: Path, known) -> Path:
    """A column a label."""
    notation = {True: "1.0", False: "no", None: ""}
    return _write_csv(
        photos,
        [
            {"file_name": name, **{n: notation[labels.get(n)] for n in LABELS.names}, "price": 3}
            for name, labels in known.items()
        ],
    )


def jsonl_known(photos: Path, known) -> Path:
    """An object of known labels."""
    path = photos / "table.jsonl"
    lines = [json.dumps({"image": name, "known": labels, "price": [1]}, ensure_ascii=False) for name, labels in known.items()]
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return path


def parquet_paths(photos: Path, known) -> Path:
    """Lists of labels, and absolute paths beside an id."""
    rows = [{"file_name": str(photos / name), "id": name, **_lists(labels)} for name, labels in known.items()]
    names = pa.list_(pa.string())
    kinds = pa.schema({"file_name": pa.string(), "id": pa.string(), "labels": names, "negatives": names})
    pq.write_table(pa.Table.from_pylist(rows, kinds), photos / "table.parquet", row_group_size=3)
    return photos / "table.parquet"


def parquet_bytes(photos: Path, known) -> Path:
    """A folder of two shards with the pictures in them, as ``datasets`` writes them, and a map of known labels."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    kinds = pa.schema({"image": image, "known": pa.map_(pa.string(), pa.bool_())})
    rows = []
    for name, labels in known.items():
        rows.append({"image": {"bytes": (photos / name).read_bytes(), "path": name}, "known": list(labels.items())})
    shards = photos.parent / "shards"
    shards.mkdir()
    for number, some in enumerate((rows[:5], rows[5:])):
        pq.write_table(pa.Table.from_pylist(some, kinds), shards / f"{number}.parquet", row_group_size=2)
    return shards


def webdataset(photos: Path, known) -> Path:
    """Two tar files, one of them compressed; known labels in three notations."""
    shards = photos.parent / "shards"
    shards.mkdir()
    for number, some in enumerate((sorted(known)[:4], sorted(known)[4:])):
        with tarfile.open(shards / ("0.tar.gz", "1.tar")[number], ("w:gz", "w")[number]) as tar:
            for place, name in enumerate(some):
                labels = known[name]
                about = ({"known": labels}, _lists(labels), {key: int(value) for key, value in labels.items()})[place % 3]
                _add(tar, f"{number}/{place}.json", json.dumps({"id": name, **about}).encode())
                _add(tar, f"{number}/{place}.{name.rpartition('.')[2].upper()}", (photos / name).read_bytes())
                _add(tar, f"{number}/{place}.txt", b"a caption")
    return shards


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


INPUTS = {each.__name__: each for each in (folder, csv_lists, csv_wide, jsonl_known, parquet_paths, parquet_bytes, webdataset)}
"""Name -> writes the input beside or instead of ``photos``; gives its place."""
