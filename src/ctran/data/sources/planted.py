"""A planted world: canvases of clip art whose labels follow known couplings, so the right probability is known exactly."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, Image, List, Value
from jaxtyping import Bool
from PIL import Image as PILImage

from ctran.bounds import check_bounds, within
from ctran.data.planted_world import World
from ctran.data.sources import openclipart
from ctran.data.table import DataError, SampleTable
from ctran.errors import UserError
from ctran.labels import LabelSpace, LabelState

SUMMARY = "made up: clip art on a canvas, hidden objects follow known couplings; the exact posterior is known"

FOLDERS = {
    "flag": r"signs_and_symbols/flags/(?!semaphore)[^/]+/",
    "card": r"recreation/games/cards/(bordered|ornamental|simple|white)/",
    "semaphore": r"signs_and_symbols/flags/semaphore/",
    "hotel": r"computer/icons/",
    "led": r"signs_and_symbols/led/",
    "warning": r"signs_and_symbols/",
    "file type": r"computer/icons/lemon-theme/mimetypes/",
    "callout": r"shapes/callouts/",
    "coastline": r"geography/",
    "dessert": r"food/desserts/",
    "smiley": r"people/smilies/",
}
"""Objects: a label of Open Clip Art, and the library's folders in which its typical drawings lie.

People tag freely (a grenade is a "fish"), so the tag alone would test recognition, which is not what this world is for. The
order is by how well a linear probe distinguished them on train and val, so that a few objects are the most distinct ones.
"""
SCENE = "outdoors"
BOX = List(Value("int32"))
FEATURES = Features(
    {
        "image": Image(decode=False),
        "id": Value("string"),
        "positives": List(Value("int64")),
        "negatives": List(Value("int64")),
        "drawn": List(Value("int64")),
        "clipart": List(Value("string")),
        "boxes": List(BOX),
    }
)


@dataclass(frozen=True)
class Config:
    """A planted world: ``objects`` labels that may be drawn and one scene type that never is (an extra label).

    Args:
        train: training pictures. The first rows of a split do not change when it grows.
        val: validation pictures.
        test: test pictures.
        objects: how many of the objects of ``FOLDERS``, 2 to 11.
        drawn_share: q, the probability that a present object is drawn; otherwise it stays hidden.
        coupling: J between neighbours in the ring of objects, attracting and repelling in turn.
        scene_coupling: J between the scene type and each object, two attracting, two repelling, and so on.
        canvas: side of the square picture, in pixels.
        drawing: least and greatest length of a drawing's longer side, as a share of the canvas.
        seed: of everything random.
        root: folder of Open Clip Art's Parquet files; null takes that of the repository's checkout.
    """

    train: int = within(8000, 1)
    val: int = within(500, 1)
    test: int = within(1000, 1)
    objects: int = within(6, 2, len(FOLDERS))
    drawn_share: float = within(0.35, 0, 1)
    coupling: float = within(0.7)
    scene_coupling: float = within(0.3)
    canvas: int = within(224, 16, 8192, unit="pixels")
    drawing: tuple[float, float] = within((0.42, 0.6), 0, 1, above=True)
    seed: int = within(0, 0)
    root: Path | None = None

    def __post_init__(self) -> None:
        check_bounds(self, "data")
        if self.drawing[0] > self.drawing[1]:
            raise UserError(f"data.drawing must be two shares, the least and the greatest, got {self.drawing}")


def label_space(config: Config) -> LabelSpace:
    """The objects, then the scene type."""
    return LabelSpace((*list(FOLDERS)[: config.objects], SCENE), extra=(SCENE,))


def world(config: Config) -> World:
    """The probability model: a ring of objects, each also coupled to the scene type; later objects are commoner."""
    n = config.objects
    coupling = np.zeros((n + 1, n + 1))
    for i in range(n):
        coupling[i, (i + 1) % n] += config.coupling * (1 if i % 2 == 0 else -1)
        coupling[i, n] += config.scene_coupling * (1 if i % 4 < 2 else -1)
    field = np.append(np.linspace(-0.3, 0.0, n), 0.0)
    return World(field, coupling + coupling.T, np.append(np.full(n, config.drawn_share), 0.0))


def drawn(table: SampleTable) -> Bool[np.ndarray, "N L"]:
    """What is drawn in each picture: with :func:`world`, all that the exact posterior needs. No model gets this."""
    dense = np.zeros((len(table), len(table.labels)), dtype=bool)
    for row, objects in enumerate(table.rows["drawn"]):
        dense[row, objects] = True
    return dense


def read_drawings(table: SampleTable, names: tuple[str, ...]) -> dict[str, list[tuple[str, PILImage.Image]]]:
    """Id and picture of the drawings of each name, in the order of the table."""
    found: dict[str, list[tuple[str, PILImage.Image]]] = {}
    for name in names:
        positive = table.truth.column(table.labels.index(name)) == LabelState.POSITIVE
        rows = [i for i in positive.nonzero()[:, 0].tolist() if re.match(FOLDERS[name], table.ids[i])]
        if not rows:
            raise DataError(f"the clip art has no {name!r} in folder {FOLDERS[name]}; is root the whole library?")
        found[name] = [(table.ids[i], table.picture(i)) for i in rows]
    return found


def place(shapes: list[tuple[int, int]], canvas: int, rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) at random places, without overlap; all shrink together where they do not fit.

    Depends only on what is drawn, so neither place nor size reveals a hidden object.
    """
    scale = 1.0
    while True:
        for _ in range(30):
            boxes: list[tuple[int, int, int, int]] = []
            for shape in shapes:
                w, h = (max(1, int(scale * side)) for side in shape)
                x, y = int(rng.integers(canvas - w + 1)), int(rng.integers(canvas - h + 1))
                if any(x < right and left < x + w and y < low and top < y + h for left, top, right, low in boxes):
                    break
                boxes.append((x, y, x + w, y + h))
            if len(boxes) == len(shapes):
                return boxes
        scale *= 0.93


def paint(
    objects: list[str], drawings: dict[str, list[tuple[str, PILImage.Image]]], config: Config, rng: np.random.Generator
) -> tuple[bytes, list[str], list[tuple[int, int, int, int]]]:
    """One canvas as JPEG; ids of the clip art on it, and where it is."""
    chosen = [drawings[name][rng.integers(len(drawings[name]))] for name in objects]
    sides = rng.uniform(*config.drawing, len(objects)) * config.canvas
    shapes = []
    for (_, picture), side in zip(chosen, sides, strict=True):
        ratio = side / max(picture.size)
        shapes.append((max(1, int(picture.width * ratio)), max(1, int(picture.height * ratio))))
    boxes = place(shapes, config.canvas, rng)
    canvas = PILImage.new("RGB", (config.canvas, config.canvas), "white")
    for (_, picture), (left, top, right, bottom) in zip(chosen, boxes, strict=True):
        size = (right - left, bottom - top)
        canvas.paste(picture.resize(size, PILImage.Resampling.BICUBIC, reducing_gap=2.0), (left, top))
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=90, subsampling=0)
    return out.getvalue(), [name for name, _ in chosen], boxes


def make(config: Config, split: str, size: int, clipart: SampleTable) -> SampleTable:
    """One split. Each row has its own random numbers: its scene first, then what is drawn, which clip art, where."""
    labels, model = label_space(config), world(config)
    drawings = read_drawings(clipart, labels.names[: config.objects])
    number = ("train", "val", "test").index(split)
    rows = []
    for row in range(size):
        rng = np.random.default_rng([config.seed, number, row])
        present = model.sample(rng.random(1))[0]
        shown = np.flatnonzero(present & (rng.random(len(labels)) < model.drawn_share)).tolist()
        picture, ids, boxes = paint([labels.names[i] for i in shown], drawings, config, rng)
        rows.append(
            {
                "image": {"bytes": picture, "path": None},
                "id": f"{split}/{row:06}",
                "positives": np.flatnonzero(present).tolist(),
                "negatives": [],
                "drawn": shown,
                "clipart": ids,
                "boxes": boxes,
            }
        )
    return SampleTable(Dataset.from_list(rows, features=FEATURES), labels, LabelState.NEGATIVE)


def build(config: Config) -> dict[str, SampleTable]:
    """All splits; canvases of each are made of the clip art of the same split of Open Clip Art."""
    sizes = {"train": config.train, "val": config.val, "test": config.test}
    clipart = openclipart.build(openclipart.Config(config.root))
    return {split: make(config, split, size, clipart[split]) for split, size in sizes.items()}
