"""The probability models behind planted worlds: known couplings, so every probability follows by enumeration."""

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from ctran.errors import UserError
from ctran.labels import LabelState

_IMPOSSIBLE = -1e4
"""Log-probability of the impossible; finite, so that 0 * IMPOSSIBLE is 0, and far below any log-odds."""


class LabelWorld(ABC):
    r"""Labels of a known joint distribution, of which some are then drawn and the others stay hidden.

    .. math:: P(d \mid y) = \prod_i \big(q_i y_i\big)^{d_i} \big(1 - q_i y_i\big)^{1 - d_i}.

    Symbols: ``y`` labels, ``d`` what is drawn. An absent object is never drawn, a present one with probability ``q_i``; a
    label with ``q_i = 0`` is never drawn. Shapes: ``N`` pictures, ``L`` labels, ``S = 2^L`` states. A subclass gives
    :meth:`distribution`.
    """

    drawn_share: Float[np.ndarray, " L"]
    """``q``, one number a label."""

    def __post_init__(self) -> None:
        if len(self.drawn_share) > 16:
            raise UserError(
                f"the exact posterior enumerates 2^L states: expected at most 16 labels, got {len(self.drawn_share)}"
            )
        if ((self.drawn_share < 0) | (self.drawn_share >= 1)).any():
            raise UserError(f"expected probabilities of being drawn in [0, 1), got {self.drawn_share.tolist()}")

    @abstractmethod
    def distribution(self) -> Float[np.ndarray, " S"]:
        """Compute :attr:`probability`."""

    @cached_property
    def probability(self) -> Float[np.ndarray, " S"]:
        """``P(y)`` of every row of :attr:`all_states`."""
        return self.distribution()

    @cached_property
    def all_states(self) -> Float[np.ndarray, "S L"]:
        """Every assignment of 0 and 1 to the labels."""
        return np.array(list(itertools.product((0.0, 1.0), repeat=len(self.drawn_share))))

    @property
    def prevalence(self) -> Float[np.ndarray, " L"]:
        """``P(y_i = 1)``."""
        return self.probability @ self.all_states

    def sample(self, uniform: Float[np.ndarray, " N"]) -> Bool[np.ndarray, "N L"]:
        """One exact draw of ``y`` for each number in [0, 1): the inverse of the distribution function."""
        edges = np.cumsum(self.probability)
        return self.all_states[np.searchsorted(edges[:-1], uniform, side="right")] > 0

    def posterior(self, drawn: Bool[np.ndarray, "N L"], states: Int[np.ndarray, "N L"]) -> Float[np.ndarray, "N L"]:
        r"""The exact posterior,

        .. math:: P(y_i = 1 \mid d, k) = \sum_{y : y_i = 1,\, y \sim k} P(y) P(d \mid y) \Big/ \sum_{y \sim k} P(y) P(d \mid y),

        over the states ``y`` that agree with the known labels ``k``.

        Args:
            drawn: what is drawn in each picture.
            states: :class:`~ctran.labels.LabelState` codes, what is known.

        Raises:
            ValueError: something is drawn that is known to be absent, or that is never drawn.
        """
        if (drawn & ((states == LabelState.NEGATIVE) | (self.drawn_share == 0))).any():
            raise UserError("no state of the world agrees: a label is drawn that is known to be absent or is never drawn")
        present = np.where(states == LabelState.NEGATIVE, _IMPOSSIBLE, np.where(drawn, 0.0, np.log1p(-self.drawn_share)))
        absent = np.where((states == LabelState.POSITIVE) | drawn, _IMPOSSIBLE, 0.0)  # log P(d_i, k_i | y_i), up to a constant
        evidence = present @ self.all_states.T + absent @ (1 - self.all_states).T  # (N, S)
        return softmax(np.log(self.probability) + evidence) @ self.all_states


@dataclass(frozen=True, eq=False)
class World(LabelWorld):
    r"""A pairwise model of labels.

    .. math::
        P(y) \propto \exp\Big(\sum_i h_i s_i + \sum_{i<j} J_{ij} s_i s_j\Big), \quad s_i = 2 y_i - 1 \in \{-1, 1\}.

    Args:
        field: ``h``, how common each label is by itself.
        coupling: ``J``, symmetric, diagonal 0.
        drawn_share: ``q``, one number a label; 0 for the scene type, which is never drawn.
    """

    field: Float[np.ndarray, " L"]
    coupling: Float[np.ndarray, "L L"]
    drawn_share: Float[np.ndarray, " L"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_coupling(self.coupling)

    def distribution(self) -> Float[np.ndarray, " S"]:
        """``P(y)`` of pairs."""
        return softmax(pair_energy(2 * self.all_states - 1, self.field, self.coupling))


def check_coupling(coupling: Float[np.ndarray, "L L"]) -> None:
    """Refuse couplings that are not symmetric with diagonal 0."""
    if (coupling != coupling.T).any() or np.diag(coupling).any():
        raise UserError("expected a symmetric coupling with diagonal 0")


def pair_energy(
    s: Float[np.ndarray, "S L"], field: Float[np.ndarray, " L"], coupling: Float[np.ndarray, "L L"]
) -> Float[np.ndarray, " S"]:
    """Sum of what single labels and pairs of labels contribute to the log-probability of each state ``s`` of -1 and 1."""
    return s @ field + 0.5 * ((s @ coupling) * s).sum(1)


def softmax(x: Float[np.ndarray, "*B S"]) -> Float[np.ndarray, "*B S"]:
    """Probabilities of log-weights, over the last axis."""
    p = np.exp(x - x.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def kl(p: Float[np.ndarray, "*S"], q: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"]:
    r"""KL divergence of two Bernoulli distributions in nats, :math:`p \ln (p / q) + (1 - p) \ln ((1 - p) / (1 - q))`.

    ``q`` is clipped to stay ``1e-9`` away from 0 and 1.
    """
    q = np.clip(q, 1e-9, 1 - 1e-9)
    p = np.clip(p, 1e-12, 1 - 1e-12)  # p ln p is 0 at p = 0
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
