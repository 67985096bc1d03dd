"""Implications ``child => parent``: a picture with a poodle has a dog in it.

Known states propagate along them (a present child makes its parents present, an absent parent its children absent), and no
parent may be less probable than its child.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.labels import LabelSpace, LabelState


def propagate_implications(states: Int[Tensor, "R L"], pairs: Int[Tensor, "I 2"]) -> Int[Tensor, "R L"]:
    """``states`` with all that follows from them; a present child overrides an absent parent.

    Args:
        pairs: (child, ancestor), closed (:attr:`ctran.labels.LabelSpace.implied`).
    """
    if not len(pairs):
        return states
    child, parent = pairs.to(states.device).T
    none = torch.zeros_like(states, dtype=torch.int32)  # counts, which int8 states could not hold
    present = none.index_add(1, parent, (states[:, child] == LabelState.POSITIVE).int())
    filled = torch.where(present > 0, int(LabelState.POSITIVE), states)
    absent = none.index_add(1, child, (filled[:, parent] == LabelState.NEGATIVE).int())
    return torch.where(absent > 0, int(LabelState.NEGATIVE), filled)


def enforce_implications(probabilities: Float[Tensor, "R L"], labels: LabelSpace) -> Float[Tensor, "R L"]:
    """Probabilities in which each parent is at least as probable as each of its children, and as the sum of its children in any
    one exclusive group.
    """
    if not len(labels.implied):
        return probabilities
    child, parent = labels.implied.to(probabilities.device).T
    found = probabilities.scatter_reduce(1, parent.expand(len(probabilities), -1), probabilities[:, child], "amax")
    for members, above, implies in ([part.to(probabilities.device) for part in group] for group in labels.implied_by_groups):
        total = probabilities[:, members] @ implies.to(probabilities)
        found[:, above] = found[:, above].maximum(total.clamp(max=1))
    return found


def clamp_known(probabilities: Float[Tensor, "R L"], states: Int[Tensor, "R L"], labels: LabelSpace) -> Float[Tensor, "R L"]:
    """Probabilities given ``states``: 0 or 1 for known labels, and consistent with them.

    A model's output for a known label means nothing, so it must not affect the label's parents either.
    """
    clamped = torch.where(states == LabelState.UNKNOWN, probabilities, (states == LabelState.POSITIVE).to(probabilities))
    return enforce_implications(clamped, labels)


def propagate(states: Int[Tensor, "R L"], labels: LabelSpace) -> Int[Tensor, "R L"]:
    """``states`` with all that follows from implications and exclusive groups.

    In an exclusive group the rivals of a present label are absent, the last possible label is present, and so is each label
    that all possible ones imply.
    """
    if not len(labels.implied) and not labels.exclusive:
        return states
    groups = [[each.to(states.device) for each in group] for group in labels.implied_by_groups]
    while True:
        filled = propagate_implications(states, labels.implied).clone()
        for members, above, implies in groups:
            in_group = filled[:, members]
            open_ = in_group == LabelState.UNKNOWN
            decided = (in_group == LabelState.POSITIVE).any(dim=1, keepdim=True)
            last = ~decided & (open_.sum(dim=1, keepdim=True) == 1)
            in_group = torch.where(decided & open_, int(LabelState.NEGATIVE), in_group)
            filled[:, members] = in_group = torch.where(last & open_, int(LabelState.POSITIVE), in_group)
            possible = (in_group != LabelState.NEGATIVE)[:, :, None]
            sure = (~possible | implies).all(dim=1) & possible.any(dim=1)
            filled[:, above] = torch.where(
                sure & (filled[:, above] == LabelState.UNKNOWN), int(LabelState.POSITIVE), filled[:, above]
            )
        if torch.equal(filled, states):
            return filled
        states = filled
