"""PASCAL VOC 2007, classification: 20 classes, 5,011 pictures to train on and 4,952 to test on.

Read from the files of the classification task, ``ImageSets/Main/<class>_<set>.txt``: a line a picture, 1 (the class is there),
-1 (it is not) or 0 (every instance of it is marked difficult). These 40 files hold the labels of the 9,963 XML files of
``Annotations`` and are what the challenge itself scores by; so the XML files are not needed. (The tests compare both.)

Two conventions for 0 are in circulation, and figures under one must not be compared with figures under the other:
C-Tran and SSGRL take it as a plain negative (``difficult: negative``); ML-GCN and ADD-GCN as a positive in the loss, and leave
it out of the metrics (``difficult: mlgcn``), which scores higher. The default leaves it out of both: the challenge does not
score it, and what a person could hardly see is not known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctran.bounds import check_bounds, within
from ctran.data import file_table, held_out, origins, table_cache
from ctran.data.reading import Reading
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelSpace, LabelState
from ctran.textfile import read_text

SUMMARY = "PASCAL VOC 2007: 5,011 + 4,952 photographs, 20 classes"
ORIGIN = origins.Origin(
    where="http://host.robots.ox.ac.uk/pascal/VOC/voc2007",
    size="VOCtrainval_06-Nov-2007.tar 439 MiB, VOCtest_06-Nov-2007.tar 430 MiB",
    licence="photographs from Flickr, under its terms of use",
    layout=(
        "VOCdevkit/VOC2007/JPEGImages/000001.jpg ...",
        "VOCdevkit/VOC2007/ImageSets/Main/{trainval,test}.txt",
        "VOCdevkit/VOC2007/ImageSets/Main/{aeroplane,...,tvmonitor}_{trainval,test}.txt",
    ),
    note="Unpack both archives in one folder.",
)
COUNTS = {
    "pictures in trainval": 5_011,
    "pictures in test": 4_952,
    "positives in trainval": 7_306,
    "positives in test": 7_013,
}
"""Positives without difficult ones: the sums over the classes of the development kit's table of pictures."""
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
NAME = "voc2007"
SETS = ("trainval", "test")
Marks = Mapping[str, list[int]]
"""Picture -> one mark a class: 1 present, -1 absent, 0 only difficult instances."""


@dataclass(frozen=True)
class Config(Reading):
    """PASCAL VOC 2007.

    Args:
        root: folder that holds VOCdevkit (VOCdevkit itself, or VOC2007, will do).
        difficult: a class of which a picture has only difficult instances. ``unknown``: neither in the loss nor in the
            metrics. ``negative``: it is absent (C-Tran, SSGRL). ``mlgcn``: positive in training, not in the metrics (ML-GCN).
        select_on: ``val``: pictures held out of trainval choose the epoch. ``test``: the test set does, as in the released
            code; trainval is then trained on as a whole.
        val: how many pictures of trainval are held out. The published halves train.txt and val.txt are not used: they
            would cost half of the training pictures.
        check_counts: refuse a download whose numbers of pictures and labels are not the published ones.
    """

    root: Path
    difficult: Literal["unknown", "negative", "mlgcn"] = "unknown"
    select_on: held_out.Selection = "val"
    val: int = within(500, 1)
    check_counts: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, "data")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        return held_out.unused(self.select_on)


def read_marks(path: Path, ids: list[str]) -> list[int]:
    """Marks of ``ids`` from one class's file, which must hold each of them once."""
    marks: dict[str, int] = {}
    for number, line in enumerate(read_text(path, DataError).splitlines(), start=1):
        cells = line.split()
        if len(cells) != 2 or cells[1] not in ("1", "0", "-1"):
            raise DataError(f"{path}, line {number}: expected a picture and 1, 0 or -1, got {line!r}; unpack the archive again")
        if cells[0] in marks:
            raise DataError(f"{path}, line {number}: picture {cells[0]} is listed twice; unpack the archive again")
        marks[cells[0]] = int(cells[1])
    if unexpected := sorted(marks.keys() ^ set(ids)):
        listed = "has no line for" if unexpected[0] in ids else "has a line for"
        split = path.stem.rpartition("_")[2]
        raise DataError(f"{path} {listed} picture {unexpected[0]}, unlike {split}.txt beside it; unpack the archive again")
    return [marks[i] for i in ids]


def read_set(folder: Path, name: str) -> Marks:
    """All marks of one set (``trainval`` or ``test``), pictures in the order of its list."""
    ids = read_text(folder / f"{name}.txt", DataError).split()
    if len(set(ids)) != len(ids):
        duplicate = next(i for n, i in enumerate(ids) if i in ids[:n])
        raise DataError(f"{folder / name}.txt: picture {duplicate} is listed twice; unpack the archive again")
    columns = [read_marks(folder / f"{label}_{name}.txt", ids) for label in CLASSES]
    return {i: list(row) for i, row in zip(ids, zip(*columns, strict=True), strict=True)}


def to_table(marks: Marks, pictures: Path, difficult: LabelState) -> SampleTable:
    """A table in which the mark 0 means ``difficult``."""
    meaning = {1: LabelState.POSITIVE, -1: LabelState.NEGATIVE, 0: difficult}
    lists = {
        state: [[c for c, mark in enumerate(row) if meaning[mark] == state] for row in marks.values()]
        for state in (LabelState.POSITIVE, LabelState.NEGATIVE)
    }
    return file_table.make_table(
        [pictures / f"{i}.jpg" for i in marks],
        list(marks),
        lists[LabelState.POSITIVE],
        LabelSpace(CLASSES),
        negatives=lists[LabelState.NEGATIVE],
        absent=LabelState.UNKNOWN,
    )


def read(config: Config, base: Path) -> dict[str, SampleTable]:
    """The splits, from folder VOC2007."""
    pictures = base / "JPEGImages"
    trainval, test = (read_set(base / "ImageSets" / "Main", name) for name in SETS)
    found = {}
    for name, marks in zip(SETS, (trainval, test), strict=True):
        found[f"pictures in {name}"] = len(marks)
        found[f"positives in {name}"] = sum(row.count(1) for row in marks.values())
    origins.check_counts(found, COUNTS, NAME, check=config.check_counts)
    origins.require_pictures(pictures, [f"{i}.jpg" for i in (*trainval, *test)], NAME, ORIGIN)
    scored = LabelState.NEGATIVE if config.difficult == "negative" else LabelState.UNKNOWN
    learned = LabelState.POSITIVE if config.difficult == "mlgcn" else scored
    tables = held_out.with_selection(
        to_table(trainval, pictures, scored),
        to_table(test, pictures, scored),
        select_on=config.select_on,
        val=config.val,
    )
    kept = {i: trainval[i] for i in tables["train"].ids}  # val, held out of trainval, stays as it is scored
    return {**tables, "train": to_table(kept, pictures, learned)}


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the files of the classification task."""
    root = config.root.absolute()
    places = (root / "VOCdevkit" / "VOC2007", root / "VOC2007", root)
    base = next((p for p in places if (p / "ImageSets").is_dir()), places[0])
    lists = [f"{prefix}{name}.txt" for name in SETS for prefix in ("", *(f"{label}_" for label in CLASSES))]
    inputs = [*(base / "ImageSets" / "Main" / file for file in lists), base / "JPEGImages"]
    for path in inputs:
        origins.require(path, NAME, ORIGIN)
    return table_cache.cached(NAME, config, inputs, lambda: read(config, base))
