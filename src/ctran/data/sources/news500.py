"""NEWS-500: BBC news photographs, labels are the 500 commonest nouns of the captions (paper, Sec. 4.2), in the loader's files.

The data are not public. Any corpus of captioned pictures takes their place by the recipe of COCO-1000 (which counts all words,
not only nouns): write the captions in COCO's format and use the source ``coco1000`` with ``--data.words 500``, as shown there.

A split is two files: ``train_split.p``, a pickled list of ``{"file_path": ..., "image_id": ...}``, and
``caption_train_space.npy``, one row of 500 zeros and ones for each. Source: QData/C-Tran, ``dataloaders/news500_dataset.py``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ctran.bounds import check_bounds, within
from ctran.data import file_table, held_out, notices, origins, table_cache
from ctran.data.readers.names import read_labels
from ctran.data.readers.plain_pickle import unpickle
from ctran.data.reading import Reading
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelSpace

SUMMARY = "BBC news photographs, 500 caption nouns; not public: coco1000 with other captions and 500 words takes its place"
ORIGIN = origins.Origin(
    where=None,
    size="172,628 pictures",
    licence="not known",
    layout=(
        "train_split.p",
        "caption_train_space.npy",
        "test_split.p",
        "caption_test_space.npy",
        "the pictures that *_split.p name",
    ),
    note="Any corpus of captioned pictures takes its place: --source coco1000 --data.words 500 --data.train_captions FILE ...",
)
COUNTS = {"train pictures": 151_873, "val pictures": 10_304, "test pictures": 10_451, "labels": 500}
"""As printed in the paper; ``val`` only where there is a ``val_split.p``."""


@dataclass(frozen=True)
class Config(Reading):
    """NEWS-500.

    Args:
        root: folder with train_split.p, caption_train_space.npy, and the same of test (and of val, if there is one).
        strip_prefix: start of each file_path, which root replaces.
        names: text file with the names of the labels, one a line; without it they are 'news 000', 'news 001', ...
        select_on: val, or test as in the released code (the best epoch is then chosen on what is reported).
        val: training pictures held out for selection where there is no val_split.p.
        check_counts: stop where the counts are not those in the paper; otherwise only warn.
    """

    root: Path
    strip_prefix: str = "/localtmp/data/data/"
    names: Path | None = None
    select_on: held_out.Selection = "val"
    val: int = within(10_304, 1)
    check_counts: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, "data")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        return held_out.unused(self.select_on)


class Pictures(NamedTuple):
    """One split's file names below root, and ids."""

    files: list[str]
    ids: list[str]


def read_pictures(path: Path, prefix: str) -> Pictures:
    """The list of a split, checked; whether the pictures exist is not."""
    records = unpickle(path)
    if not isinstance(records, list):
        raise DataError(f"{path}: expected a list of records, got {type(records).__name__}")
    files, ids = [], []
    for n, record in enumerate(records):
        if not isinstance(record, dict) or not isinstance(record.get("file_path"), str) or "image_id" not in record:
            raise DataError(f"{path}, record {n}: expected {{'file_path': text, 'image_id': ...}}, got {record!r:.120}")
        if not record["file_path"].startswith(prefix):
            raise DataError(
                f"{path}, record {n}: file_path {record['file_path']!r} does not start with {prefix!r}; give the "
                "prefix to remove: --data.strip_prefix PREFIX"
            )
        files.append(record["file_path"].removeprefix(prefix).lstrip("/"))
        ids.append(str(record["image_id"]))
    return Pictures(files, ids)


def read_positives(path: Path, rows: int) -> tuple[list[list[int]], int]:
    """Indices of the ones in each row, and the number of columns."""
    try:
        dense = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is not an array that NumPy reads without unpickling: {error}") from None
    if dense.ndim != 2 or len(dense) != rows:
        raise DataError(f"{path}: expected one row for each of the {rows:,} pictures, got an array of shape {dense.shape}")
    positives = []
    for n, row in enumerate(dense):
        ones = np.flatnonzero(row)
        if not (row[ones] == 1).all():
            raise DataError(f"{path}, row {n}: expected zeros and ones, got {row[ones][row[ones] != 1][0]}")
        positives.append(ones.tolist())
    return positives, dense.shape[1]


def label_space(names: Path | None, size: int) -> LabelSpace:
    """The names of a file, or numbers."""
    return read_labels(names, size) if names else LabelSpace(tuple(f"news {i:03}" for i in range(size)))


def files_of(split: str, root: Path) -> tuple[Path, Path]:
    """The two files of a split."""
    return root / f"{split}_split.p", root / f"caption_{split}_space.npy"


def read(split: str, pictures: Pictures, config: Config) -> SampleTable:
    """One split, checked."""
    root = config.root.absolute()
    files, ids = pictures
    positives, size = read_positives(files_of(split, root)[1], len(ids))
    origins.require_pictures(root, files, "news500", ORIGIN)
    return file_table.make_table([root / file for file in files], ids, positives, label_space(config.names, size))


def read_all(config: Config, pictures: Mapping[str, Pictures]) -> dict[str, SampleTable]:
    """All splits, checked, without the cache."""
    tables = {split: read(split, own, config) for split, own in pictures.items()}
    sizes = {split: len(table.labels) for split, table in tables.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(f"news500: the splits have different numbers of labels: {sizes}")
    found = {f"{split} pictures": len(table) for split, table in tables.items()} | {"labels": sizes["train"]}
    known = {key: n for key, n in COUNTS.items() if key in found}
    origins.check_counts(found, known, "news500", check=config.check_counts)
    if "val" in tables and config.select_on == "val":
        if config.val != Config.val:
            notices.notice(f"data.val {config.val:,} has no effect: val_split.p has the pictures of val")
        return {split: tables[split] for split in ("train", "val", "test")}
    return held_out.with_selection(tables["train"], tables["test"], select_on=config.select_on, val=config.val)


def build(config: Config) -> dict[str, SampleTable]:
    """All splits. A noun that is not in a picture's caption counts as absent."""
    splits = ("train", "val", "test") if files_of("val", config.root)[0].exists() else ("train", "test")
    inputs = [origins.require(path, "news500", ORIGIN) for split in splits for path in files_of(split, config.root)]
    inputs += [config.names] if config.names and config.names.exists() else []
    pictures = {split: read_pictures(files_of(split, config.root)[0], config.strip_prefix) for split in splits}
    folders = {file.rpartition("/")[0] for own in pictures.values() for file in own.files}
    inputs += [origins.require(config.root / folder, "news500", ORIGIN) for folder in sorted(folders)]
    return table_cache.cached("news500", config, inputs, lambda: read_all(config, pictures))
