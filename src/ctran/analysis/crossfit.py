"""What the fits of temperatures and of thresholds share: folds of pictures, and when there is too little to fit anything."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ctran.labels import LabelState

FOLDS = 5
"""Folds of the cross-validation; a picture is in one fold with all its labels, at all shares and in all draws."""
NOISE = 2.0
"""Standard errors by which an effect on pictures left out of a fit must exceed 0: about the 95 % interval."""
PICTURES = 20
"""Least number of pictures with entries that count; with fewer nothing is fitted."""


def folds_of(pictures: int) -> Int[Tensor, " N"]:
    """The fold of each picture, at random, of equal sizes: the order of a table may follow its labels."""
    return torch.randperm(pictures, generator=torch.Generator().manual_seed(0)) % FOLDS


def too_few(truth: Int[Tensor, "N L"], counts: Bool[Tensor, "N L"]) -> str:
    """Why nothing can be fitted on these entries; an empty string where something can."""
    pictures, positive = int(counts.any(dim=1).sum()), int((counts & (truth == LabelState.POSITIVE)).sum())
    if pictures < PICTURES:
        return f"only {pictures} pictures have labels to predict (at least {PICTURES} are needed)"
    if not positive:
        return "no label to predict is positive in any picture"
    return "" if positive < int(counts.sum()) else "every label to predict is positive in every picture"
