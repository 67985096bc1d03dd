"""Which pictures a model was trained on: digests in its run folder, so that other pictures can be compared with them."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt64

from ctran.data.checked import digests
from ctran.data.notices import warn
from ctran.data.table import DataError, SampleTable
from ctran.files import atomic

FILE = "trained_on.npy"
"""File of a run folder: first eight bytes of the digest of each picture, sorted; 0.6 MB for 80,000."""


def numbers(table: SampleTable) -> UInt64[np.ndarray, " N"]:
    """First eight bytes of the digest of each picture, in the order of the table."""
    return np.array([int(digest[:16], 16) for digest in digests(table)], dtype=np.uint64)


def read(model: Path) -> UInt64[np.ndarray, " M"] | None:
    """Contents of the file of a run folder, or of the model folder in one; None if there is no file.

    Raises:
        DataError: the file is damaged.
    """
    for path in (model / FILE, model.parent / FILE):
        if path.is_file() and (path.parent == model or model.name == "model"):
            try:
                return np.load(path, allow_pickle=False).astype(np.uint64).reshape(-1)
            except (ValueError, EOFError, OSError) as error:
                raise DataError(f"{path}: damaged ({error}); delete it to go on without comparing pictures") from None
    return None


def record(tables: dict[str, SampleTable], run: Path, init_from: Path | None) -> None:
    """Write the file at the start of training, including the pictures of the model that it starts from.

    Warns of pictures of val and test that this model was trained on.
    """
    before = None if init_from is None else read(init_from)
    if before is not None:
        for split in ("val", "test"):
            compare(tables[split], before, split, str(init_from))
    own = numbers(tables["train"])
    found = np.unique(own if before is None else np.concatenate([own, before]))
    with atomic(run / FILE) as part, part.open("wb") as file:
        np.save(file, found)


def warn_if_seen(table: SampleTable, split: str, run: Path) -> None:
    """Warn of pictures of a table that a run's model was trained on; no warning if these are not known."""
    if split != "train" and (before := read(run)) is not None:
        compare(table, before, split, str(run))


def without_seen(table: SampleTable, split: str, run: Path) -> SampleTable:
    """The pictures of a table that a run's model was not trained on; says how many are left out.

    Raises:
        DataError: none is left, or ``split`` is that of the training and the run has no record of its pictures.
    """
    before = read(run)
    if before is None:
        if split == "train":
            raise DataError(f"{run} has no {FILE}, so it is not known which pictures of train it was not trained on")
        return table
    new = ~np.isin(numbers(table), before)
    if not new.any():
        raise DataError(
            f"{run} was trained on all {len(table):,} pictures of {split}, and predicts them with more confidence than others: "
            "use pictures that it was not trained on, another split or other data (--root)"
        )
    if new.all():
        return table
    warn(f"{run} was trained on {int((~new).sum()):,} of the {len(table):,} pictures of {split}: they are left out")
    return table.select(np.flatnonzero(new).tolist())


def compare(table: SampleTable, before: UInt64[np.ndarray, " M"], split: str, model: str) -> None:
    """Warn of pictures of a table that are among those of a training."""
    again = np.isin(numbers(table), before)
    if count := int(again.sum()):
        first = table.ids[int(again.argmax())]
        warn(
            f"{model} was trained on {count:,} of the {len(table):,} pictures of {split} (first: {first!r}); figures on those "
            "are too good"
        )
