"""Open Images V7: photographs with labels that people verified as present or absent; all others are unknown.

Truth is partial: a picture has a few of the 20,638 labels verified. Confidence 1 is a positive, 0 a negative, no row unknown; a
pair with both is unknown too, and counted. Machine-made labels are refused.

Few have all nine million pictures, so this reads what is on disk. Pictures on disk without verified labels, and annotated ones
that are not on disk, are counted on stderr. With subsets there are no known counts to check (``COUNTS`` is empty), and as
validation is published as a separate split, nothing is held out of train; so there are no options for either.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from ctran.bounds import check_bounds, within
from ctran.data import file_table, held_out, notices, origins, table_cache
from ctran.data.readers.open_images import Verified, read_descriptions, read_verified
from ctran.data.reading import Reading
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelSpace, LabelState, nearest
from ctran.textfile import read_text

SUMMARY = "Open Images V7, or the part of it that is on disk: labels verified by people, present or absent; the rest is unknown"
ORIGIN = origins.Origin(
    where="https://storage.googleapis.com/openimages/web/download_v7.html",
    size="label files 2.7 GB; pictures 561 GB in all (train 513, validation 12, test 36), any part will do",
    licence="labels CC BY 4.0; pictures listed as CC BY 2.0, each to be checked",
    layout=(
        "oidv7-class-descriptions.csv",
        "oidv7-{train,val,test}-annotations-human-imagelabels.csv",
        "train/000002b66c9c498e.jpg ... (or train_0, ..., train_f as the archives unpack)",
        "validation/*.jpg",
        "test/*.jpg",
    ),
    note="Label files of other releases will do: any oidvN- or no prefix, and validation for val.",
)
COUNTS: dict[str, int] = {}
NAME = "openimages"
SPLITS = {"train": ("train", "train"), "val": ("val", "validation"), "test": ("test", "test")}
"""Split -> its name in the V7 label file, and its folder of pictures (which older label files are named after)."""


@dataclass(frozen=True)
class Config(Reading):
    """Open Images V7, or a part of it.

    Args:
        root: folder of the label files and of the picture folders train, validation and test.
        labels: text file of the labels to use, a code (/m/01g317) or a display name a line; null takes all with min_positives.
        min_positives: verified positives that a label needs in the training pictures on disk; not asked of listed labels.
        select_on: ``val``: the published validation split chooses the epoch. ``test``: the test split does.
    """

    root: Path
    labels: Path | None = None
    min_positives: int = within(100, 1)
    select_on: held_out.Selection = "val"

    def __post_init__(self) -> None:
        check_bounds(self, "data")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        if self.labels:
            yield "min_positives", "data.labels lists the labels"


def find_file(root: Path, names: Sequence[str], rest: str) -> Path:
    """The one file of ``root`` that is named ``rest`` after one of ``names``, with or without a release's prefix."""
    pattern = re.compile(rf"(oidv\d+-)?({'|'.join(names)}){re.escape(rest)}")
    found = sorted(path for path in root.iterdir() if pattern.fullmatch(path.name)) if root.is_dir() else []
    if len(found) > 1:
        raise DataError(f"{NAME}: {' and '.join(p.name for p in found)} are both in {root}; keep the one to use")
    return found[0] if found else origins.require(root / f"oidv7-{names[0]}{rest}", NAME, ORIGIN)


def find_folders(root: Path, name: str) -> list[Path]:
    """The folders that may hold a split's pictures: ``name``, and for train the sixteen of the archives."""
    found = [p for p in (root / name, *(root / f"{name}_{digit:x}" for digit in range(16))) if p.is_dir()]
    return found or [origins.require(root / name, NAME, ORIGIN)]


def read_labels(path: Path, names: Mapping[str, str]) -> list[int]:
    """Indices in ``names`` (code -> display name) of the labels that a text file lists."""
    codes = list(names)
    chosen: list[int] = []
    for number, line in enumerate(read_text(path, DataError).splitlines(), start=1):
        if not (text := line.strip()):
            continue
        places = [i for i, code in enumerate(codes) if text in (code, names[code])]
        if not places:
            raise DataError(f"{path}, line {number}: unknown label {text!r}{nearest(text, [*names.values(), *codes])}")
        if len(places) > 1:
            similar = ", ".join(codes[i] for i in places)
            raise DataError(f"{path}, line {number}: {len(places)} labels are called {text!r}; give a code: {similar}")
        if places[0] in chosen:
            raise DataError(f"{path}, line {number}: label {text!r} is listed twice")
        chosen += places
    if not chosen:
        raise DataError(f"{path}: expected a label a line, found none")
    return chosen


def choose_labels(config: Config, names: Mapping[str, str], train: Verified) -> list[int]:
    """Indices in ``names`` of the labels in use: those listed, or those with enough positives."""
    if config.labels:
        return read_labels(config.labels, names)
    positives = np.bincount(train.positives % len(names), minlength=len(names))
    chosen = np.flatnonzero(positives >= config.min_positives).tolist()
    if not chosen:
        raise DataError(
            f"{NAME}: no label has {config.min_positives} verified positives in the training pictures on disk (the most: "
            f"{positives.max()}); lower --data.min_positives"
        )
    return chosen


def label_space(names: Mapping[str, str], chosen: Sequence[int]) -> LabelSpace:
    """Display names; where two labels share one, with the code behind it."""
    codes = [list(names)[i] for i in chosen]
    shown = [names[code] for code in codes]
    return LabelSpace(tuple(f"{n} ({c})" if shown.count(n) > 1 else n for n, c in zip(shown, codes, strict=True)))


def by_picture(keys: Int[np.ndarray, " R"], new: Int[np.ndarray, " M"], pictures: int) -> list[list[int]]:
    """Labels in use of each picture, from keys over ``M`` labels; ``new`` is a label's index, -1 where it is not in use."""
    where, label = np.divmod(keys, len(new))
    used = new[label] >= 0
    parts = np.split(new[label[used]], np.searchsorted(where[used], np.arange(1, pictures)))
    return [part.tolist() for part in parts]


def to_table(split: str, files: Mapping[str, Path], verified: Verified, labels: LabelSpace, new: np.ndarray) -> SampleTable:
    """Pictures of a split with a verified label in use; what is left out is reported on stderr."""
    positives, negatives = (by_picture(keys, new, len(files)) for keys in (verified.positives, verified.negatives))
    rows = [i for i in range(len(files)) if positives[i] or negatives[i]]
    for count, what in (
        (
            len(files) - len(rows),
            f"of {len(files):,} pictures on disk have no verified label among the {len(labels)} in use: left out",
        ),
        (verified.elsewhere, "annotated pictures are not on disk"),
        (verified.contradictions, "labels were verified to be there and not to be there: unknown"),
    ):
        if count:
            notices.notice(f"{NAME}: {split}: {count:,} {what}")
    if not rows:
        raise DataError(
            f"{NAME}: no picture of split {split} has a verified label in use; are these the pictures of that split?"
        )
    ids, paths = list(files), list(files.values())
    return file_table.make_table(
        [paths[i] for i in rows],
        [ids[i] for i in rows],
        [positives[i] for i in rows],
        labels,
        negatives=[negatives[i] for i in rows],
        absent=LabelState.UNKNOWN,
    )


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the label files of the pictures on disk."""
    root = config.root.absolute()
    descriptions = find_file(root, ["class-descriptions"], ".csv")
    lists = {s: find_file(root, names, "-annotations-human-imagelabels.csv") for s, names in SPLITS.items()}
    folders = {s: find_folders(root, folder) for s, (_, folder) in SPLITS.items()}
    if config.labels and not config.labels.is_file():
        raise DataError(f"{NAME}: {config.labels} not found; give a text file of labels as --data.labels, or leave it out")

    def make() -> dict[str, SampleTable]:
        names = read_descriptions(descriptions)
        files = {
            split: {p.stem: p for folder in folders[split] for p in sorted(folder.iterdir()) if p.suffix == ".jpg"}
            for split in SPLITS
        }
        verified = {split: read_verified(lists[split], list(files[split]), list(names)) for split in SPLITS}
        chosen = choose_labels(config, names, verified["train"])
        labels = label_space(names, chosen)
        new = np.full(len(names), -1)
        new[chosen] = np.arange(len(chosen))
        tables = {split: to_table(split, files[split], verified[split], labels, new) for split in SPLITS}
        return {**tables, "val": tables["test"]} if config.select_on == "test" else tables

    inputs = [descriptions, *lists.values(), *(f for several in folders.values() for f in several)]
    return table_cache.cached(NAME, config, inputs + ([config.labels] if config.labels else []), make)
