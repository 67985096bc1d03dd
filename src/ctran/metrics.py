"""Multi-label metrics, in percent, over the entries that count.

Definitions (the field's, as in ML-GCN and C-Tran): AP is the step-wise area under precision and recall, tied scores being one
threshold (scikit-learn's ``average_precision_score``); mAP, CP, CR are means over labels; CF1 is the harmonic mean of
CP and CR, OF1 of OP and OR. A label is predicted where its probability is at least ``threshold``; ``top3`` also asks that it
be among the three most probable counted labels of its image (ties at the third place all stay).

A label without a counted positive has no AP and no recall, one without a counted negative no AUROC: each is left out of the
mean and its AP reported as NaN. A label that is never predicted has precision 0. Macro AUROC is the mean over labels.
"""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Table:
    """The whole table of one setting. Percentages; NaN where no label admits the figure."""

    mAP: float
    CP: float
    CR: float
    CF1: float
    OP: float
    OR: float
    OF1: float
    top3_CP: float
    top3_CR: float
    top3_CF1: float
    top3_OP: float
    top3_OR: float
    top3_OF1: float
    macro_AUROC: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def _sorted_counts(
    scores: Float[np.ndarray, "N L"], positive: Bool[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and false positives (N, L) when each score is the threshold, best first, and where a group of ties ends."""
    order = np.argsort(np.where(mask, -scores, np.inf), axis=0, kind="stable")
    ranked = np.take_along_axis(np.where(mask, scores, -np.inf), order, axis=0)
    hit = np.take_along_axis(positive & mask, order, axis=0)
    miss = np.take_along_axis(~positive & mask, order, axis=0)
    last = np.ones_like(hit)
    last[:-1] = ranked[1:] != ranked[:-1]
    return hit.cumsum(axis=0), miss.cumsum(axis=0), last


def average_precision(
    scores: Float[np.ndarray, "N L"], positive: Bool[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"]
) -> Float[np.ndarray, " L"]:
    """AP of each label, 0 to 1; NaN without a counted positive."""
    tp, fp, last = _sorted_counts(scores, positive, mask)
    precision = tp / np.maximum(tp + fp, 1)
    at_end = np.where(last, tp, 0)
    gained = np.diff(np.maximum.accumulate(at_end, axis=0), axis=0, prepend=0)
    with np.errstate(invalid="ignore"):
        return (gained * precision).sum(axis=0) / np.where(tp[-1] > 0, tp[-1], np.nan)


def auroc(
    scores: Float[np.ndarray, "N L"], positive: Bool[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"]
) -> Float[np.ndarray, " L"]:
    """Area under the ROC curve of each label, 0 to 1, by trapezoids over groups of ties; NaN without both kinds."""
    tp, fp, last = _sorted_counts(scores, positive, mask)
    high = np.maximum.accumulate(np.where(last, tp, 0), axis=0)
    wide = np.diff(np.maximum.accumulate(np.where(last, fp, 0), axis=0), axis=0, prepend=0)
    before = np.concatenate([np.zeros_like(high[:1]), high[:-1]])
    both = (tp[-1] > 0) & (fp[-1] > 0)
    with np.errstate(invalid="ignore"):
        return (wide * (high + before) / 2).sum(axis=0) / np.where(both, tp[-1] * fp[-1], np.nan)


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b > 0 else 0.0 * (a + b)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _precision_recall(predicted: np.ndarray, positive: np.ndarray, mask: np.ndarray, prefix: str = "") -> dict[str, float]:
    """CP, CR, CF1, OP, OR, OF1 in percent."""
    predicted, positive = predicted & mask, positive & mask
    tp, said, there = (predicted & positive).sum(0), predicted.sum(0), positive.sum(0)
    any_there = there > 0
    cp = _mean(tp[any_there] / np.maximum(said[any_there], 1))
    cr = _mean(tp[any_there] / there[any_there])
    total_said, total_there = said.sum(), there.sum()
    op = float(tp.sum() / total_said) if total_said else 0.0
    recall = float(tp.sum() / total_there) if total_there else float("nan")
    values = (cp, cr, _harmonic(cp, cr), op, recall, _harmonic(op, recall))
    return {prefix + k: 100 * v for k, v in zip(("CP", "CR", "CF1", "OP", "OR", "OF1"), values, strict=True)}


def top_k(scores: Float[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"], k: int = 3) -> Bool[np.ndarray, "N L"]:
    """The ``k`` best counted labels of each image, with all ties at the last place."""
    open_scores = np.where(mask, scores, -np.inf)
    k = min(k, scores.shape[1])
    third = np.partition(open_scores, -k, axis=1)[:, -k]
    return (open_scores >= third[:, None]) & mask


def measure(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    *,
    threshold: float = 0.5,
) -> Table:
    """All metrics of one setting.

    Args:
        probabilities: 0 to 1, finite.
        positive: the truth.
        mask: entries that count (truth known, not shown to the model, a target label).
    """
    if not probabilities.shape == positive.shape == mask.shape:
        raise ValueError(
            f"shapes must agree, got {probabilities.shape}, {positive.shape} and {mask.shape} for "
            "probabilities, positive and mask"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities must be finite, got NaN or infinity")
    said = probabilities >= threshold
    return Table(
        mAP=100 * _mean(average_precision(probabilities, positive, mask)),
        **_precision_recall(said, positive, mask),
        **_precision_recall(said & top_k(probabilities, mask), positive, mask, prefix="top3_"),
        macro_AUROC=100 * _mean(auroc(probabilities, positive, mask)),
    )


def per_label(
    probabilities: Float[np.ndarray, "N L"], positive: Bool[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"]
) -> list[tuple[float, int]]:
    """AP in percent and number of counted positives, a label."""
    ap = 100 * average_precision(probabilities, positive, mask)
    count: Int[np.ndarray, " L"] = (positive & mask).sum(0)
    return list(zip(ap.tolist(), count.tolist(), strict=True))
