"""Training pictures of a published data set that are held out for validation."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal

from ctran.data.table import DataError, SampleTable

Selection = Literal["val", "test"]
"""Which pictures choose the best epoch: some held out of the official training set, or the test set as in the released code."""


def by_hash(ids: Sequence[str]) -> list[int]:
    """Positions of ``ids`` in the order of their hashes: a shuffle that is the same on every machine."""
    return sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode()).digest())


def hold_out(ids: Sequence[str], count: int) -> tuple[list[int], list[int]]:
    """Positions of the training pictures, and of ``count`` held out for validation: those whose ids have the smallest hashes.

    Both lists keep the order of ``ids``.

    Raises:
        DataError: nothing would be left on one side.
    """
    if not 0 < count < len(ids):
        raise DataError(f"--data.val must hold out between 1 and {len(ids) - 1} training pictures, got {count}")
    order = by_hash(ids)
    return sorted(order[count:]), sorted(order[:count])


def unused(select_on: Selection) -> Iterator[tuple[str, str]]:
    """Option ``val`` of a source, and why it has no effect, where the test set chooses the epoch."""
    if select_on == "test":
        yield "val", "data.select_on test takes the test pictures, so none are held out"


def with_selection(train: SampleTable, test: SampleTable, *, select_on: Selection, val: int) -> dict[str, SampleTable]:
    """Three splits of a data set that publishes two: ``val`` is held out of ``train``, or is ``test`` (``select_on: test``)."""
    if select_on == "test":
        return {"train": train, "val": test, "test": test}
    kept, held = hold_out(train.ids, val)
    return {"train": train.select(kept), "val": train.select(held), "test": test}
