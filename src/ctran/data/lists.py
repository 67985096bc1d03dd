"""Lists of label indices, one a picture, end to end in two arrays."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int

from ctran.errors import UserError


class LabelRangeError(UserError):
    """A label index that the label space does not have: the picture's row, the index."""

    def __init__(self, row: int, label: int) -> None:
        super().__init__(f"row {row} holds label index {label}")
        self.row, self.label = row, label


@dataclass(frozen=True, eq=False)
class Lists:
    """One list of label indices a picture, end to end; each list is sorted and holds no label twice.

    Args:
        offsets: where each list starts, and last where the last one ends.
        labels: the indices of all lists, int32.
    """

    offsets: Int[np.ndarray, " offsets"]
    labels: Int[np.ndarray, " M"]

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray, num_labels: int) -> "Lists":
        """Lists of a table's column; not copied if they are in one chunk, sorted and distinct.

        Raises:
            LabelRangeError: an index is not one of ``num_labels``.
            ValueError: a list, or an index in one, is null.
        """
        column = column.cast(pa.list_(pa.int32()))
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies even a single chunk
        offsets = array.offsets.to_numpy()
        values = array.values.slice(offsets[0], offsets[-1] - offsets[0])
        if array.null_count or values.null_count:
            raise UserError("label lists must not be null; a picture without labels has an empty list")
        found = cls(offsets - offsets[0] if offsets[0] else offsets, values.to_numpy())
        if len(wrong := np.flatnonzero((found.labels < 0) | (found.labels >= num_labels))):
            raise LabelRangeError(int(found.rows_of(wrong[:1])[0]), int(found.labels[wrong[0]]))
        rising = np.diff(found.labels) > 0
        ends = found.offsets[1:-1]
        rising[ends[(ends > 0) & (ends < len(found.labels))] - 1] = True
        return found if rising.all() else cls.from_keys(np.unique(found.keys(num_labels)), len(found), num_labels)

    @classmethod
    def from_keys(cls, keys: Int[np.ndarray, " M"], size: int, num_labels: int) -> "Lists":
        """``size`` lists from sorted, distinct numbers ``row * num_labels + label``."""
        rows, labels = np.divmod(keys, num_labels)
        return cls(np.searchsorted(rows, np.arange(size + 1)).astype(np.int64), labels.astype(np.int32))

    def keys(self, num_labels: int) -> Int[np.ndarray, " M"]:
        """``row * num_labels + label`` of each entry."""
        return self.rows * num_labels + self.labels

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def rows(self) -> Int[np.ndarray, " M"]:
        """Row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def rows_of(self, entries: Int[np.ndarray, " K"]) -> Int[np.ndarray, " K"]:
        """Rows of some entries."""
        return np.searchsorted(self.offsets, entries, side="right") - 1

    def take(self, rows: Int[np.ndarray, " B"]) -> tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"]]:
        """Entries of some rows: the place in ``rows`` and the label of each."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        places = np.repeat(np.arange(len(rows)), lengths)
        before = np.cumsum(lengths) - lengths
        return places, self.labels[np.arange(len(places)) + np.repeat(self.offsets[rows] - before, lengths)]


def among(keys: Int[np.ndarray, " K"], held: Int[np.ndarray, " M"]) -> Bool[np.ndarray, " K"]:
    """Which keys are in a sorted array; ``numpy.isin`` takes a second for a million keys that lie far apart."""
    if not len(held):
        return np.zeros(len(keys), dtype=bool)
    return held[np.searchsorted(held, keys).clip(max=len(held) - 1)] == keys
