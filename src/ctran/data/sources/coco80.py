"""COCO-80: the 80 object categories of COCO 2014 (paper, Sec. 4.1), from its two instance files.

A label is positive where the picture has an object of its category. ``val2014`` is the test set, as in every published table;
``val`` is held out of ``train2014``. Most published code drops the pictures without an object, so that is the default;
SSGRL and SRN keep them (``keep_empty``). The label order is that of the category ids (person, bicycle, car, ..., toothbrush).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ctran.bounds import check_bounds, within
from ctran.data import file_table, held_out, origins, table_cache
from ctran.data.readers import coco
from ctran.data.reading import Reading
from ctran.data.table import DataError, SampleTable
from ctran.labels import Group, LabelSpace
from ctran.progress import track

SUMMARY = "COCO 2014: photographs of everyday scenes, 80 object categories in 12 super-categories"
ORIGIN = origins.Origin(
    where="https://cocodataset.org/#download",
    size="13 GB train2014.zip, 6 GB val2014.zip, 241 MB annotations_trainval2014.zip",
    licence="annotations CC BY 4.0; pictures: of each photographer on Flickr, see the field 'license'",
    layout=(
        "train2014/COCO_train2014_000000000009.jpg ...",
        "val2014/COCO_val2014_000000000042.jpg ...",
        "annotations/instances_train2014.json",
        "annotations/instances_val2014.json",
    ),
)
COUNTS = {
    "categories": 80,
    "super-categories": 12,
    "train2014 pictures": 82_783,
    "train2014 annotations": 604_907,
    "train2014 pictures with an object": 82_081,
    "val2014 pictures": 40_504,
    "val2014 annotations": 291_875,
    "val2014 pictures with an object": 40_137,
}
"""Pictures with an object: as counted with the defaults of ``crowd`` and ``min_area``; the others whatever the options."""

HALVES = ("train2014", "val2014")


@dataclass(frozen=True)
class Config(Reading):
    """COCO-80.

    Args:
        root: folder with train2014, val2014 and annotations.
        keep_empty: keep pictures without an object, as all-negative (82,783 and 40,504 pictures instead of 82,081 and 40,137).
        crowd: count regions of many objects (iscrowd) too, as all published code does.
        min_area: leave out objects of fewer square pixels.
        select_on: val, or test as in the released code (the best epoch is then chosen on what is reported).
        val: training pictures held out for selection.
        check_counts: stop where the files do not hold what the official ones do; otherwise only warn.
    """

    root: Path
    keep_empty: bool = False
    crowd: bool = True
    min_area: float = within(0.0, 0)
    select_on: held_out.Selection = "val"
    val: int = within(5000, 1)
    check_counts: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, "data")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        return held_out.unused(self.select_on)


def label_space(path: Path, categories: list[coco.Category]) -> LabelSpace:
    """Categories by id; their super-categories are groups, in which several or none may be present."""
    ordered = sorted(categories, key=lambda c: c.id)
    members: dict[str, list[str]] = {}
    for category in ordered:
        members.setdefault(category.supercategory, []).append(category.name)
    groups = tuple(Group(name, tuple(names)) for name, names in members.items())
    try:
        return LabelSpace(tuple(c.name for c in ordered), groups=groups)
    except ValueError as error:
        raise DataError(f"{path}, categories: {error}") from None


def positives_of(path: Path, file: coco.Instances, config: Config) -> list[list[int]]:
    """For each picture of ``file`` the label indices of its objects, ascending."""
    label = {c.id: i for i, c in enumerate(sorted(file.categories, key=lambda c: c.id))}
    found: list[set[int]] = [set() for _ in file.images]
    for n, (row, a) in enumerate(zip(coco.rows_of(path, file.images, file.annotations), file.annotations, strict=True)):
        if a.category_id not in label:
            raise DataError(f"{path}: annotations[{n}].category_id is {a.category_id}, but no entry of categories has that id")
        if (config.crowd or not a.iscrowd) and a.area >= config.min_area:
            found[row].add(label[a.category_id])
    return [sorted(labels) for labels in found]


def read(half: str, config: Config) -> tuple[SampleTable, dict[str, int]]:
    """``train2014`` or ``val2014``, and what was counted in it."""
    path = config.root.absolute() / "annotations" / f"instances_{half}.json"
    file = coco.read(path, coco.Instances)
    labels = label_space(path, file.categories)
    positives = positives_of(path, file, config)
    counted = {
        "categories": len(labels),
        "super-categories": len(labels.groups),
        f"{half} pictures": len(file.images),
        f"{half} annotations": len(file.annotations),
    }
    if config.crowd and config.min_area == 0:
        counted[f"{half} pictures with an object"] = sum(map(bool, positives))
    kept = [i for i, names in enumerate(positives) if names or config.keep_empty]
    files = [file.images[i].file_name for i in kept]
    folder = config.root.absolute() / half
    origins.require_pictures(folder, files, "coco80", ORIGIN)
    paths, ids = [folder / name for name in files], [f"{half}/{name}" for name in files]
    return file_table.make_table(paths, ids, [positives[i] for i in kept], labels), counted


def read_all(config: Config) -> dict[str, SampleTable]:
    """All splits, checked, without the cache."""
    (train, found), (test, more) = (read(half, config) for half in track(HALVES, "reading COCO", len(HALVES)))
    if train.labels != test.labels:
        raise DataError(f"coco80: the two instance files in {config.root / 'annotations'} do not have the same categories")
    found |= more
    known = {key: n for key, n in COUNTS.items() if key in found}
    origins.check_counts(found, known, "coco80", check=config.check_counts)
    return held_out.with_selection(train, test, select_on=config.select_on, val=config.val)


def build(config: Config) -> dict[str, SampleTable]:
    """All splits. A category without an object is absent from the picture."""
    needed = [config.root / "annotations" / f"instances_{half}.json" for half in HALVES]
    needed += [config.root / half for half in HALVES]
    inputs = [origins.require(path, "coco80", ORIGIN) for path in needed]
    return table_cache.cached("coco80", config, inputs, lambda: read_all(config))
