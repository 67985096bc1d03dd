"""Everything of a table but AP and AUROC, as sums over images: blocks of images are counted apart and added."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ctran.metrics.columns import Ranked
from ctran.metrics.counting import predictions
from ctran.metrics.definition import PRESETS, Definition
from ctran.metrics.sheet import EntryThreshold, absent_of, limits, sheet
from ctran.metrics.table import Table, summarise


@dataclass(frozen=True)
class Counted:
    """Counts of some images.

    Args:
        sums: of each label, as of :meth:`~ctran.metrics.counting.Predictions.matrices`.
        examples: as of :class:`~ctran.metrics.counting.Predictions`, summed over the images.
        has_entry: labels with an annotated entry; the others are not part of a table.
        some_known: whether an annotated entry was known to the model.
    """

    sums: Int[np.ndarray, "5 L"]
    examples: Float[np.ndarray, " 6"]
    has_entry: Bool[np.ndarray, " L"]
    some_known: bool

    def __add__(self, other: "Counted") -> "Counted":
        """The counts of both."""
        return Counted(
            self.sums + other.sums,
            self.examples + other.examples,
            np.logical_or(self.has_entry, other.has_entry),
            self.some_known or other.some_known,
        )

    def table(self, ranked: Ranked | None, definition: Definition = PRESETS["default"]) -> Table:
        """The table, with AP and AUROC of all labels; NaN without them."""
        at = np.flatnonzero(self.has_entry)
        none = np.full(len(at), np.nan)
        aps, aurocs = (none, none) if ranked is None else (ranked.aps[at], ranked.aurocs[at])
        sums = [each[None, at] for each in self.sums]
        absent = absent_of(definition, self.some_known)
        columns = summarise(aps[None], aurocs[None], sums, self.examples[None], absent, definition)
        return Table(**{name: values.item() for name, values in columns.items()})


def count(
    probabilities: Float[np.ndarray, "B L"],
    positive: Bool[np.ndarray, "B L"],
    mask: Bool[np.ndarray, "B L"],
    labels: Bool[np.ndarray, " L"],
    *,
    threshold: EntryThreshold = 0.5,
    definition: Definition = PRESETS["default"],
    everything: Bool[np.ndarray, "B L"] | None = None,
) -> Counted:
    """Count a block of images; arguments as of :func:`ctran.metrics.measure`.

    Args:
        labels: those with an annotated entry among all images. Where the definition counts only annotated entries it may have
            more, and ``mask`` none of these.
    """
    known = mask if everything is None else everything
    cut = sheet(probabilities, positive, mask, everything, definition, np.flatnonzero(labels))
    found = predictions(cut.scores, cut.positive, cut.entries, limits(threshold, cut), definition)
    sums = np.zeros((5, len(labels)), dtype=np.int64)
    sums[:, cut.labels] = [matrix.sum(axis=0) for matrix in found.matrices()]
    return Counted(sums, found.examples.sum(axis=0), np.any(known, axis=0), not np.array_equal(mask, known))
