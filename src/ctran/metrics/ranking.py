"""AP and AUROC of one label, from the ranks of its positives.

Only the ranks of the positives matter, and positives are few. One sort of the scores and a binary search for each positive
find them, much faster than sorting images by score. Every count may be a sum of weights, one an image: so the bootstrap
evaluates a resample without sorting it.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Places(NamedTuple):
    """The positives of one label, best first (axis ``P``), and their ranks; ``R``: resamples, if any.

    Args:
        weight: how often the positive occurs.
        total: counted images.
        seen, found: images, and positives among them, down to the positive as AP treats ties.
        higher, found_higher: images, and positives among them, with a higher score.
        reached, found_reached: the same with at least its score.
    """

    weight: Int[np.ndarray, "*R P"]
    total: int | Int[np.ndarray, "*R"]
    seen: Int[np.ndarray, "*R P"]
    found: Int[np.ndarray, "*R P"]
    higher: Int[np.ndarray, "*R P"]
    found_higher: Int[np.ndarray, "*R P"]
    reached: Int[np.ndarray, "*R P"]
    found_reached: Int[np.ndarray, "*R P"]

    def under(self, weights: Int[np.ndarray, "R n"], positive: Bool[np.ndarray, " n"]) -> "Places":
        """The same places when each image occurs ``weights`` times; both arguments best image first."""
        hits = weights[:, positive]
        images, found = _sums(weights), _sums(hits)
        return Places(
            weight=hits,
            total=images[:, -1],
            seen=images[:, self.seen],
            found=found[:, self.found],
            higher=images[:, self.higher],
            found_higher=found[:, self.found_higher],
            reached=images[:, self.reached],
            found_reached=found[:, self.found_reached],
        )


def _sums(weights: Int[np.ndarray, "R n"]) -> Int[np.ndarray, "R m"]:
    """Sums of the first 0, 1, ..., n weights."""
    sums = np.zeros((len(weights), weights.shape[1] + 1), dtype=weights.dtype)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def places(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"], *, grouped: bool) -> Places:
    """Ranks of a label's positives among its counted images.

    Args:
        grouped: tied scores are one threshold; else they keep the order in which they are stored.
    """
    hits = np.sort(scores[positive])
    best_first = hits[::-1]
    ordered = np.sort(scores)
    higher = len(scores) - np.searchsorted(ordered, best_first, side="right")
    reached = len(scores) - np.searchsorted(ordered, best_first, side="left")
    found_higher = len(hits) - np.searchsorted(hits, best_first, side="right")
    found_reached = len(hits) - np.searchsorted(hits, best_first, side="left")
    seen, found = reached, found_reached
    if not grouped and (reached - higher > 1).any():
        seen = 1 + np.flatnonzero(positive[np.argsort(-scores, kind="stable")])
        found = np.arange(1, len(hits) + 1)
    return Places(np.ones_like(seen), len(scores), seen, found, higher, found_higher, reached, found_reached)


def area(places: Places, ap: Literal["sklearn", "rank", "voc_interp", "voc11"] = "sklearn") -> float | Float[np.ndarray, "*R"]:
    """AP, 0 to 1, by :attr:`ctran.metrics.definition.Definition.ap`; NaN without a positive."""
    weight, seen, found = places.weight, places.seen, places.found
    positives = weight.sum(axis=-1)
    among = np.where(positives > 0, positives, np.nan)
    if ap == "rank":  # a positive that occurs k times has k ranks
        steps = np.zeros(weight.shape)
        for k in range(weight.max(initial=0)):
            steps += np.divide(found - k, seen - k, out=np.zeros(weight.shape), where=weight > k)
        return steps.sum(axis=-1) / among
    precision = np.divide(found, seen, out=np.zeros(weight.shape), where=seen > 0)
    if ap != "sklearn":  # a positive that a resample lacks is still a point of its curve
        precision = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    if ap == "voc11":
        reached = [10 * found >= k * positives[..., None] for k in range(11)]
        highest = [np.where(r, precision, 0.0).max(axis=-1, initial=0) for r in reached]
        return np.where(positives > 0, np.mean(highest, axis=0), np.nan)
    return (weight * precision).sum(axis=-1) / among


def roc_area(places: Places) -> float | Float[np.ndarray, "*R"]:
    """Area under the ROC curve, 0 to 1: share of pairs in the right order, ties a half; NaN without positives or negatives."""
    positives = places.weight.sum(axis=-1)
    negatives = places.total - positives
    tied = (places.reached - places.higher) - (places.found_reached - places.found_higher)
    above = places.higher - places.found_higher
    lost = (places.weight * (above + tied / 2)).sum(axis=-1)
    pairs = positives * negatives
    return 1 - lost / np.where(pairs > 0, pairs, np.nan)
