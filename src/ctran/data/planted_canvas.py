"""Canvases of clip art for planted worlds: which labels are present and drawn follows a world, the rest is random."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, Image, List, Value
from jaxtyping import Bool
from PIL import Image as PILImage

from ctran.bounds import check_bounds, within
from ctran.data.planted_world import LabelWorld
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelSpace, LabelState

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

People tag freely (a grenade is a "fish"), so the tag alone would test recognition, which is not what these worlds are for. The
order is by how well a linear probe distinguished them on train and val, so that a few objects are the most distinct ones.
"""
SPLITS = ("train", "val", "test")
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

Drawings = dict[str, list[tuple[str, PILImage.Image]]]
"""Id and picture of the drawings of each object."""
Sizes = Sequence[tuple[float, float]]
"""Least and greatest length of the longer side of each object's drawings, as a share of the canvas."""


@dataclass(frozen=True)
class Canvas:
    """Options of every planted world.

    Args:
        train: training pictures. The first rows of a split do not change when it grows.
        val: validation pictures.
        test: test pictures.
        drawn_share: q, the probability that a present object is drawn; otherwise it stays hidden.
        canvas: side of the square picture, in pixels.
        seed: of everything random.
        root: folder of Open Clip Art's Parquet files; null takes that of the repository's checkout.
    """

    train: int = within(8000, 1)
    val: int = within(500, 1)
    test: int = within(1000, 1)
    drawn_share: float = within(0.35, 0, 1)
    canvas: int = within(224, 16, 8192, unit="pixels")
    seed: int = within(0, 0)
    root: Path | None = None

    def __post_init__(self) -> None:
        check_bounds(self, "data")


def drawn(table: SampleTable) -> Bool[np.ndarray, "N L"]:
    """What is drawn in each picture: with the source's ``world``, all that the exact posterior needs. No model gets this."""
    dense = np.zeros((len(table), len(table.labels)), dtype=bool)
    for row, objects in enumerate(table.rows["drawn"]):
        dense[row, objects] = True
    return dense


def read_drawings(table: SampleTable, names: Sequence[str]) -> Drawings:
    """Id and picture of the drawings of each name, in the order of the table."""
    found: Drawings = {}
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
    objects: Sequence[str], sizes: Sizes, drawings: Drawings, canvas: int, rng: np.random.Generator
) -> tuple[bytes, list[str], list[tuple[int, int, int, int]]]:
    """One canvas as JPEG; ids of the clip art on it, and where it is.

    Args:
        sizes: of each of the objects.
        canvas: side, in pixels.
    """
    chosen = [drawings[name][rng.integers(len(drawings[name]))] for name in objects]
    sides = rng.uniform(*np.reshape(sizes, (-1, 2)).T) * canvas
    shapes = []
    for (_, picture), side in zip(chosen, sides, strict=True):
        ratio = side / max(picture.size)
        shapes.append((max(1, int(picture.width * ratio)), max(1, int(picture.height * ratio))))
    boxes = place(shapes, canvas, rng)
    painted = PILImage.new("RGB", (canvas, canvas), "white")
    for (_, picture), (left, top, right, bottom) in zip(chosen, boxes, strict=True):
        size = (right - left, bottom - top)
        painted.paste(picture.resize(size, PILImage.Resampling.BICUBIC, reducing_gap=2.0), (left, top))
    out = io.BytesIO()
    painted.save(out, "JPEG", quality=90, subsampling=0)
    return out.getvalue(), [name for name, _ in chosen], boxes


def _split(
    config: Canvas, split: str, world: LabelWorld, labels: LabelSpace, sizes: Sizes, clipart: SampleTable
) -> SampleTable:
    """One split. Each row has its own random numbers: its labels first, then what is drawn, which clip art, where."""
    drawings = read_drawings(clipart, labels.names[: len(sizes)])
    number = SPLITS.index(split)
    rows = []
    for row in range(getattr(config, split)):
        rng = np.random.default_rng([config.seed, number, row])
        present = world.sample(rng.random(1))[0]
        shown = np.flatnonzero(present & (rng.random(len(labels)) < world.drawn_share)).tolist()
        objects, lengths = [labels.names[i] for i in shown], [sizes[i] for i in shown]
        picture, ids, boxes = paint(objects, lengths, drawings, config.canvas, rng)
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


def build_splits(
    config: Canvas, world: LabelWorld, labels: LabelSpace, sizes: Sizes, clipart: dict[str, SampleTable]
) -> dict[str, SampleTable]:
    """All splits; canvases of each are made of the clip art of the same split of Open Clip Art.

    Args:
        labels: of the world; the first ones are objects of :data:`FOLDERS`.
        sizes: of the objects' drawings; labels beyond them are never drawn.
    """
    return {split: _split(config, split, world, labels, sizes, clipart[split]) for split in SPLITS}
