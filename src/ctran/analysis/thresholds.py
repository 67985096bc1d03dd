"""A threshold for each label: fitted, and kept where it helps pictures that were left out of its fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.analysis.crossfit import FOLDS, NOISE, folds_of, too_few
from ctran.analysis.f1 import Counts, exceeds, gains, pooled, standard_error
from ctran.analysis.fits import fit_thresholds, shrink_threshold
from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder, scored
from ctran.evaluation.evaluate import SettingLogits
from ctran.labels import LabelSpace, LabelState

LEAST = 10
"""Least number of pictures with a label; with fewer its threshold of the greatest F1 is not fitted."""
_AT_ONCE = 500
"""Labels whose entries are in memory at once."""


@dataclass(frozen=True)
class ThresholdFit:
    """A label's threshold and its effect on pictures that were left out of its fit.

    Args:
        label: name of the label.
        pictures: that have the label, and not known at some share.
        fitted: the threshold by all pictures, shrunk towards one half; None without a fit.
        kept: whether it is used; else one half is.
        reason: why it is not kept; empty where it is.
        F1_half, F1_own: in percent, on pictures left out of the fit, all shares together; None where not measured.
        error: standard error of their difference over the pictures.
    """

    label: str
    pictures: int
    fitted: float | None = None
    kept: bool = False
    reason: str = ""
    F1_half: float | None = None
    F1_own: float | None = None
    error: float | None = None


def fit_labels(
    truth: Int[Tensor, "N L"],
    settings: Sequence[Sequence[SettingLogits]],
    labels: LabelSpace,
    calibration: Calibration,
    precision: float | None,
) -> tuple[list[ThresholdFit], str]:
    """A fit for each target label outside the exclusive groups that has positives, or none and the reason.

    Args:
        settings: outputs for the same pictures, the draws of each share together.
        calibration: temperatures.
        precision: wanted precision of each label; these thresholds are all kept. None maximises F1.
    """
    entries = _Entries(truth, settings, Decoder(labels, calibration))
    if reason := too_few(truth, entries.ever):
        return [], reason
    one_of = {name for group in labels.groups if group.exclusive for name in group.labels}
    found = {i: ThresholdFit(labels.names[i], n) for i, n in enumerate(entries.pictures) if n and labels.names[i] not in one_of}
    if precision is not None:
        fits = zip(found.values(), entries.fit(list(found), precision), strict=True)
        return [replace(fit, fitted=threshold, kept=True) for fit, threshold in fits], ""
    at = [i for i, fit in found.items() if fit.pictures >= LEAST]
    if at:
        compared = entries.compare(at)
        for n, (i, reason) in enumerate(zip(at, compared.reasons(entries), strict=True)):
            found[i] = replace(found[i], **compared.figures(n), kept=not reason, reason=reason)
    few = f"fewer than {LEAST} pictures have the label"
    return [fit if fit.fitted is not None else replace(fit, reason=few) for fit in found.values()], ""


class _Entries:
    """Probabilities of the entries to predict, without thresholds, and what one half makes of them.

    Probabilities have the temperatures of all pictures, those left out included: one figure a share gives nothing away.
    """

    def __init__(self, truth: Int[Tensor, "N L"], settings: Sequence[Sequence[SettingLogits]], decoder: Decoder) -> None:
        self.names = [str(draws[0].setting) for draws in settings]
        self.folds, self.positive = folds_of(len(truth)).numpy(), (truth == LabelState.POSITIVE).numpy()
        self.p, self.counts, half = list[list[np.ndarray]](), list[list[np.ndarray]](), list[Counts]()
        for draws in settings:
            counts = [(scored(truth, output.states, decoder.space) & decoder.space.targets).numpy() for output in draws]
            present = [output.present(decoder).numpy() for output in draws]
            self.p.append([output.probabilities(decoder).float().numpy() for output in draws])
            self.counts.append(counts)
            masks = [(one & self.positive & c, one & c, self.positive & c) for one, c in zip(present, counts, strict=True)]
            half.append(Counts(*(np.mean([m.sum(axis=1) for m in each], axis=0) for each in zip(*masks, strict=True))))
        self.half = Counts(*(np.stack([getattr(c, n) for c in half], axis=1) for n in ("hits", "called", "positive")))
        self.ever = torch.from_numpy(np.any([c for draws in self.counts for c in draws], axis=0))
        self.pictures: list[int] = (self.ever.numpy() & self.positive).sum(axis=0).tolist()

    def _columns(self, at: Sequence[int]) -> "_Columns":
        p, counts = (np.concatenate([each[:, at] for draws in kind for each in draws]) for kind in (self.p, self.counts))
        weights = [np.full(len(self.folds), 1 / (len(self.p) * len(draws))) for draws in self.p for _ in draws]
        repeats = sum(map(len, self.p))
        return _Columns(p, counts, np.tile(self.positive[:, at], (repeats, 1)), np.concatenate(weights))

    def fit(self, at: Sequence[int], precision: float) -> list[float | None]:
        """Thresholds of this precision, by all pictures."""
        columns = self._columns(at)
        return fit_thresholds(columns.p, columns.positive, columns.counts, weights=columns.weights, precision=precision)

    def compare(self, at: Sequence[int]) -> "_Compared":
        """Fit thresholds of the greatest F1, by all pictures and without each fold, and count on that fold."""
        parts = [self._compare(at[n : n + _AT_ONCE]) for n in range(0, len(at), _AT_ONCE)]
        fitted, *counts = zip(*parts, strict=True)
        return _Compared(np.concatenate(fitted), *(Counts.joined(each) for each in counts))

    def _compare(self, at: Sequence[int]) -> tuple[Float[np.ndarray, " L"], Counts, Counts]:
        columns, have = self._columns(at), (self.ever.numpy() & self.positive)[:, at]
        rows = np.tile(self.folds, len(columns.p) // len(self.folds))
        predicted = np.zeros_like(columns.positive)
        for fold in range(FOLDS):
            limits = columns.limits(rows != fold, have[self.folds != fold].sum(axis=0))
            predicted[rows == fold] = columns.p[rows == fold] >= limits
        fitted = columns.limits(np.ones(len(rows), bool), have.sum(axis=0))
        return fitted, self._counted(columns, predicted), self._counted(columns, columns.p >= 0.5)

    def _counted(self, columns: "_Columns", predicted: Bool[np.ndarray, "R L"]) -> Counts:
        masks = (predicted & columns.positive & columns.counts, predicted & columns.counts, columns.positive & columns.counts)
        found, pictures = list[np.ndarray](), len(self.folds)
        for mask in masks:
            draws = iter(mask.reshape(-1, pictures, mask.shape[1]))
            found.append(np.stack([np.mean([next(draws) for _ in share], axis=0) for share in self.p], axis=1))
        return Counts(*found)


@dataclass(frozen=True)
class _Columns:
    """Entries of some labels, all shares and draws one below the other."""

    p: Float[np.ndarray, "R L"]
    counts: Bool[np.ndarray, "R L"]
    positive: Bool[np.ndarray, "R L"]
    weights: Float[np.ndarray, " R"]

    def limits(self, rows: Bool[np.ndarray, " R"], pictures: Int[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
        """Thresholds by some rows, in which so many pictures have each label; one half where none has it."""
        fitted = fit_thresholds(self.p[rows], self.positive[rows], self.counts[rows], weights=self.weights[rows])
        shrunk = (0.5 if t is None else shrink_threshold(t, n) for t, n in zip(fitted, pictures.tolist(), strict=True))
        return np.array(list(shrunk))


@dataclass(frozen=True)
class _Compared:
    """Fitted thresholds of some labels, and what they make of pictures left out of their fit, compared with one half."""

    fitted: Float[np.ndarray, " L"]
    own: Counts
    half: Counts

    def figures(self, n: int) -> dict[str, float]:
        """Of one label, all shares together, for :class:`ThresholdFit`."""
        (own, moved), (half, moved_half) = (each.of_label(n).over_shares().f1() for each in (self.own, self.half))
        percent = {"F1_half": half, "F1_own": own, "error": standard_error(moved - moved_half)}
        return {name: float(100 * value) for name, value in percent.items()} | {"fitted": float(self.fitted[n])}

    def reasons(self, entries: _Entries) -> list[str]:
        """Why the threshold of each label is not kept, empty where nothing is against it."""
        helps = exceeds(*gains(self.own.over_shares(), self.half.over_shares()))
        found = ["" if good else "no greater F1 on pictures left out of the fit, by more than its noise" for good in helps]
        of1, _ = entries.half.f1()  # (S,)
        together = 2 * (self.own.hits - self.half.hits) - of1[:, None] * (self.own.called - self.half.called)
        lower, _ = pooled(together.sum(axis=1), together.sum(axis=(0, 1)))
        for n, low in enumerate(lower):  # by more entries than OF1 gains from them
            found[n] = found[n] or (
                "a lower F1 over all labels together (OF1) on pictures left out of the fit" if low < 0 else ""
            )
        for share, name in enumerate(entries.names):
            own, half = self.own.at_share(share), self.half.at_share(share)
            for n, worse in enumerate(exceeds(*gains(half, own))):
                found[n] = found[n] or (f"a lower F1 at {name} known on pictures left out of the fit" if worse else "")
        kept = np.array([not reason for reason in found])
        harm = self._harm(kept, entries)
        return [reason or harm for reason in found]

    def _harm(self, kept: Bool[np.ndarray, " L"], entries: _Entries) -> str:
        """Why the kept thresholds together are refused, empty where nothing is against them."""
        if not kept.any():
            return ""
        hits, called = ((getattr(self.own, n) - getattr(self.half, n))[..., kept].sum(axis=-1) for n in ("hits", "called"))
        all_own = Counts(entries.half.hits + hits, entries.half.called + called, entries.half.positive)
        for share, name in enumerate(entries.names):
            gain, moved = gains(self.own.at_share(share), self.half.at_share(share))
            effects = {"mean F1": (gain[kept].sum(), moved[:, kept].sum(axis=1))}
            effects["OF1"] = gains(all_own.at_share(share), entries.half.at_share(share))
            for what, (by, each) in effects.items():
                if by < -NOISE * standard_error(each):
                    return f"together they have a lower {what} at {name} known on pictures left out of the fit"
        return ""
