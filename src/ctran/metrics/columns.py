"""Scores and truth of all images, label by label: what AP and AUROC need, filled block by block."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ctran.metrics.definition import Definition
from ctran.metrics.label_ranking import rank_label, without_negatives
from ctran.metrics.store import Store


@dataclass(frozen=True)
class Ranked:
    """AP and AUROC of each label, 0 to 1, as of :func:`~ctran.metrics.label_ranking.rank_labels`, and counted images."""

    aps: Float[np.ndarray, " L"]
    aurocs: Float[np.ndarray, " L"]
    positive: Int[np.ndarray, " L"]
    counted: Int[np.ndarray, " L"]


class Columns:
    """``N`` images of ``L`` labels in the memory of a store, in the order in which they are added.

    Args:
        images: ``N``.
        labels: ``L``.
        store: where they are held.
    """

    def __init__(self, images: int, labels: int, store: Store) -> None:
        self.scores = store.empty((labels, images), np.float64)
        self.flags = store.empty((labels, images), np.uint8)
        self.filled = 0

    def add(
        self,
        scores: Float[np.ndarray, "B L"],
        positive: Bool[np.ndarray, "B L"],
        masks: Sequence[Bool[np.ndarray, "B L"]],
    ) -> None:
        """The next images.

        Args:
            masks: entries that count, at most seven; :meth:`rank` takes one by its place.
        """
        flags = positive.astype(np.uint8)
        for place, mask in enumerate(masks, start=1):
            flags |= mask.astype(np.uint8) << place
        rows = slice(self.filled, self.filled + len(scores))
        self.scores[:, rows], self.flags[:, rows] = scores.T, flags.T
        self.filled = rows.stop

    def rank(self, mask: int, definition: Definition) -> Ranked:
        """Rank the images of each label, one label at a time.

        Args:
            mask: place of the entries that count.
        """
        aps, aurocs = np.full((2, len(self.scores)), np.nan)
        positives, counted = np.zeros((2, len(self.scores)), dtype=int)
        for label, (scores, flags) in enumerate(zip(self.scores, self.flags, strict=True)):
            entries = (flags[: self.filled] >> (mask + 1) & 1).astype(bool)
            whole = entries.all()
            positive = (flags[: self.filled] if whole else flags[: self.filled][entries]) & 1 == 1
            counted[label], positives[label] = len(positive), positive.sum()
            if positives[label]:
                kept = scores[: self.filled] if whole else scores[: self.filled][entries]
                aps[label], aurocs[label] = rank_label(kept, positive, definition)
        return Ranked(without_negatives(aps, aurocs, definition), aurocs, positives, counted)
