"""Bootstrap: intervals of the figures by resampling images, each label sorted once."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from ctran.metrics.counting import predictions
from ctran.metrics.definition import PRESETS, Definition
from ctran.metrics.label_ranking import without_negatives
from ctran.metrics.ranking import Places, area, places, roc_area
from ctran.metrics.sheet import EntryThreshold, limits, sheet
from ctran.metrics.table import summarise

AT_ONCE = 25
"""Replicates held in memory together."""


class Resampling:
    """:func:`~ctran.metrics.measure` of resampled images, without sorting again; arguments as there.

    The evaluated labels are those of the full set: one whose annotated entries are all missing from a resample is absent there.
    """

    def __init__(
        self,
        probabilities: Float[np.ndarray, "N L"],
        positive: Bool[np.ndarray, "N L"],
        mask: Bool[np.ndarray, "N L"],
        *,
        threshold: EntryThreshold = 0.5,
        definition: Definition = PRESETS["default"],
        everything: Bool[np.ndarray, "N L"] | None = None,
    ) -> None:
        self.sheet, self.definition = sheet(probabilities, positive, mask, everything, definition), definition
        found = predictions(
            self.sheet.scores, self.sheet.positive, self.sheet.entries, limits(threshold, self.sheet), definition
        )
        self.examples = found.examples
        self.matrix = np.concatenate(found.matrices(), axis=1).astype(np.float32)  # sums below 2^24 are exact
        self.ranked = [self._rank(*column) for column in self.sheet.columns()]

    def _rank(
        self, scores: Float[np.ndarray, " N"], positive: Bool[np.ndarray, " N"], hidden: Bool[np.ndarray, " N"]
    ) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"], Places]:
        """Counted images of a label, best first; which are positive; ranks of those."""
        images = np.flatnonzero(hidden)
        images = images[np.argsort(-scores[images], kind="stable")]
        return images, positive[images], places(scores[images], positive[images], grouped=self.definition.ap == "sklearn")

    def figures(self, weights: Int[np.ndarray, "R N"]) -> dict[str, Float[np.ndarray, " R"]]:
        """Every column of :class:`~ctran.metrics.Table` when image ``n`` occurs ``weights[r, n]`` times."""
        aps, aurocs = np.full((2, len(weights), len(self.ranked)), np.nan)
        for label, (images, positive, ranking) in enumerate(self.ranked):
            moved = ranking.under(weights.take(images, axis=1), positive)
            aps[:, label], aurocs[:, label] = area(moved, self.definition.ap), roc_area(moved)
        aps = without_negatives(aps, aurocs, self.definition)
        sums = np.split((weights.astype(np.float32) @ self.matrix).astype(float), 5, axis=1)
        return summarise(aps, aurocs, sums, weights @ self.examples, self.sheet.absent, self.definition)


def draw(images: int, replicates: int, generator: np.random.Generator) -> Int[np.ndarray, "R N"]:
    """How often each image is in each resample of as many images, drawn with replacement."""
    rows = [np.bincount(generator.integers(images, size=images), minlength=images) for _ in range(replicates)]
    return np.array(rows, dtype=np.int32).reshape(replicates, images)


def bootstrap(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    mask: Bool[np.ndarray, "N L"],
    *,
    replicates: int = 1000,
    seed: int = 0,
    threshold: EntryThreshold = 0.5,
    definition: Definition = PRESETS["default"],
    everything: Bool[np.ndarray, "N L"] | None = None,
    step: Callable[[int], None] = lambda done: None,
) -> dict[str, tuple[float, float]]:
    """95 % intervals over images, for every column of :class:`~ctran.metrics.Table`: the basic bootstrap, within 0 to 100.

    Images are drawn with replacement; their entries stay together. The interval reflects the choice of images, not the
    randomness of training. Replicates in which a column is NaN are left out of its interval; if all are, it is NaN too.
    AP is biased upwards where positives are few, and a resample, with fewer distinct ones, by about as much again. So the ends
    are as far below and above the figure as the resamples' quantiles are above and below it; the quantiles themselves would
    seldom contain a low mAP (``docs/experiments/metrics.md``).

    Source: Davison and Hinkley, Bootstrap methods and their application (1997), Sec. 5.2.1.

    Args:
        replicates: how many resamples.
        seed: of the resamples; the same seed draws the same images, so that two models can be compared in pairs.
        step: called with the number of further replicates done, for a progress bar.

    Raises:
        ValueError: as :func:`~ctran.metrics.measure`, and without images or replicates.
    """
    if replicates < 1 or not len(mask):
        raise ValueError(f"a bootstrap needs images and replicates, got {len(mask)} images and {replicates} replicates")
    resampling = Resampling(probabilities, positive, mask, threshold=threshold, definition=definition, everything=everything)
    generator, found = np.random.default_rng(seed), []
    for first in range(0, replicates, AT_ONCE):
        count = min(AT_ONCE, replicates - first)
        found.append(resampling.figures(draw(len(mask), count, generator)))
        step(count)
    whole = resampling.figures(np.ones((1, len(mask)), dtype=np.int32))
    return {name: _interval(np.concatenate([f[name] for f in found]), float(whole[name][0])) for name in found[0]}


def _interval(values: Float[np.ndarray, " R"], figure: float) -> tuple[float, float]:
    """The middle 95 % of the resamples that are not NaN, mirrored at the figure of all images."""
    values = values[~np.isnan(values)]
    if not len(values) or np.isnan(figure):
        return float("nan"), float("nan")
    low, high = np.clip(2 * figure - np.percentile(values, [97.5, 2.5]), 0, 100)
    return float(low), float(high)
