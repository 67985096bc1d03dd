"""The one sample table: image, id, positives, negatives, in a Hugging Face data set."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from ctran.exclusive import ExclusiveError, complete
from ctran.images import open_image
from ctran.labels import LabelSpace, LabelState


class DataError(ValueError):
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
        absent: what a label means that is in neither list: ``NEGATIVE`` (the annotation is complete) or ``UNKNOWN`` (nobody
            looked).
        broken: pictures that were left out.

    Raises:
        DataError: no picture, or ids twice.
    """

    rows: Dataset
    labels: LabelSpace
    absent: LabelState
    broken: tuple[Broken, ...] = ()

    def __post_init__(self) -> None:
        if len(self.rows) == 0:
            raise DataError("no picture to work with: the table is empty")
        if len(set(self.ids)) != len(self.ids):
            seen: set[str] = set()
            twice = next(i for i in self.ids if i in seen or seen.add(i))
            raise DataError(f"picture ids must be distinct, got {twice!r} twice")

    def check_learnable(self) -> "SampleTable":
        """Refuse a table that an all-positive answer would fit perfectly."""
        if self.absent == LabelState.UNKNOWN and not any(self._column("negatives")):
            raise DataError(
                "every label is either positive or unknown, so answering 'yes' to everything would be perfect and nothing "
                "can be learned. If unlisted labels are absent from the pictures, say --absent negative; otherwise add "
                "negatives (a 'negatives' column, or 0 in a wide CSV)."
            )
        return self

    def __len__(self) -> int:
        return len(self.rows)

    def _column(self, name: str) -> list[list[int]]:
        return self.rows.with_format(None)[name][:]

    @cached_property
    def ids(self) -> list[str]:
        return self.rows["id"][:]

    @cached_property
    def truth(self) -> Int[Tensor, "N L"]:
        """Dense truth (int8), one :class:`LabelState` code an entry.

        Where one label of an exclusive group is positive its others are negative, also where nobody said so.

        Raises:
            DataError: several labels of an exclusive group are positive, or all are negative; it names picture and group.
        """
        table = np.full((len(self), len(self.labels)), int(self.absent), dtype=np.int8)
        for name, code in (("negatives", LabelState.NEGATIVE), ("positives", LabelState.POSITIVE)):
            lists = self._column(name)
            lengths = [len(x) for x in lists]
            where = np.repeat(np.arange(len(lists)), lengths)
            table[where, np.concatenate([np.asarray(x, dtype=np.int64) for x in lists])] = code
        return self._completed(torch.from_numpy(table), self.labels)

    def _completed(self, truth: Int[Tensor, "N L"], labels: LabelSpace) -> Int[Tensor, "N L"]:
        try:
            return complete(truth, labels.exclusive)
        except ExclusiveError as error:
            group = [g for g in labels.groups if g.exclusive][error.group]
            more = f" ({error.rows} such pictures)" if error.rows > 1 else ""
            what = f"has {error.positives} labels" if error.positives else "has none of the labels"
            raise DataError(
                f"picture {self.ids[error.row]!r} {what} of group {group.name!r}, which is exclusive: exactly one is expected"
                f"{more}. Mend the annotation, add a label for 'none of these', or set exclusive: false"
            ) from None

    def picture(self, index: int) -> Image.Image:
        """Decoded RGB picture of one row; :class:`~ctran.images.BrokenImageError` names it."""
        cell = self.rows[index]["image"]
        source = cell["bytes"] if cell["bytes"] is not None else cell["path"]
        where = "" if cell["path"] is None else f" ({cell['path']})"
        return open_image(source, name=f"picture {self.ids[index]!r}{where}")

    def select(self, indices: Sequence[int]) -> "SampleTable":
        """The same table with only these rows, in this order."""
        return replace(self, rows=self.rows.select(indices))

    def truth_for(self, labels: LabelSpace) -> Int[Tensor, "N L"]:
        """:attr:`truth` in another label space: labels that this table does not have are ``UNKNOWN``."""
        if labels.names == self.labels.names and labels.groups == self.labels.groups:
            return self.truth
        known = self.labels.index_of
        unknown = torch.full((len(self), 1), int(LabelState.UNKNOWN), dtype=torch.int8)
        padded = torch.cat([self.truth, unknown], dim=1)
        return self._completed(padded[:, [known.get(name, len(known)) for name in labels.names]], labels)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of ids and pictures (of a file its size and time), part of the feature cache's key."""
        digest = hashlib.sha256()
        for name, cell in zip(self.ids, self.rows["image"][:], strict=True):
            digest.update(name.encode())
            if cell["bytes"] is not None:
                digest.update(cell["bytes"])
            else:
                stat = Path(cell["path"]).stat()
                digest.update(f"{cell['path']}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
        return digest.hexdigest()
