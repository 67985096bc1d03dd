"""Precision, recall, F1 and accuracy of binary predictions, from counts that add up over images."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from ctran.metrics.definition import Definition


def top_k(
    scores: Float[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"], k: int = 3, *, exact: bool = False
) -> Bool[np.ndarray, "N L"]:
    """The ``k`` best counted labels of each image, with all ties at the last place (``exact``: the first labels of them)."""
    k = min(k, scores.shape[1])
    if not k:
        return mask
    open_scores = scores if mask.all() else np.where(mask, scores, -np.inf)
    last = np.partition(open_scores, -k, axis=1)[:, -k, None]
    if not exact:
        return (open_scores >= last) & mask
    above, tied = open_scores > last, (open_scores == last) & mask
    remaining = k - above.sum(axis=1, keepdims=True)
    return above | (tied & (tied.cumsum(axis=1) <= remaining))


class Counts(NamedTuple):
    """Number of images by label: positive, predicted, both; ``R``: resamples, or 1."""

    positive: Num[np.ndarray, "R L"]
    predicted: Num[np.ndarray, "R L"]
    hits: Num[np.ndarray, "R L"]


class Predictions(NamedTuple):
    """Binary predictions within the entries that count."""

    positive: Bool[np.ndarray, "N L"]
    predicted: Bool[np.ndarray, "N L"]
    top3: Bool[np.ndarray, "N L"]
    examples: Float[np.ndarray, "N 6"]

    def matrices(self) -> list[Bool[np.ndarray, "N L"]]:
        """What is summed over images into :class:`Counts`: truth, then predictions and hits of all and of the top three."""
        return [self.positive, self.predicted, self.predicted & self.positive, self.top3, self.top3 & self.positive]


def predictions(
    scores: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    entries: Bool[np.ndarray, "N L"],
    threshold: float | Float[np.ndarray, "N L"],
    definition: Definition,
) -> Predictions:
    """Predictions for the counted ``entries``, and what each image adds to the accuracies."""
    positive, predicted = positive & entries, (scores >= threshold) & entries
    best = top_k(scores, entries, exact=definition.topk != "ctran")
    top3 = best if definition.topk == "exact_no_threshold" else best & predicted
    return Predictions(positive, predicted, top3, _examples(positive, predicted, entries))


def _examples(
    positive: Bool[np.ndarray, "N L"], predicted: Bool[np.ndarray, "N L"], entries: Bool[np.ndarray, "N L"]
) -> Float[np.ndarray, "N 6"]:
    """By image, value and count of subset accuracy, Hamming accuracy and F1; both 0 where an image has none."""
    wrong, size = (positive != predicted).sum(axis=1), entries.sum(axis=1)
    both, either = (positive & predicted).sum(axis=1), positive.sum(axis=1) + predicted.sum(axis=1)
    f1 = 2 * both / np.maximum(either, 1)
    return np.stack([(wrong == 0) & (size > 0), size > 0, size - wrong, size, f1, either > 0], axis=1).astype(float)


def accuracies(sums: Float[np.ndarray, "R 6"]) -> dict[str, Float[np.ndarray, " R"]]:
    """Subset accuracy, Hamming accuracy, example F1 (0 to 1) from the sum over images of what each adds."""
    names = ("subset_accuracy", "hamming_accuracy", "example_F1")
    return {n: share(sums[..., 2 * k], sums[..., 2 * k + 1], np.nan) for k, n in enumerate(names)}


def share(part: Num[np.ndarray, "*S"], whole: Num[np.ndarray, "*S"], empty: float) -> Float[np.ndarray, "*S"]:
    """``part / whole``; ``empty`` where there is no whole."""
    return np.divide(part, whole, out=np.full(whole.shape, empty), where=whole != 0)


def mean_over_labels(values: Float[np.ndarray, "R L"], exists: Bool[np.ndarray, "R L"], absent: str) -> Float[np.ndarray, " R"]:
    """Mean over labels; where a value does not exist, the label is left out (``skip``), or counts as 0 or NaN."""
    filled = np.where(exists, values, np.nan if absent == "nan" else 0.0).sum(axis=-1)
    among = exists.sum(axis=-1) if absent == "skip" else np.full(filled.shape, exists.shape[-1])
    return share(filled, among, np.nan)


def mean_ap(aps: Float[np.ndarray, "R L"], absent: str) -> Float[np.ndarray, " R"]:
    """Mean AP over labels: those with NaN lack a positive, and ``absent`` decides; those with infinity are left out."""
    counts = ~np.isinf(aps)
    exists = counts & ~np.isnan(aps)
    among = exists if absent == "skip" else counts
    total = np.where(exists, aps, np.where(counts & (absent == "nan"), np.nan, 0.0)).sum(axis=-1)
    return share(total, among.sum(axis=-1), np.nan)


def harmonic(a: Float[np.ndarray, " R"], b: Float[np.ndarray, " R"]) -> Float[np.ndarray, " R"]:
    """Harmonic mean; 0 where both are."""
    return share(2 * a * b, a + b, 0.0)


def precision_recall(counts: Counts, definition: Definition, prefix: str = "") -> dict[str, Float[np.ndarray, " R"]]:
    """CP, CR, CF1, OP, OR, OF1, 0 to 1."""
    num_positive, num_predicted, hits = counts
    present, predicted = num_positive > 0, num_predicted > 0
    averaged = present if definition.absent == "skip" else np.ones_like(present)
    if definition.never_predicted == "skip":
        averaged = averaged & predicted
    cp = mean_over_labels(share(hits, num_predicted, 0.0), averaged, "skip")
    cr = mean_over_labels(share(hits, num_positive, 0.0), present, definition.absent)
    cf1 = harmonic(cp, cr)
    if definition.cf1 == "mean_of_f1":
        cf1 = mean_over_labels(share(2 * hits, num_predicted + num_positive, 0.0), present, definition.absent)
    all_predicted = num_predicted.sum(axis=-1)
    if definition.never_predicted == "mlgcn":
        all_predicted = all_predicted + (~predicted).sum(axis=-1)
    op = share(hits.sum(axis=-1), all_predicted, np.nan if definition.never_predicted == "skip" else 0.0)
    recall = share(hits.sum(axis=-1), num_positive.sum(axis=-1), 0.0 if definition.absent == "zero" else np.nan)
    values = (cp, cr, cf1, op, recall, harmonic(op, recall))
    return {prefix + name: v for name, v in zip(("CP", "CR", "CF1", "OP", "OR", "OF1"), values, strict=True)}


def group_hits(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    members: Int[np.ndarray, " M"],
) -> tuple[int, int]:
    """In how many images the most probable label of an exclusive group (the first of equals) is the true one, and in how many
    that can be told: those in which all of the group is in ``mask`` and exactly one of it true.

    Args:
        mask: annotated entries that were unknown to the model.
        members: indices of the group's labels, at least one.
    """
    truth = positive[:, members]
    counted = mask[:, members].all(axis=1) & (truth.sum(axis=1) == 1)
    right = probabilities[:, members][counted].argmax(axis=1) == truth[counted].argmax(axis=1)
    return int(right.sum()), len(right)


def group_accuracy(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    members: Int[np.ndarray, " M"],
) -> float:
    """Accuracy of an exclusive group in percent, as :func:`group_hits` counts; NaN where nothing is counted."""
    right, counted = group_hits(probabilities, positive, mask, members)
    return 100 * right / counted if counted else float("nan")
