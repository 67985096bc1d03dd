"""The sample table of all sources: image, id, positives, negatives, in a Hugging Face data set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from datasets import Dataset
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from ctran.constraints.exclusive import ExclusiveError
from ctran.data.coverage import Unlearnable, why_unlearnable
from ctran.data.implied import ImpliedError
from ctran.data.lists import LabelRangeError, Lists
from ctran.data.picture_digest import fingerprint_of
from ctran.data.truth import SparseTruth
from ctran.errors import UserError
from ctran.images.reading import BrokenImageError, Truncated, open_image, open_pixels
from ctran.labels import LabelSpace, LabelState

HINT = (
    "Replace the file, leave such pictures out with --data.skip_broken true, or read what is there of truncated files with "
    "--data.truncated read"
)


class DataError(UserError):
    """Data that cannot be used as they are; the message names file and row, what was expected, and what to do."""


@dataclass(frozen=True)
class Broken:
    """A picture that was left out (only ever on request), and why."""

    row: str
    reason: str


@dataclass(frozen=True)
class SampleTable:
    """Pictures with what is known of their labels.

    Args:
        rows: columns ``image`` (bytes or path, not decoded), ``id`` (string, distinct), ``positives`` and ``negatives``
            (label indices).
        labels: names behind the indices.
        absent: state of a label that is in neither list: ``NEGATIVE`` (the annotation is complete) or ``UNKNOWN`` (not
            annotated).
        unlisted: the rows list what is present, and nobody checked the rest, which is probably absent (``absent`` is then
            ``UNKNOWN``): see :attr:`assumed`.
        broken: pictures that were left out.
        truncated: what happens to a file that ends early; see :func:`ctran.images.reading.open_image`.
        white: the value that is white in pictures of more than 8 bits; None takes what the file states.

    Raises:
        DataError: no picture, or duplicate ids.
    """

    rows: Dataset
    labels: LabelSpace
    absent: LabelState
    broken: tuple[Broken, ...] = ()
    truncated: Truncated = "refuse"
    white: float | None = None
    unlisted: bool = False

    def __post_init__(self) -> None:
        if self.unlisted and self.absent != LabelState.UNKNOWN:
            raise DataError("unlisted labels must be unknown, not absent")
        if len(self.rows) == 0:
            raise DataError("no picture to work with: the table is empty")
        if len(set(self.ids)) != len(self.ids):
            seen: set[str] = set()
            duplicate = next(i for i in self.ids if i in seen or seen.add(i))
            raise DataError(f"picture ids must be distinct, got {duplicate!r} twice")

    def check_learnable(self) -> "SampleTable":
        """Refuse a table from which no label can be learned, as none has both known positives and known negatives.

        Raises:
            DataError: no label can be learned; the message has what to do.
        """
        targets = self.labels.targets
        names = [name for name, target in zip(self.labels.names, targets.tolist(), strict=True) if target]
        if why := why_unlearnable(self.assumed.counts()[:, targets], names, self.unlearnable):
            raise DataError(why)
        return self

    @cached_property
    def unlearnable(self) -> Unlearnable:
        """Labels that are nowhere known to be present, or nowhere known or assumed to be absent."""
        _, negative, positive = self.assumed.counts().tolist()
        names = self.labels.names
        return Unlearnable(
            tuple(name for name, count in zip(names, positive, strict=True) if not count),
            tuple(
                n
                for n, some_positive, some_negative in zip(names, positive, negative, strict=True)
                if some_positive and not some_negative
            ),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def _column(self, name: str) -> pa.ChunkedArray:
        return cast(pa.Table, self.rows.select_columns([name]).with_format("arrow")[:]).column(name)

    @cached_property
    def ids(self) -> list[str]:
        return self._column("id").to_pylist()

    @cached_property
    def listed(self) -> tuple[Lists, Lists]:
        """Labels that the rows list as positive and as negative, before groups and implications apply.

        Raises:
            DataError: an index in the lists is out of range; it names the picture.
        """
        try:
            columns = (self._column(name) for name in ("positives", "negatives"))
            yes, no = (Lists.from_arrow(column, len(self.labels)) for column in columns)
        except LabelRangeError as error:
            raise DataError(
                f"picture {self.ids[error.row]!r} lists label number {error.label}, the label space has numbers 0 to "
                f"{len(self.labels) - 1}; were the table's rows made for other labels?"
            ) from None
        return yes, no

    @cached_property
    def truth(self) -> SparseTruth:
        """What is known of each label of each picture.

        Where one label of an exclusive group is positive, the others are negative, and where a label is positive, so is all
        that it implies, annotated or not.

        Raises:
            DataError: several labels of an exclusive group are positive, or all are negative; a label is positive and one
                that it implies is annotated as negative; or an index in the lists is out of range. The message names the
                picture, and the group or the labels.
        """
        yes, no = self.listed
        absent = np.full(len(self.labels), int(self.absent), dtype=np.int8)
        with self._named(self.labels):
            return SparseTruth(yes, no, absent, self.labels.exclusive, self.labels.implied)

    @contextmanager
    def _named(self, labels: LabelSpace) -> Iterator[None]:
        """Name in errors the picture and the exclusive group or implication that it violates."""
        try:
            yield
        except ExclusiveError as error:
            group = [g for g in labels.groups if g.exclusive][error.group]
            what = f"has {error.positives} labels" if error.positives else "has none of the labels"
            raise DataError(
                f"picture {self.ids[error.row]!r} {what} of group {group.name!r}, which is exclusive: exactly one is expected"
                f"{_such(error.rows)}. Correct the annotation, add a label for 'none of these', or set exclusive: false"
            ) from None
        except ImpliedError as error:
            child, parent = labels.names[error.child], labels.names[error.parent]
            raise DataError(
                f"picture {self.ids[error.row]!r} has {child!r}, which implies {parent!r}, but {parent!r} is annotated "
                f"as absent{_such(error.rows)}. Correct the annotation, or leave the implication out"
            ) from None

    def picture(self, index: int) -> Image.Image:
        """Decoded RGB picture of one row; :class:`~ctran.images.transforms.BrokenImageError` names it."""
        source, name = self._source(index)
        with _hinted():
            return open_image(source, name=name, truncated=self.truncated, white=self.white)

    def pixels(self, index: int) -> UInt8[Tensor, "H W 3"]:
        """:meth:`picture` as a tensor, which is faster."""
        source, name = self._source(index)
        with _hinted():
            return open_pixels(source, name=name, truncated=self.truncated, white=self.white)

    def content(self, index: int) -> bytes:
        """The file of one row's picture, not decoded."""
        source, _ = self._source(index)
        return source if isinstance(source, bytes) else Path(source).read_bytes()

    def _source(self, index: int) -> tuple[bytes | str, str]:
        """Bytes or path of a picture, and its name in errors."""
        cell = self.rows[index]["image"]
        where = "" if cell["path"] is None else f" ({cell['path']})"
        return cell["bytes"] if cell["bytes"] is not None else cell["path"], f"picture {self.ids[index]!r}{where}"

    def select(self, indices: Sequence[int]) -> "SampleTable":
        """The same table with only these rows, in this order."""
        return replace(self, rows=self.rows.select(indices))

    def truth_for(self, labels: LabelSpace) -> SparseTruth:
        """:attr:`truth` in another label space: labels that this table does not have are ``UNKNOWN``.

        Raises:
            DataError: as :attr:`truth`, for the groups and implications of ``labels``.
        """
        if replace(labels, extra=()) == replace(self.labels, extra=()):
            return self.truth
        known = self.labels.index_of
        with self._named(labels):
            columns = np.array([known.get(name, -1) for name in labels.names])
            return self.truth.over(columns, labels.exclusive, labels.implied)

    @property
    def plainly_read(self) -> bool:
        """Whether pictures are read by the default options."""
        return (self.truncated, self.white) == ("refuse", None)

    @cached_property
    def assumed(self) -> SparseTruth:
        """:attr:`truth`, and what is not listed as absent where the table is :attr:`unlisted`: for metrics, frequencies and
        fits, never for known labels. Of an exclusive group nothing is assumed, as one of its labels is present.
        """
        return self.assumed_for(self.labels)

    def assumed_for(self, labels: LabelSpace) -> SparseTruth:
        """:attr:`assumed` in another label space, as :meth:`truth_for`; labels that this table does not have stay unknown."""
        truth = self.truth_for(labels)
        if not self.unlisted:
            return truth
        ours = self.labels.index_of
        states = [LabelState.NEGATIVE if name in ours else LabelState.UNKNOWN for name in labels.names]
        absent = np.array(states, dtype=np.int8)
        for members in labels.exclusive:
            absent[members.numpy()] = LabelState.UNKNOWN
        return SparseTruth(truth.positives, truth.negatives, absent, labels.exclusive, labels.implied)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of ids and pictures, and of how they are read; part of the feature cache's key."""
        return fingerprint_of(self.rows, self.truncated, self.white)


@contextmanager
def _hinted() -> Iterator[None]:
    """Add to the error of a broken picture which options help."""
    try:
        yield
    except BrokenImageError as error:
        raise type(error)(f"{error}. {HINT}") from None


def _such(rows: int) -> str:
    """How many pictures an error is about, if it is more than the one that it names."""
    return f" ({rows} such pictures)" if rows > 1 else ""
