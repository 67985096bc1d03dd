"""How far the figures would move with other images: intervals by resampling images, each label sorted once."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from ctran.metrics.counting import answers
from ctran.metrics.definition import PRESETS, Definition
from ctran.metrics.ranking import Places, area, places, roc_area
from ctran.metrics.table import sheet, summarise, without_negatives

AT_ONCE = 25
"""Replicates held in memory together."""


class Resampling:
    """What :func:`~ctran.metrics.measure` says of resampled images, without sorting again; arguments as there.

    The labels that are looked at stay those of the full set: one whose known entries are all missing from a resample is absent
    there.
    """

    def __init__(
        self,
        probabilities: Float[np.ndarray, "N L"],
        positive: Bool[np.ndarray, "N L"],
        mask: Bool[np.ndarray, "N L"],
        *,
        threshold: float = 0.5,
        definition: Definition = PRESETS["default"],
        everything: Bool[np.ndarray, "N L"] | None = None,
    ) -> None:
        self.sheet, self.definition = sheet(probabilities, positive, mask, everything, definition), definition
        said = answers(self.sheet.scores, self.sheet.positive, self.sheet.entries, threshold, definition)
        self.examples = said.examples
        self.matrix = np.concatenate(said.matrices(), axis=1).astype(np.float32)  # sums below 2^24 are exact
        self.ranked = [self._rank(*column) for column in self.sheet.columns()]

    def _rank(
        self, scores: Float[np.ndarray, " N"], positive: Bool[np.ndarray, " N"], hidden: Bool[np.ndarray, " N"]
    ) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"], Places]:
        """Counted images of a label, best first; which are positive; where those stand."""
        images = np.flatnonzero(hidden)
        images = images[np.argsort(-scores[images], kind="stable")]
        return images, positive[images], places(scores[images], positive[images], grouped=self.definition.ap == "sklearn")

    def figures(self, weights: Int[np.ndarray, "R N"]) -> dict[str, Float[np.ndarray, " R"]]:
        """Every column of :class:`~ctran.metrics.Table` when image ``n`` is there ``weights[r, n]`` times."""
        aps, aurocs = np.full((2, len(weights), len(self.ranked)), np.nan)
        for label, (images, positive, stand) in enumerate(self.ranked):
            moved = stand.under(weights.take(images, axis=1), positive)
            aps[:, label], aurocs[:, label] = area(moved, self.definition.ap), roc_area(moved)
        aps = without_negatives(aps, aurocs, self.definition)
        sums = np.split((weights.astype(np.float32) @ self.matrix).astype(float), 5, axis=1)
        return summarise(aps, aurocs, sums, weights @ self.examples, self.sheet, self.definition)


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
    threshold: float = 0.5,
    definition: Definition = PRESETS["default"],
    everything: Bool[np.ndarray, "N L"] | None = None,
    step: Callable[[int], None] = lambda done: None,
) -> dict[str, tuple[float, float]]:
    """95 % intervals over images, for every column of :class:`~ctran.metrics.Table`: the basic bootstrap, within 0 to 100.

    Images are drawn with replacement; their entries stay together. The interval says what other images would change, not what
    another training would. Replicates in which a column is NaN are left out of its interval; if all are, it is NaN too.
    AP reads high where positives are few, and a resample, which has fewer distinct ones, reads higher still by about as much.
    So the ends are as far below and above the figure as the resamples' quantiles are above and below it; the quantiles
    themselves would seldom hold a low mAP (``docs/experiments/metrics.md``).

    Source: Davison and Hinkley, Bootstrap methods and their application (1997), Sec. 5.2.1.

    Args:
        replicates: how many resamples.
        seed: of the resamples; the same images under the same seed are paired, so that two models can be compared.
        step: told how many more replicates are done, as a bar wants.

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
    """Where the middle 95 % of the resamples lie, those that exist, mirrored at the figure of all images."""
    values = values[~np.isnan(values)]
    if not len(values) or np.isnan(figure):
        return float("nan"), float("nan")
    low, high = np.clip(2 * figure - np.percentile(values, [97.5, 2.5]), 0, 100)
    return float(low), float(high)
