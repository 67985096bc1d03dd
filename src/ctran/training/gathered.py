"""Outputs of several processes, of which some have pictures twice so that all have equally many."""

import torch
from jaxtyping import Int
from torch import Tensor


def first_places(numbers: Int[Tensor, " N"]) -> Int[Tensor, " U"]:
    """Index of each number's first occurrence, in ascending order of the numbers."""
    order = torch.argsort(numbers, stable=True)
    in_order = numbers[order]
    new = torch.ones_like(in_order, dtype=torch.bool)
    new[1:] = in_order[1:] != in_order[:-1]
    return order[new]
