"""CUB-200-2011 as in the paper's extra-label experiment (Sec. 4.3): 200 bird classes, with 112 attributes in 28 groups.

Made from the official archive alone, by the rule of Concept Bottleneck Models (:mod:`ctran.data.readers.cub_concepts`): a
class has an attribute if most annotators of its *training* pictures marked it, and then each of its pictures has it, in val and
test too. So with ``attributes: class`` the attributes are a function of the class, and all of them together nearly determine
it.

The list of 112 attributes is the published one. It was selected by votes over the 4,796 training pictures of a random split
that is not published; over other pictures, an attribute can cross the line of ten classes with nothing wrong in the download.
So a different selection is a warning that names the attributes, whatever ``check_counts`` is. If the sizes of the 28 groups
show that attributes are not at the places that the list expects, that is an error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Int

from ctran.bounds import check_bounds, within
from ctran.data import file_table, held_out, notices, origins, table_cache
from ctran.data.readers import cub_archive
from ctran.data.readers.cub_archive import Archive
from ctran.data.readers.cub_concepts import CONCEPTS, NOT_VISIBLE, class_attributes, frequent, grouped
from ctran.data.reading import Reading
from ctran.data.table import DataError, SampleTable
from ctran.labels import Group, LabelSpace, LabelState

SUMMARY = "Caltech-UCSD Birds 200-2011: 11,788 photographs, 200 classes, 112 attributes in 28 groups as extra labels"
ORIGIN = origins.Origin(
    where="https://data.caltech.edu/records/65de6-vp158",
    size="CUB_200_2011.tgz, 1.1 GiB",
    licence="none stated; photographs from Flickr, for non-commercial research and education",
    layout=(
        "attributes.txt",
        "CUB_200_2011/{images,image_class_labels,train_test_split,classes}.txt",
        "CUB_200_2011/attributes/image_attribute_labels.txt",
        "CUB_200_2011/images/001.Black_footed_Albatross/*.jpg ...",
    ),
    note="ImageNet holds some of the test pictures, so weights pretrained on it may have seen them.",
)
COUNTS = {
    "pictures": 11_788,
    "classes": 200,
    "pictures in the official training set": 5_994,
    "pictures in the official test set": 5_794,
}
NAME = "cub312"
FILES = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt", cub_archive.VOTES)


@dataclass(frozen=True)
class Config(Reading):
    """Caltech-UCSD Birds 200-2011.

    Args:
        root: folder that holds CUB_200_2011 and attributes.txt (CUB_200_2011 itself will do).
        split: ``official``: 5,994 pictures to train on, 5,794 to test on. ``paper``: 80 / 20 % of all pictures (9,430 / 2,358,
            the sizes that the paper prints) by a hash of their names; the paper's own lists are not published.
        attributes: ``class``: one vector a class, by vote (the paper, Concept Bottleneck Models). ``image``: the annotation
            of each picture; "absent" for a part that is not visible is unknown.
        invisible: with attributes ``class``, those of parts that are not visible in a test picture. ``class``: as of its class.
            ``absent``: absent, as in the interventions of Concept Bottleneck Models.
        select_on: ``val``: training pictures held out choose the epoch. ``test``: the test set does.
        val: how many training pictures are held out.
        check_counts: refuse a download whose numbers of pictures and classes are not the published ones.
    """

    root: Path
    split: Literal["official", "paper"] = "official"
    attributes: Literal["class", "image"] = "class"
    invisible: Literal["class", "absent"] = "class"
    select_on: held_out.Selection = "val"
    val: int = within(1198, 1)
    check_counts: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, "data")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        yield from held_out.unused(self.select_on)
        if self.attributes == "image":
            yield "invisible", "it belongs to data.attributes class: with image, parts that are not visible are unknown"


Concepts: TypeAlias = Bool[np.ndarray, "N 112"]


def label_space(archive: Archive, attributes: Path) -> LabelSpace:
    """The classes (an exclusive group, the targets), then the 112 attributes (28 groups, extra)."""
    groups = [Group(name, members) for name, members in grouped(archive.attribute_names, attributes).items()]
    concepts = tuple(archive.attribute_names[i] for i in CONCEPTS)
    species = Group("species", tuple(archive.class_names), exclusive=True)
    return LabelSpace((*archive.class_names, *concepts), extra=concepts, groups=(species, *groups))


def note_other_list(selected: Sequence[int], names: Sequence[str]) -> None:
    """Warn on stderr if the votes do not select the published list."""
    more = [f"+{names[i]}" for i in sorted({*selected} - {*CONCEPTS})]
    less = [f"-{names[i]}" for i in sorted({*CONCEPTS} - {*selected})]
    if more or less:
        notices.notice(
            f"warning: {NAME}: votes over these training pictures select {len(selected)} attributes, not the published 112 "
            f"({', '.join(more + less)}); the published list is used"
        )


def voted(archive: Archive, training: Int[np.ndarray, " M"]) -> Concepts:
    """Attributes of every picture: those of its class, by the votes over pictures ``training``."""
    classes = archive.classes[training]
    if (empty := np.bincount(classes, minlength=len(archive.class_names)) == 0).any():
        raise DataError(
            f"{NAME}: no training picture of class {archive.class_names[np.argmax(empty)]} is left to vote on its attributes; "
            "hold out fewer: --data.val"
        )
    present, certainty = archive.present[training], archive.certainty[training]
    values = class_attributes(present, certainty, classes, len(archive.class_names))
    note_other_list(frequent(values), archive.attribute_names)
    return values[:, CONCEPTS][archive.classes]


def known(config: Config, archive: Archive, train: Int[np.ndarray, " M"]) -> tuple[Concepts, Concepts]:
    """What is known of the 112 attributes of every picture: which it has, and which it lacks."""
    if config.attributes == "image":
        has = archive.present[:, CONCEPTS]
        return has, ~has & (archive.certainty[:, CONCEPTS] != NOT_VISIBLE)
    if config.select_on == "val":  # what is held out must not vote
        train = train[held_out.hold_out([archive.files[i] for i in train], config.val)[0]]
    has = voted(archive, train)
    return has, ~has


def read(config: Config, base: Path, attributes: Path) -> dict[str, SampleTable]:
    """The splits, from folder CUB_200_2011 and the file attributes.txt."""
    archive = cub_archive.read(base, attributes)
    labels = label_space(archive, attributes)
    check(config, archive, base)
    train, test = np.flatnonzero(archive.trains), np.flatnonzero(~archive.trains)
    if config.split == "paper":
        train, test = map(np.array, held_out.hold_out(archive.files, round(0.2 * len(archive.files))))
    has, has_not = known(config, archive, train)
    if config.invisible == "absent":
        invisible = archive.certainty[:, CONCEPTS] == NOT_VISIBLE
        invisible[train] = False
        has, has_not = has & ~invisible, has_not | invisible
    species = np.eye(len(archive.class_names), dtype=bool)[archive.classes]
    positive, negative = np.hstack([species, has]), np.hstack([~species, has_not])

    def table(pictures: Int[np.ndarray, " M"]) -> SampleTable:
        return file_table.make_table(
            [base / "images" / archive.files[i] for i in pictures],
            [archive.files[i] for i in pictures],
            [np.flatnonzero(positive[i]).tolist() for i in pictures],
            labels,
            negatives=[np.flatnonzero(negative[i]).tolist() for i in pictures],
            absent=LabelState.UNKNOWN,
        )

    return held_out.with_selection(table(train), table(test), select_on=config.select_on, val=config.val)


def check(config: Config, archive: Archive, base: Path) -> None:
    """DataError where the counts are not the published ones, or pictures are missing."""
    found = (len(archive.files), len(archive.class_names), int(archive.trains.sum()), int((~archive.trains).sum()))
    origins.check_counts(dict(zip(COUNTS, found, strict=True)), COUNTS, NAME, check=config.check_counts)
    origins.require_pictures(base / "images", archive.files, NAME, ORIGIN)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the archive."""
    root = config.root.absolute()
    base = root if (root / "images.txt").is_file() else root / "CUB_200_2011"
    places = (base.parent / "attributes.txt", base / "attributes.txt", base / "attributes" / "attributes.txt")
    attributes = next((p for p in places if p.is_file()), places[0])
    inputs = [origins.require(p, NAME, ORIGIN) for p in (*(base / file for file in FILES), attributes, base / "images")]
    inputs += sorted(p for p in (base / "images").iterdir() if p.is_dir())
    return table_cache.cached(NAME, config, inputs, lambda: read(config, base, attributes))
