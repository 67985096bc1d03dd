"""How knowing one label changes the others, on average over pictures: an association, not a cause."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ctran.data.table import SampleTable
from ctran.inference.predictor import Predictor
from ctran.labels import LabelState
from ctran.progress import track

_SURE = 1e-6
"""Probabilities are clamped this far from 0 and 1."""


def influence(predictor: Predictor, table: SampleTable, rows: Sequence[int]) -> Float[Tensor, "L L"]:
    """Mean difference of log-odds: entry ``(i, j)`` is the log-odds of label ``j`` with label ``i`` known to be present, minus
    those with it known to be absent; all other labels are unknown.

    The mean is over the pictures ``rows`` of the table. It shows which labels the model associates in these pictures, not the
    effect of changing a picture. The diagonal is 0.
    """
    size = len(predictor.labels)
    one = torch.eye(size, dtype=torch.long)
    states = torch.cat([one * int(LabelState.POSITIVE), one * int(LabelState.NEGATIVE)])
    total = torch.zeros(size, size, dtype=torch.double)
    for row in track(rows, "telling each label both ways", len(rows)):
        square = predictor.preprocessing.pixels(table.pixels(row))
        odds = predictor.marginals(predictor.encode_images(square[None]), states).double().clamp(_SURE, 1 - _SURE).logit()
        total += odds[:size] - odds[size:]
    return (total / len(rows)).fill_diagonal_(0).float()
