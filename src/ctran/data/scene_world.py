"""A mixture of label distributions with three-way couplings: what pairs of labels cannot express, exact by enumeration."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ctran.data.planted_world import LabelWorld, check_coupling, pair_energy, softmax
from ctran.errors import UserError


@dataclass(frozen=True, eq=False)
class SceneWorld(LabelWorld):
    r"""A hidden scene type ``t``, and labels whose distribution depends on it.

    .. math::
        P(y) = \sum_t \pi_t P(y \mid t), \qquad P(y \mid t) \propto \exp\Big(\sum_i h_{ti} s_i + \sum_{i<j} J_{tij} s_i s_j
        + \sum_{(i,j,k)} K_{ijk} s_i s_j s_k\Big), \quad s_i = 2 y_i - 1 \in \{-1, 1\}.

    The scene type is no label, never drawn and never known, and drawing depends on the labels alone: all that the posterior
    needs is the sum over ``t``. Shapes: ``T`` scene types, ``L`` labels, ``S = 2^L`` states.

    Args:
        scene_share: ``pi``, sums to 1.
        field: ``h``, how common each label is in each scene type.
        coupling: ``J`` of each scene type, symmetric, diagonal 0.
        triples: ``K`` of three different labels.
        drawn_share: ``q``, one number a label.
    """

    scene_share: Float[np.ndarray, " T"]
    field: Float[np.ndarray, "T L"]
    coupling: Float[np.ndarray, "T L L"]
    triples: Mapping[tuple[int, int, int], float]
    drawn_share: Float[np.ndarray, " L"]

    def __post_init__(self) -> None:
        super().__post_init__()
        for coupling in self.coupling:
            check_coupling(coupling)
        if (self.scene_share < 0).any() or not np.isclose(self.scene_share.sum(), 1):
            raise UserError(f"expected shares of scene types that sum to 1, got {self.scene_share.tolist()}")
        if wrong := [t for t in self.triples if len(set(t)) < 3 or not all(0 <= i < len(self.drawn_share) for i in t)]:
            raise UserError(
                f"expected triples of three different labels, numbers 0 to {len(self.drawn_share) - 1}, got {wrong[0]}"
            )

    @cached_property
    def joint(self) -> Float[np.ndarray, "T S"]:
        """``P(t, y)`` of every scene type and every row of :attr:`all_states`."""
        s = 2 * self.all_states - 1
        three_way = sum((k * s[:, triple].prod(1) for triple, k in self.triples.items()), np.zeros(len(s)))
        pairs = [pair_energy(s, h, j) for h, j in zip(self.field, self.coupling, strict=True)]
        return self.scene_share[:, None] * softmax(np.stack(pairs) + three_way)

    def distribution(self) -> Float[np.ndarray, " S"]:
        """``P(y)``, the sum over the scene types."""
        return self.joint.sum(0)
