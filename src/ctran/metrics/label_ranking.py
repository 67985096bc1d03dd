"""AP and AUROC of each label: one sort serves both."""

import numpy as np
from jaxtyping import Bool, Float

from ctran.metrics.definition import PRESETS, Definition
from ctran.metrics.ranking import area, places, roc_area
from ctran.metrics.sheet import Sheet, sheet


def rank_labels(sheet: Sheet, definition: Definition) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, " l"]]:
    """AP and AUROC of each label, 0 to 1; NaN where it has none (:func:`without_negatives`)."""
    found = np.full((2, len(sheet.labels)), np.nan)
    whole = sheet.hidden.all()
    for number, (scores, positive, hidden) in enumerate(sheet.columns()):
        if not whole:
            scores, positive = scores[hidden], positive[hidden]
        if positive.any():
            found[:, number] = rank_label(scores, positive, definition)
    return without_negatives(found[0], found[1], definition), found[1]


def rank_label(
    scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"], definition: Definition
) -> tuple[float, float]:
    """AP and AUROC of one label over its counted images, 0 to 1."""
    ranking = places(scores, positive, grouped=definition.ap == "sklearn")
    return float(area(ranking, definition.ap)), float(roc_area(ranking))


def without_negatives(
    aps: Float[np.ndarray, "*R l"], aurocs: Float[np.ndarray, "*R l"], definition: Definition
) -> Float[np.ndarray, "*R l"]:
    """APs, infinite for labels with positives but no negatives (so no AUROC either) that ``definition`` skips."""
    if definition.never_absent == "count":
        return aps
    return np.where(np.isnan(aurocs) & ~np.isnan(aps), np.inf, aps)


def per_label(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    *,
    definition: Definition = PRESETS["default"],
) -> list[tuple[float, int]]:
    """AP in percent (NaN without a counted positive, 100 without a counted negative) and counted positives of each label."""
    cut = sheet(probabilities, positive, mask, None, definition)
    return label_rows(rank_labels(cut, definition)[0], cut, mask.shape[1])


def label_rows(aps: Float[np.ndarray, " l"], cut: Sheet, num_labels: int) -> list[tuple[float, int]]:
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
    found[cut.labels] = rank_labels(cut, PRESETS["default"])[1]
    return found
