"""All metrics of one setting."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Num

from ctran.metrics.counting import Counts, accuracies, mean_ap, mean_over_labels, precision_recall, predictions
from ctran.metrics.definition import PRESETS, Definition
from ctran.metrics.label_ranking import label_rows, rank_labels
from ctran.metrics.sheet import EntryThreshold, Sheet, limits, sheet

PRINTED = {"printed": True}
"""Metadata of figures that tables show; JSON has all."""
MAIN = PRINTED | {"main": True}
"""Metadata of the figures that tables on a terminal of 80 columns show, those of the paper's tables without top 3."""


@dataclass(frozen=True)
class Table:
    """All metrics of one setting. Percentages; NaN where no label (or image) has the figure.

    The last three are over images: those with every counted entry right; counted entries that are right; the mean of
    2 hits / (positives + predictions) over the images that have any.
    """

    mAP: float = field(metadata=MAIN)
    CP: float = field(metadata=MAIN)
    CR: float = field(metadata=MAIN)
    CF1: float = field(metadata=MAIN)
    OP: float = field(metadata=MAIN)
    OR: float = field(metadata=MAIN)
    OF1: float = field(metadata=MAIN)
    top3_CP: float = field(metadata=PRINTED)
    top3_CR: float = field(metadata=PRINTED)
    top3_CF1: float = field(metadata=PRINTED)
    top3_OP: float = field(metadata=PRINTED)
    top3_OR: float = field(metadata=PRINTED)
    top3_OF1: float = field(metadata=PRINTED)
    macro_AUROC: float = field(metadata=PRINTED)
    subset_accuracy: float
    hamming_accuracy: float
    example_F1: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def summarise(
    aps: Float[np.ndarray, "R l"],
    aurocs: Float[np.ndarray, "R l"],
    sums: Sequence[Num[np.ndarray, "R l"]],
    examples: Float[np.ndarray, "R 6"],
    absent: str,
    definition: Definition,
) -> dict[str, Float[np.ndarray, " R"]]:
    """Every column of :class:`Table` in percent, from sums over images; ``R``: resamples, or 1.

    Args:
        absent: how labels without a positive count in mAP.
    """
    positive, predicted, hits, top3, top3_hits = sums
    columns = {
        "mAP": mean_ap(aps, absent),
        **precision_recall(Counts(positive, predicted, hits), definition),
        **precision_recall(Counts(positive, top3, top3_hits), definition, "top3_"),
        "macro_AUROC": mean_over_labels(aurocs, ~np.isnan(aurocs), "skip"),
        **accuracies(examples),
    }
    return {name: 100 * values for name, values in columns.items()}


def _evaluate(cut: Sheet, threshold: EntryThreshold, definition: Definition) -> tuple[Table, Float[np.ndarray, " l"]]:
    """The table and the AP (0 to 1) of each evaluated label."""
    aps, aurocs = rank_labels(cut, definition)
    found = predictions(cut.scores, cut.positive, cut.entries, limits(threshold, cut), definition)
    sums = [m.sum(axis=0, keepdims=True) for m in found.matrices()]
    columns = summarise(aps[None], aurocs[None], sums, found.examples.sum(axis=0, keepdims=True), cut.absent, definition)
    return Table(**{name: values.item() for name, values in columns.items()}), aps


def measure_all(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    *,
    threshold: EntryThreshold = 0.5,
    definition: Definition = PRESETS["default"],
    everything: Bool[np.ndarray, "N L"] | None = None,
) -> tuple[Table, list[tuple[float, int]]]:
    """:func:`measure` and :func:`per_label` at the cost of one."""
    cut = sheet(probabilities, positive, mask, everything, definition)
    table, aps = _evaluate(cut, threshold, definition)
    return table, label_rows(aps, cut, mask.shape[1])


def measure(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    *,
    threshold: EntryThreshold = 0.5,
    definition: Definition = PRESETS["default"],
    everything: Bool[np.ndarray, "N L"] | None = None,
) -> Table:
    """All metrics of one setting.

    Args:
        probabilities: 0 to 1, finite.
        positive: the truth.
        mask: entries that count (annotated, unknown to the model, a target label).
        threshold: a label is predicted where its probability is at least this; one number, or one for each entry.
        definition: what the columns mean, such as ``PRESETS["ctran"]``.
        everything: annotated entries of target labels, known to the model or not; None: none were known, it is ``mask``.
            Labels without such an entry are not part of the table, whatever the definition.

    Raises:
        ValueError: shapes disagree, a probability is not finite, or ``everything`` lacks entries of ``mask``.
    """
    return _evaluate(sheet(probabilities, positive, mask, everything, definition), threshold, definition)[0]
