"""Truth for tests, written as rows of codes, stored as a table would store it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ctran.constraints.exclusive import ExclusiveError
from ctran.data.lists import Lists
from ctran.data.truth import SparseTruth
from ctran.labels import LabelState


def column(codes: np.ndarray, state: LabelState) -> pa.ChunkedArray:
    """An Arrow column that lists the labels of one state."""
    return pa.chunked_array([pa.array([np.flatnonzero(row == state) for row in codes], pa.list_(pa.int32()))])


def sparse(
    codes: Sequence[Sequence[int]] | np.ndarray,
    exclusive: Sequence[Sequence[int]] = (),
    absent: int | Sequence[int] = 0,
    implied: Sequence[tuple[int, int]] = (),
) -> SparseTruth:
    """Truth with these codes; those that are ``absent`` (one code, or one a label) are in no list."""
    rows = np.array(codes)
    missing = np.broadcast_to(np.int8(absent), rows.shape[1]).copy()
    listed = np.where(rows == missing, -1, rows)
    lists = [Lists.from_arrow(column(listed, s), rows.shape[1]) for s in (LabelState.POSITIVE, LabelState.NEGATIVE)]
    pairs = torch.tensor(implied, dtype=torch.long).reshape(-1, 2)
    return SparseTruth(*lists, missing, [torch.tensor(m) for m in exclusive], pairs)


def complete(truth: Tensor, groups: Sequence[Tensor]) -> Tensor:
    """The dense way to what follows from truth: where one label of a group is positive, its others are negative. In place.

    Raises:
        ExclusiveError: two labels of a group are positive, or all are negative.
    """
    for number, members in enumerate(groups):
        codes = truth[:, members]
        positives = (codes == LabelState.POSITIVE).sum(dim=1)
        none = (codes == LabelState.NEGATIVE).all(dim=1)
        if (wrong := (positives > 1) | none).any():
            row = int(wrong.nonzero()[0, 0])
            raise ExclusiveError(number, row, int(positives[row]), int(wrong.sum()))
        truth[:, members] = torch.where((positives == 1)[:, None] & (codes == LabelState.UNKNOWN), LabelState.NEGATIVE, codes)
    return truth
