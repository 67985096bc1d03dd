"""All metrics of one setting: one sort a label serves its AP, mAP and AUROC."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from ctran.errors import UserError
from ctran.metrics.counting import Counts, accuracies, mean_ap, mean_over_labels, precision_recall, predictions
from ctran.metrics.definition import PRESETS, Definition
from ctran.metrics.ranking import area, places, roc_area

EntryThreshold = float | Float[np.ndarray, "N L"]
"""From which probability on a label is predicted: one number, or one for each entry."""

PRINTED = {"printed": True}
"""Metadata of figures that printed tables show; JSON has all."""


@dataclass(frozen=True)
class Table:
    """All metrics of one setting. Percentages; NaN where no label (or image) has the figure.

    The last three are over images: those with every counted entry right; counted entries that are right; the mean of
    2 hits / (positives + predictions) over the images that have any.
    """

    mAP: float = field(metadata=PRINTED)
    CP: float = field(metadata=PRINTED)
    CR: float = field(metadata=PRINTED)
    CF1: float = field(metadata=PRINTED)
    OP: float = field(metadata=PRINTED)
    OR: float = field(metadata=PRINTED)
    OF1: float = field(metadata=PRINTED)
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


@dataclass(frozen=True)
class Sheet:
    """Checked input, of the evaluated labels only.

    Args:
        labels: their indices: those with an annotated entry, extra labels left out.
        hidden: entries of AP and AUROC.
        entries: entries of everything else.
        absent: how absent labels count in mAP.
    """

    labels: Int[np.ndarray, " l"]
    scores: Float[np.ndarray, "N l"]
    positive: Bool[np.ndarray, "N l"]
    hidden: Bool[np.ndarray, "N l"]
    entries: Bool[np.ndarray, "N l"]
    absent: str

    def columns(self) -> Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Scores, truth and hidden entries of each label, contiguous in memory: sorting strided columns is slow."""
        rows = [np.ascontiguousarray(a.T) for a in (self.scores, self.positive, self.hidden)]
        return list(zip(*rows, strict=True))


def sheet(
    probabilities: np.ndarray,
    positive: np.ndarray,
    mask: np.ndarray,
    everything: np.ndarray | None,
    definition: Definition,
) -> Sheet:
    """Check the input of :func:`measure` and reduce it to the evaluated labels."""
    known = mask if everything is None else everything
    shapes = [a.shape for a in (probabilities, positive, mask, known)]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"shapes must agree, got {shapes[0]}, {shapes[1]}, {shapes[2]} and {shapes[3]} for "
            "probabilities, positive, mask and everything"
        )
    if not np.isfinite(probabilities).all():
        raise UserError("probabilities must be finite, got NaN or infinity")
    if everything is not None and (mask & ~everything).any():
        raise ValueError(f"everything must contain mask, but lacks {(mask & ~everything).sum()} of its entries")
    labels = np.flatnonzero(known.any(axis=0))
    entries = {"hidden": mask, "known": known, "all": np.ones_like(mask)}[definition.entries]
    some_known = everything is not None and not np.array_equal(mask, everything)
    absent = definition.absent_with_known if some_known and definition.absent_with_known != "same" else definition.absent
    take = slice(None) if len(labels) == mask.shape[1] else labels
    return Sheet(labels, probabilities[:, take], (positive & known)[:, take], mask[:, take], entries[:, take], absent)


def _rank_labels(sheet: Sheet, definition: Definition) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, " l"]]:
    """AP and AUROC of each label, 0 to 1; NaN where it has none (:func:`without_negatives`)."""
    found = np.full((2, len(sheet.labels)), np.nan)
    whole = sheet.hidden.all()
    for number, (scores, positive, hidden) in enumerate(sheet.columns()):
        if not whole:
            scores, positive = scores[hidden], positive[hidden]
        if positive.any():
            ranking = places(scores, positive, grouped=definition.ap == "sklearn")
            found[:, number] = area(ranking, definition.ap), roc_area(ranking)
    return without_negatives(found[0], found[1], definition), found[1]


def without_negatives(
    aps: Float[np.ndarray, "*R l"], aurocs: Float[np.ndarray, "*R l"], definition: Definition
) -> Float[np.ndarray, "*R l"]:
    """APs, infinite for labels with positives but no negatives (so no AUROC either) that ``definition`` skips."""
    if definition.never_absent == "count":
        return aps
    return np.where(np.isnan(aurocs) & ~np.isnan(aps), np.inf, aps)


def summarise(
    aps: Float[np.ndarray, "R l"],
    aurocs: Float[np.ndarray, "R l"],
    sums: Sequence[Num[np.ndarray, "R l"]],
    examples: Float[np.ndarray, "R 6"],
    sheet: Sheet,
    definition: Definition,
) -> dict[str, Float[np.ndarray, " R"]]:
    """Every column of :class:`Table` in percent, from sums over images; ``R``: resamples, or 1."""
    positive, predicted, hits, top3, top3_hits = sums
    columns = {
        "mAP": mean_ap(aps, sheet.absent),
        **precision_recall(Counts(positive, predicted, hits), definition),
        **precision_recall(Counts(positive, top3, top3_hits), definition, "top3_"),
        "macro_AUROC": mean_over_labels(aurocs, ~np.isnan(aurocs), "skip"),
        **accuracies(examples),
    }
    return {name: 100 * values for name, values in columns.items()}


def limits(threshold: EntryThreshold, cut: Sheet) -> float | Float[np.ndarray, "N l"]:
    """The threshold of the evaluated labels."""
    return threshold[:, cut.labels] if isinstance(threshold, np.ndarray) else threshold


def _evaluate(cut: Sheet, threshold: EntryThreshold, definition: Definition) -> tuple[Table, Float[np.ndarray, " l"]]:
    """The table and the AP (0 to 1) of each evaluated label."""
    aps, aurocs = _rank_labels(cut, definition)
    found = predictions(cut.scores, cut.positive, cut.entries, limits(threshold, cut), definition)
    sums = [m.sum(axis=0, keepdims=True) for m in found.matrices()]
    columns = summarise(aps[None], aurocs[None], sums, found.examples.sum(axis=0, keepdims=True), cut, definition)
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
    return table, _rows(aps, cut, mask.shape[1])


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


def per_label(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    *,
    definition: Definition = PRESETS["default"],
) -> list[tuple[float, int]]:
    """AP in percent (NaN without a counted positive, 100 without a counted negative) and counted positives of each label."""
    cut = sheet(probabilities, positive, mask, None, definition)
    return _rows(_rank_labels(cut, definition)[0], cut, mask.shape[1])


def _rows(aps: Float[np.ndarray, " l"], cut: Sheet, num_labels: int) -> list[tuple[float, int]]:
    """AP and number of counted positives of all labels, evaluated or not."""
    ap, count = np.full(num_labels, np.nan), np.zeros(num_labels, dtype=int)
    ap[cut.labels], count[cut.labels] = 100 * np.where(np.isinf(aps), 1.0, aps), (cut.positive & cut.hidden).sum(axis=0)
    return list(zip(ap.tolist(), count.tolist(), strict=True))


def average_precision(
    scores: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    *,
    definition: Definition = PRESETS["default"],
) -> Float[np.ndarray, " L"]:
    """AP of each label, 0 to 1; NaN without a counted positive, 1 without a counted negative (which mAP may leave out)."""
    return np.array([ap / 100 for ap, _ in per_label(scores, positive, mask, definition=definition)])


def auroc(
    scores: Float[np.ndarray, "N L"], positive: Bool[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"]
) -> Float[np.ndarray, " L"]:
    """Area under the ROC curve of each label, 0 to 1, ties counting a half; NaN without positives or negatives."""
    cut = sheet(scores, positive, mask, None, PRESETS["default"])
    found = np.full(mask.shape[1], np.nan)
    found[cut.labels] = _rank_labels(cut, PRESETS["default"])[1]
    return found


def group_accuracy(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    members: Int[np.ndarray, " M"],
) -> float:
    """Accuracy of an exclusive group in percent: its most probable label (the first of equals) is the true one.

    Args:
        mask: annotated entries that were unknown to the model.
        members: indices of the group's labels, at least one.

    Counted are images in which all of the group is in ``mask`` and exactly one of it true; NaN where there is none.
    """
    truth = positive[:, members]
    counted = mask[:, members].all(axis=1) & (truth.sum(axis=1) == 1)
    right = probabilities[:, members][counted].argmax(axis=1) == truth[counted].argmax(axis=1)
    return 100 * float(right.mean()) if len(right) else float("nan")
