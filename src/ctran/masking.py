"""Which of the truth the model is told: label mask training, and known labels for evaluation.

Masks are drawn on the batch, from truth and a generator; data sets know nothing of them.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ctran.labels import LabelState


def label_mask_training(
    truth: Int[Tensor, "B L"],
    *,
    unknown_share: tuple[float, float] = (0.25, 1.0),
    all_unknown: float = 0.0,
    generator: torch.Generator,
) -> Int[Tensor, "B L"]:
    """States for one training batch: ``n`` random labels an image are hidden, the others told (paper, Sec. 3.4).

    ``n`` is uniform over the whole numbers in ``[low L, high L]``, one draw an image, then ``n`` labels are drawn without
    replacement. Labels whose truth is unknown stay unknown, so truth with holes needs no other code.

    Args:
        truth: :class:`LabelState` codes; ``UNKNOWN`` where nobody looked.
        unknown_share: ``(low, high)``, the paper's ``[0.25, 1]``.
        all_unknown: probability that an image is told nothing at all, drawn first: the regular setting, which the
            paper's sampling almost never shows. 0 is the paper.
        generator: source of randomness.
    """
    low, high = unknown_share
    if not 0 <= low <= high <= 1:
        raise ValueError(f"unknown_share must satisfy 0 <= low <= high <= 1, got [{low}, {high}]")
    batch, labels = truth.shape
    least, most = math.ceil(low * labels), math.floor(high * labels)
    if least > most:
        raise ValueError(f"unknown_share [{low}, {high}] admits no whole number of {labels} labels")
    count = torch.randint(least, most + 1, (batch, 1), generator=generator)
    nothing = torch.rand(batch, 1, generator=generator) < all_unknown
    count = torch.where(nothing, labels, count)
    rank = torch.rand(batch, labels, generator=generator).argsort(dim=1).argsort(dim=1)
    hidden = (rank < count).to(truth.device)
    return torch.where(hidden, int(LabelState.UNKNOWN), truth)


def known_labels(ids: Sequence[str], num_labels: int, share: float, *, seed: int = 0) -> Bool[np.ndarray, "B L"]:
    """Labels that evaluation tells the model: ``int(share * L)`` an image, the authors' count.

    Keyed by image id and seed, so the choice is the same on every machine and in every order; nested as ``share`` grows,
    so that curves over the share are paired.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a known share lies between 0 and 1, got {share}")
    count = int(share * num_labels + 1e-9)  # 0.29 * 100 is a little less than 29
    known = np.zeros((len(ids), num_labels), dtype=bool)
    for row, name in enumerate(ids):
        digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
        order = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little"))).permutation(num_labels)
        known[row, order[:count]] = True
    return known


def tell(truth: Int[Tensor, "B L"], known: Bool[Tensor, "B L"]) -> Int[Tensor, "B L"]:
    """States that show ``truth`` where ``known``, nothing elsewhere."""
    return torch.where(known, truth, int(LabelState.UNKNOWN))


def counted(truth: Int[Tensor, "B L"], states: Int[Tensor, "B L"]) -> Bool[Tensor, "B L"]:
    """Entries that loss and metrics look at: truth is known, and the model was not told."""
    return (truth != LabelState.UNKNOWN) & (states == LabelState.UNKNOWN)
