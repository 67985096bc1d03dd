"""Folds that keep near duplicates together: frames of a burst, variants of one drawing.

A model that has seen one of them knows the others, so logits would not be those of new pictures.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.data.loading import seed_of
from ctran.methods._logistic import Standardise

ALIKE = (0.2, 0.1, 0.05, 0.02)
"""Squared distances that link two pictures, in units of the median of all; the first is used whose groups are small."""
LARGEST = 0.05
"""Greatest share of the pictures in one group: links chain, and a group stays in one fold."""
ROWS = 512
"""Pictures that are compared with all others at a time."""


def near_duplicates(features: Float[Tensor, "N C"]) -> Int[Tensor, " N"]:
    """Number of each picture's group: those linked by a chain of pairs that are alike."""
    inputs = Standardise.of(features)(features)
    pictures = len(inputs)
    width = float(torch.pdist(inputs[:: -(-pictures // 512)]).square().median()) if pictures > 1 else 0.0
    groups = torch.arange(pictures)
    if width == 0:  # pictures that all look alike say nothing of duplicates
        return groups
    pairs, distances = _pairs(inputs, ALIKE[0] * width)
    for alike in ALIKE:
        groups = _connected(pairs[distances <= alike * width], pictures)
        if int(groups.bincount().max()) <= max(LARGEST * pictures, 2):
            return groups
    return torch.arange(pictures)


def _pairs(inputs: Float[Tensor, "N C"], most: float) -> tuple[Int[Tensor, "K 2"], Float[Tensor, " K"]]:
    """Pairs of pictures whose squared distance is at most ``most``, and that distance."""
    squares = inputs.square().sum(dim=1)
    pairs, distances = list[Tensor](), list[Tensor]()
    for rows in torch.arange(len(inputs)).split(ROWS):
        block = squares[rows, None] + squares - 2 * inputs[rows] @ inputs.T
        near = (block <= most).nonzero()
        pairs.append(near + torch.tensor([int(rows[0]), 0]))
        distances.append(block[near[:, 0], near[:, 1]])
    return torch.cat(pairs), torch.cat(distances)


def _connected(pairs: Int[Tensor, "K 2"], pictures: int) -> Int[Tensor, " N"]:
    """Number of each picture's group: those linked by a chain of pairs."""
    first, second = pairs.T
    least = torch.arange(pictures)  # of each picture: the least number that is known to be in its group
    while True:
        found = least.scatter_reduce(0, first, least[second], "amin")
        found = found[found]  # what the least one knows, too
        if torch.equal(found, least):
            return least.unique(return_inverse=True)[1]
        least = found


def folds_of(groups: Int[Tensor, " N"], seed: int, folds: int) -> Int[Tensor, " N"]:
    """Number of each picture's fold: groups at random, the large ones first, each into the fold with the fewest pictures."""
    sizes = groups.bincount()
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed_of(seed, 20)))
    order = order[sizes[order].argsort(descending=True, stable=True)]
    counts, fold_of_group = torch.zeros(min(folds, len(sizes)), dtype=torch.long), torch.empty_like(sizes)
    for group in order.tolist():
        fold = int(counts.argmin())
        fold_of_group[group] = fold
        counts[fold] += sizes[group]
    return fold_of_group[groups]
