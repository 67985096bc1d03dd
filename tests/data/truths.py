"""Truth for tests, written as rows of codes, stored as a table would store it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch

from ctran.data.lists import Lists
from ctran.data.truth import SparseTruth
from ctran.labels import LabelState


def column(codes: np.ndarray, state: LabelState) -> pa.ChunkedArray:
    """An Arrow column that lists the labels of one state."""
    return pa.chunked_array([pa.array([np.flatnonzero(row == state) for row in codes], pa.list_(pa.int32()))])


def sparse(
    codes: Sequence[Sequence[int]] | np.ndarray, exclusive: Sequence[Sequence[int]] = (), absent: int | Sequence[int] = 0
) -> SparseTruth:
    """Truth with these codes; those that are ``absent`` (one code, or one a label) are in no list."""
    rows = np.array(codes)
    missing = np.broadcast_to(np.int8(absent), rows.shape[1]).copy()
    listed = np.where(rows == missing, -1, rows)
    lists = [Lists.from_arrow(column(listed, s), rows.shape[1]) for s in (LabelState.POSITIVE, LabelState.NEGATIVE)]
    return SparseTruth(*lists, missing, [torch.tensor(m) for m in exclusive])
