"""Logits and states -> probabilities that agree with what is known, and the entries that are left to predict."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.constraints import exclusive, implications
from ctran.labels import LabelSpace
from ctran.masking import counted


def marginals(logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"], labels: LabelSpace) -> Float[Tensor, "R L"]:
    """Probability of each label, 0 to 1: sigmoids, and a softmax over each exclusive group; exactly 0 or 1 for labels that
    ``states`` gives and for all that follows from them; no parent is less probable than its children.

    Args:
        states: what is known, :class:`~ctran.labels.LabelState` codes.
    """
    closed = implications.settle(states, labels)
    return implications.settled(exclusive.probabilities(logits, closed, labels.exclusive), closed, labels)


def scored(truth: Int[Tensor, "R L"], states: Int[Tensor, "R L"], labels: LabelSpace) -> Bool[Tensor, "R L"]:
    """Entries that metrics count: truth is known, and neither given by ``states`` nor a consequence of them.

    A consequence (the rivals of a known label of an exclusive group, the parent of a known child) is no prediction: its
    probability is exactly 0 or 1, and counting it would raise every figure with the share of known labels.
    """
    return counted(truth, implications.settle(states, labels))
