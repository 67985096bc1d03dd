"""A small model with an exclusive group, a few pictures, and how the output of a collection is read back."""

import csv
import json
import random
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ctran.collection.options import Job, Options
from ctran.collection.run import run
from ctran.labels import Group, LabelSpace
from tests.conftest import COLOURS, TOY, draw, stirred

LABELS = LabelSpace(("red", "green", "blue", "warm", "cold", "日本"), groups=(Group("heat", ("warm", "cold"), exclusive=True),))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights."""
    from ctran.training.pipeline import build_tagger
    from ctran.training.recipe import read_recipe

    folder = tmp_path_factory.mktemp("collection") / "model"
    stirred(build_tagger(read_recipe(None, TOY), LABELS)).save(folder)
    return folder


NAMES = [*(f"{number:02}.png" for number in range(7)), "deep/er/a b.jpg", "deep/日本.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Nine pictures, two of them in folders below; and files that are none."""
    return draw_photos(tmp_path / "photos")


def draw_photos(folder: Path) -> Path:
    chance = random.Random(1)
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        draw(folder / name, [c for c in COLOURS if chance.random() < 0.5], note=name)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture
def job(model: Path, photos: Path, tmp_path: Path) -> Job:
    """The pictures of ``photos`` in parts of four."""
    return Job(str(model), str(photos), str(tmp_path / "out"), Options(part_size=4), batch_size=3, workers=0)


def changed(job: Job, **options) -> Job:
    """The job with other options."""
    return replace(job, options=replace(job.options, **options))


def rows(output: Path | str, table: str = "predictions") -> list[dict]:
    """All rows of an output folder, in order, as plain values."""
    return [row for path in part_files(output, table) for row in read_part(path)]


def same(first: list[dict], second: list[dict]) -> bool:
    """Whether rows are equal; probabilities but for rounding, which differs between processes."""

    def close(a: dict, b: dict, key: str) -> bool:
        return pytest.approx(b[key], rel=1e-4, abs=1e-6) == a[key] if key in ("probabilities", "dense") else a[key] == b[key]

    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(close(a, b, key) for key in b) for a, b in zip(first, second, strict=True)
    )


def part_files(output: Path | str, table: str = "predictions") -> list[Path]:
    return sorted(path for path in (Path(output) / table).glob("*") if not path.name.startswith("."))


def read_part(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        found = pq.read_table(path).to_pylist()
        maps = ("probabilities", "known")
        return [{key: dict(value) if key in maps else value for key, value in row.items()} for row in found]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(encoding="utf-8", newline="") as file:
        lists = ("labels", "probabilities", "known", "dense")
        return [{key: json.loads(v) if key in lists else v for key, v in row.items()} for row in csv.DictReader(file)]


def check_rows(found: list[dict], tagger, photos: Path, known: dict[str, dict[str, bool]], top: int = 5) -> None:
    """Each row is what ``tagger.predict`` gives for its picture alone."""
    for row in found:
        alone = tagger.predict(photos / row["id"], known.get(row["id"], {}))
        assert row["known"] == alone.known, row["id"]
        assert row["labels"] == alone.labels, row["id"]
        wanted = {**alone.top(top), **{name: p for name, p in alone.probabilities.items() if name in alone.labels}}
        assert row["probabilities"] == pytest.approx(wanted, abs=1e-5), row["id"]


__all__ = ["run"]
