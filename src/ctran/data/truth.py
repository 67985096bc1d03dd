"""What is known of the labels of many pictures, stored as lists of positives and negatives.

Memory grows with the annotations, not with pictures times labels: 100,000 pictures with ten of 20,000 labels each take 4.8 MB
instead of 2 GB. Codes are made dense for the pictures of one batch.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.constraints.exclusive import ExclusiveError
from ctran.data.implied import completed
from ctran.data.lists import Lists, among
from ctran.labels import LabelState

BLOCK = 2**26
"""Entries (bytes) of one dense block."""
MOST_ROWS = 16_384
"""Pictures of one dense block: sums of so many zeros and ones are exact in single precision."""


@dataclass(frozen=True, eq=False)
class SparseTruth:
    """Truth of ``N`` pictures and ``L`` labels, one :class:`~ctran.labels.LabelState` code an entry.

    An entry is ``POSITIVE`` or ``NEGATIVE`` by the lists (a label in both is positive) and the implications, otherwise it is
    the label's state in ``absent``. Where one label of an exclusive group is positive, the group's unknown ones are negative.

    Args:
        positives, negatives: of each picture.
        absent: int8, the state of each label where it is in neither list, ``NEGATIVE`` or ``UNKNOWN``.
        exclusive: indices of the labels of each exclusive group; no label is in two.
        implied: pairs (child, ancestor), closed.

    Raises:
        ExclusiveError: two labels of an exclusive group are positive, or all are negative.
        ImpliedError: a child is positive and its ancestor is listed as negative.
    """

    positives: Lists
    negatives: Lists
    absent: Int[np.ndarray, " L"]
    exclusive: Sequence[Int[Tensor, "..."]] = ()
    implied: Int[Tensor, "I 2"] | None = None
    _open: list[Int[np.ndarray, "..."]] = field(init=False, repr=False)
    """Groups that can make labels negative: those with labels that are otherwise unknown."""

    def __post_init__(self) -> None:
        if self.implied is not None:
            yes, no = completed(self.positives, self.negatives, self.implied.numpy(), self.num_labels)
            object.__setattr__(self, "positives", yes)
            object.__setattr__(self, "negatives", no)
        needed = (self.absent == LabelState.UNKNOWN)[self.negatives.labels]  # elsewhere negatives are redundant
        keys = self.negatives.keys(self.num_labels)[needed]
        keys = keys[~among(keys, self.positives.keys(self.num_labels))]
        if len(keys) < len(needed):
            object.__setattr__(self, "negatives", Lists.from_keys(keys, len(self), self.num_labels))
        holes = self.absent == LabelState.UNKNOWN
        object.__setattr__(self, "_open", [m.numpy() for m in self.exclusive if holes[m.numpy()].any()])
        if self.exclusive:
            self._check_exclusive()

    def __len__(self) -> int:
        return len(self.positives)

    @property
    def num_labels(self) -> int:
        return len(self.absent)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, also of those that are shared with an Arrow table."""
        parts = [array for lists in (self.positives, self.negatives) for array in (lists.offsets, lists.labels)]
        return sum(array.nbytes for array in (*parts, self.absent))

    # -------------------------------------------------------------- dense codes

    def rows(self, indices: Sequence[int] | Int[np.ndarray, " B"] | Int[Tensor, " B"]) -> Int[Tensor, "B L"]:
        """Dense int8 codes of some pictures, in this order."""
        at = np.asarray(indices, dtype=np.int64)
        if len(at) and not 0 <= at.min() <= at.max() < len(self):
            raise IndexError(f"rows must lie between 0 and {len(self) - 1}, got {at.min()} to {at.max()}")
        dense = np.repeat(self.absent[None], len(at), axis=0)
        places, labels = self.positives.take(at)
        if self._open:
            decided = np.zeros((len(at), len(self._open) + 1), dtype=bool)
            decided[places, self._group[labels]] = True
            decided[:, -1] = False  # labels without a group
            dense[decided[:, self._group]] = LabelState.NEGATIVE
        dense[self.negatives.take(at)] = LabelState.NEGATIVE
        dense[places, labels] = LabelState.POSITIVE
        return torch.from_numpy(dense)

    def blocks(self) -> Iterator[Int[Tensor, "B L"]]:
        """All pictures in order, dense, at most :data:`BLOCK` bytes and :data:`MOST_ROWS` pictures at a time."""
        step = max(1, min(MOST_ROWS, BLOCK // self.num_labels))
        for start in range(0, len(self), step):
            yield self.rows(np.arange(start, min(start + step, len(self))))

    def dense(self) -> Int[Tensor, "N L"]:
        """All codes, int8: N times L bytes, for small tables."""
        return self.rows(np.arange(len(self)))

    def column(self, label: int) -> Int[Tensor, " N"]:
        """Codes of one label in all pictures, int8."""
        codes = np.full(len(self), self.absent[label])
        if codes.size and self.absent[label] == LabelState.UNKNOWN:
            codes[self._rows_with(self.negatives, [label])] = LabelState.NEGATIVE
            for members in self._open:
                if label in members:
                    codes[self._rows_with(self.positives, members)] = LabelState.NEGATIVE
        codes[self._rows_with(self.positives, [label])] = LabelState.POSITIVE
        return torch.from_numpy(codes)

    def _rows_with(self, lists: Lists, labels: Sequence[int] | Int[np.ndarray, "..."]) -> Int[np.ndarray, " K"]:
        """Rows of the entries of some labels."""
        wanted = np.zeros(self.num_labels, dtype=bool)
        wanted[labels] = True
        return lists.rows_of(np.flatnonzero(wanted[lists.labels]))

    # ----------------------------------------------------------------- counting

    def positives_each(self) -> Int[Tensor, " N"]:
        """Number of positive labels of each picture."""
        return torch.from_numpy(np.diff(self.positives.offsets).astype(np.int64))

    def counts(self) -> Int[Tensor, "3 L"]:
        """Pictures in which a label is unknown, negative, positive: a row each, numbered by :class:`LabelState`."""
        size, labels = len(self), self.num_labels
        positive = np.bincount(self.positives.labels, minlength=labels)
        listed, implied = self.negatives.labels, np.zeros(labels, dtype=np.int64)
        if self._open:
            group = self._group
            decided = np.sort(_pairs(self.positives, group, size))  # pictures in which a label of the group is positive
            times = np.bincount(decided // size, minlength=len(self._open))
            implied = np.where(group >= 0, times[group] - positive, 0)
            duplicate = (group[listed] >= 0) & among(group[listed] * size + self.negatives.rows, decided)  # listed and implied
            listed = listed[~duplicate]
        negative = np.bincount(listed, minlength=labels) + implied
        negative = np.where(self.absent == LabelState.NEGATIVE, size - positive, negative)
        return torch.from_numpy(np.stack([size - negative - positive, negative, positive]))

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the content; equal only if all codes are."""
        digest = hashlib.sha256(f"{len(self)} {self.num_labels} {[m.tolist() for m in self._open]}".encode())
        digest.update(self.absent.tobytes())
        for lists in (self.positives, self.negatives):
            digest.update(lists.offsets.astype("<i8").tobytes())
            digest.update(lists.labels.astype("<i4").tobytes())
        return digest.hexdigest()[:24]

    # ------------------------------------------------------------------- groups

    @cached_property
    def _group(self) -> Int[np.ndarray, " L"]:
        """Number of the open group of each label, -1 without one."""
        return _numbered(self._open, self.num_labels)

    def _check_exclusive(self) -> None:
        """Refuse rows in which two labels of a group are positive, or all are negative, without making them dense."""
        size, exclusive = len(self), [m.numpy() for m in self.exclusive]
        group = _numbered(exclusive, self.num_labels)
        found, times = np.unique(_pairs(self.positives, group, size), return_counts=True)
        refused, of = np.unique(_pairs(self.negatives, group, size), return_counts=True)
        members = np.array([len(m) for m in exclusive])
        silent = np.array([int((self.absent[m] == LabelState.NEGATIVE).sum()) for m in exclusive])
        wrong = np.zeros(len(members), dtype=bool)
        wrong[found[times > 1] // size] = True
        wrong |= (silent == members) & (np.bincount(found // size, minlength=len(members)) < size)
        full = refused[(silent[refused // size] + of) == members[refused // size]]
        wrong[full[~among(full, found)] // size] = True
        if not wrong.any():
            return
        first = int(wrong.argmax())
        positive, negative = (
            np.bincount(self._rows_with(lists, exclusive[first]), minlength=size) for lists in (self.positives, self.negatives)
        )
        rows = np.flatnonzero((positive > 1) | ((positive == 0) & (negative + silent[first] == members[first])))
        raise ExclusiveError(first, int(rows[0]), int(positive[rows[0]]), len(rows))

    # ------------------------------------------------------- another label space

    def over(
        self,
        columns: Int[np.ndarray, " M"],
        exclusive: Sequence[Int[Tensor, "..."]] = (),
        implied: Int[Tensor, "I 2"] | None = None,
    ) -> "SparseTruth":
        """The same pictures over other labels.

        Negatives that follow from a group of this truth are kept: they are listed, unless a group of the other labels contains
        the whole group.

        Args:
            columns: for each of the other labels its index here, -1 where this truth does not have it. No duplicates.
            exclusive: groups of the other labels.
            implied: implications of the other labels.

        Raises:
            ExclusiveError, ImpliedError: as for a new truth.
        """
        held = columns >= 0
        to = np.full(self.num_labels, -1)
        to[columns[held]] = np.flatnonzero(held)
        absent = np.where(held, self.absent[columns], np.int8(LabelState.UNKNOWN))
        positives, negatives = (_moved(lists, to, len(columns)) for lists in (self.positives, self.negatives))
        wholes = [set(m.tolist()) for m in exclusive]
        followed = [negatives]
        for members in self._open:
            if any(set(to[members].tolist()) <= whole for whole in wholes):
                continue
            rows, kept = self._rows_with(self.positives, members), to[members][to[members] >= 0]
            followed.append((rows[:, None] * len(columns) + kept).ravel())
        keys = (positives, np.unique(np.concatenate(followed)))
        yes, no = (Lists.from_keys(each, len(self), len(columns)) for each in keys)
        return SparseTruth(yes, no, absent, exclusive, implied)


def _numbered(groups: Sequence[Int[np.ndarray, "..."]], num_labels: int) -> Int[np.ndarray, " L"]:
    """Number of the group of each label, -1 without one."""
    found = np.full(num_labels, -1)
    for number, members in enumerate(groups):
        found[members] = number
    return found


def _pairs(lists: Lists, group: Int[np.ndarray, " L"], size: int) -> Int[np.ndarray, " K"]:
    """``group * size + row`` of the entries whose label is in a group."""
    of = group[lists.labels]
    return (of * size + lists.rows)[of >= 0]


def _moved(lists: Lists, to: Int[np.ndarray, " L"], num_labels: int) -> Int[np.ndarray, " K"]:
    """Sorted keys, in the other label space, of the entries whose label is in it."""
    place = to[lists.labels]
    return np.sort((lists.rows * num_labels + place)[place >= 0])


def prevalence(negative: Int[Tensor, " L"], positive: Int[Tensor, " L"]) -> Float[Tensor, " L"]:
    """Share of positives among annotated entries, from the counts of each label, with half an entry of each kind added."""
    return (positive.double() + 0.5) / (negative + positive + 1)
