"""F1 from counts of each picture: its standard error, and whether that of a label has grown by more than noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ctran.analysis.crossfit import NOISE


@dataclass(frozen=True)
class Counts:
    """Hits, predictions and positive entries of each picture, at each share (and of each label); means over the draws."""

    hits: Float[np.ndarray, "N ..."]
    called: Float[np.ndarray, "N ..."]
    positive: Float[np.ndarray, "N ..."]

    @property
    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.hits, self.called, self.positive

    def over_shares(self) -> "Counts":
        """All shares together."""
        return Counts(*(each.sum(axis=1) for each in self._parts))

    def at_share(self, share: int) -> "Counts":
        """Of one share, by its number."""
        return Counts(*(each[:, share] for each in self._parts))

    def of_label(self, label: int) -> "Counts":
        """Of one label, by its number."""
        return Counts(*(each[..., label] for each in self._parts))

    @classmethod
    def joined(cls, parts: "Sequence[Counts]") -> "Counts":
        """Counts of the labels of all parts."""
        return cls(*(np.concatenate(each, axis=-1) for each in zip(*(part._parts for part in parts), strict=True)))

    def f1(self) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "N ..."]]:
        """F1 over the pictures, 0 to 1, and by how much each picture moves it (the linear part of the effect)."""
        size = self.called + self.positive
        whole = np.maximum(size.sum(axis=0), 1e-9)
        f1 = np.asarray(2 * self.hits.sum(axis=0) / whole)
        return f1, (2 * self.hits - f1 * size) / whole


def standard_error(moved: Float[np.ndarray, "N ..."]) -> Float[np.ndarray, "..."]:
    """Standard error over the pictures of a sum of what each adds."""
    return np.asarray(np.sqrt((moved**2).sum(axis=0)))


def pooled(
    moved: Float[np.ndarray, "N L"], gain: Float[np.ndarray, " L"]
) -> tuple[Float[np.ndarray, " L"], Float[np.ndarray, " L"]]:
    """Gain of each label and its standard error, given those of the others: empirical Bayes (Efron and Morris, JASA 1975).

    The gains of labels vary about their mean; the noisier that of a label is, the more it is taken for the mean. So labels
    with few pictures, none of which could be judged alone, are judged by what thresholds do for all.

    Args:
        moved: by how much each picture moves the gain of each label.
        gain: of each label on the pictures left out.
    """
    noise = (moved**2).sum(axis=0)
    between = max(0.0, float(gain.var(ddof=1) - noise.mean())) if len(gain) > 1 else float("inf")
    own = np.divide(between, between + noise, out=np.ones_like(noise), where=np.isfinite(between) & (between + noise > 0))
    of_mean = float(standard_error(moved.mean(axis=1)))
    return gain.mean() + own * (gain - gain.mean()), np.sqrt(own * noise + (1 - own) ** 2 * of_mean**2)


def gains(own: Counts, half: Counts) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "N ..."]]:
    """By how much F1 is greater with own thresholds than with one half, and by how much each picture moves that."""
    (f1, moved), (f1_half, moved_half) = own.f1(), half.f1()
    return np.asarray(f1 - f1_half), moved - moved_half


def exceeds(gain: Float[np.ndarray, " L"], moved: Float[np.ndarray, "N L"]) -> Bool[np.ndarray, " L"]:
    """Whether the gain of each label exceeds its noise."""
    shrunk, error = pooled(moved, gain)
    return shrunk > NOISE * error
