"""Fit temperatures and thresholds of a model on one table, and measure their effect on another.

A calibration is only kept where it helps on pictures that it was not fitted on: the rules are those of :func:`fit_calibration`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran import metrics
from ctran.analysis.fits import (
    expected_calibration_error,
    fit_temperature,
    fit_thresholds,
    nats,
)
from ctran.analysis.predict_table import predict_table
from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder, scored
from ctran.constraints.implications import propagate
from ctran.data.table import SampleTable
from ctran.evaluation.evaluate import SettingLogits
from ctran.folders.tagger import Tagger
from ctran.labels import LabelSpace, LabelState
from ctran.masking import EvalSetting

_FOLDS = 5
"""Folds of the cross-validation over pictures."""
PICTURES = 20
"""Least number of pictures with entries that count; with fewer nothing is fitted."""


@dataclass(frozen=True)
class Quality:
    """Effect of a calibration at one share of known labels.

    Args:
        known_share: share of labels that were given, 0 to 1, mean over the pictures (with partial annotations less than
            requested).
        temperature: by which logits are divided, mean over the pictures.
        ece_before, ece_after: expected calibration error of single labels, 0 to 1.
        CF1_half, OF1_half: in percent, with thresholds of one half, as in the paper.
        CF1_own, OF1_own: with the fitted thresholds, on calibrated probabilities, as
            ``predict`` decides (:meth:`~ctran.constraints.decode.Decoder.labels`).
    """

    known_share: float
    temperature: float
    ece_before: float
    ece_after: float
    CF1_half: float
    CF1_own: float
    OF1_half: float
    OF1_own: float


def predict_shares(
    tagger: Tagger, table: SampleTable, shares: Sequence[float], seed: int, name: str
) -> tuple[Int[Tensor, "N L"], list[SettingLogits]]:
    """Truth, and the model's logits at each share of known labels."""
    settings = [EvalSetting(share) for share in shares]
    truth, found = predict_table(tagger, table, settings, seed=seed, what=f"predicting {name}")
    on_cpu = [replace(a, states=a.states.long().cpu(), logits=a.logits.cpu(), shares=a.given.cpu()) for a in found]
    return truth.cpu(), [a if a.chosen is None else replace(a, chosen=a.chosen.cpu()) for a in on_cpu]


def fit_calibration(
    truth: Int[Tensor, "N L"], found: Sequence[SettingLogits], labels: LabelSpace, *, precision: float | None = None
) -> Calibration:
    """A temperature a share, then a threshold a label on the calibrated probabilities of all shares together.

    A temperature is stored with the mean share of labels that was given, as :meth:`Calibration.temperature_of` expects: without
    those that follow by implications or groups. A share that gives no more labels than the one before it, because the
    annotation has no more, is left out.

    A temperature other than 1 is kept if (1) at least :data:`PICTURES` pictures have entries that count, some of them positive
    and some negative, (2) the fit is not at its bound, and (3) fitted on four fifths of the pictures it makes the others more
    likely than 1 does, on average over pictures by more than one standard error. Thresholds are kept if (1) holds and, where
    they maximise F1, if chosen on four fifths of the pictures they have a greater mean F1 on the others than one half has.
    :attr:`Calibration.reasons` lists what was not kept, and why.

    Args:
        truth, found: of :func:`answers`, on ``val``.
        precision: wanted precision of each label's threshold; None maximises its F1.
    """
    kept, temperatures, reasons = list[SettingLogits](), list[float](), list[str]()
    for output in sorted(found, key=_share):
        name = f"{output.setting} known"
        if kept and _share(output) - _share(kept[-1]) < 1e-6:
            reasons.append(f"{name}: left out, the annotations give as many labels as at {kept[-1].setting}")
            continue
        temperature, reason = _temperature(truth, output, labels)
        kept.append(output)
        temperatures.append(temperature)
        reasons += [f"{name}: temperature 1 is kept, {reason}"] if reason else []
    rule = "greatest F1" if precision is None else f"precision of at least {precision:g}"
    calibration = Calibration(tuple(map(_share, kept)), tuple(temperatures), {}, rule, tuple(reasons))
    if any(output.chosen is not None for output in kept):
        return replace(calibration, reasons=(*reasons, "no thresholds: the method chooses label sets by itself"))
    chosen, reason = _thresholds(truth, kept, labels, calibration, precision)
    if reason:
        return replace(calibration, reasons=(*reasons, f"thresholds of one half are kept, {reason}"))
    return replace(calibration, thresholds=chosen)


def _share(output: SettingLogits) -> float:
    """Mean share of known labels over the pictures."""
    return float(output.given.double().mean())


def _too_few(truth: Int[Tensor, "N L"], counts: Bool[Tensor, "N L"]) -> str:
    """Why nothing can be fitted on these entries; an empty string where something can."""
    pictures, positive = int(counts.any(dim=1).sum()), int((counts & (truth == LabelState.POSITIVE)).sum())
    if pictures < PICTURES:
        return f"only {pictures} pictures have labels to predict (at least {PICTURES} are needed)"
    if not positive:
        return "no label to predict is positive in any picture"
    return "" if positive < int(counts.sum()) else "every label to predict is positive in every picture"


def _temperature(truth: Int[Tensor, "N L"], output: SettingLogits, labels: LabelSpace) -> tuple[float, str]:
    """The temperature of one share, or 1 and the reason for it."""
    counts = scored(truth, output.states, labels) & labels.targets
    if reason := _too_few(truth, counts):
        return 1.0, reason
    states, truth = propagate(output.states, labels), truth.masked_fill(~labels.targets, int(LabelState.UNKNOWN))
    groups = [members for members in labels.exclusive if labels.targets[members].all()]
    temperature = fit_temperature(output.logits, truth, states, groups)
    scales = (temperature / 2, temperature, 2 * temperature)
    half, best, twice = (float(nats(output.logits.double() / t, truth, states, groups).sum()) for t in scales)
    if not (best < half and best < twice):
        return 1.0, "the fit runs to its bound: the likelihood has no greatest value"
    gains = torch.zeros(len(truth), dtype=torch.double)
    for fold in range(_FOLDS):
        out = torch.arange(len(truth)) % _FOLDS == fold
        fitted = fit_temperature(output.logits[~out], truth[~out], states[~out], groups)
        plain, scaled = (nats(output.logits[out].double() / t, truth[out], states[out], groups) for t in (1.0, fitted))
        gains[out] = plain - scaled
    gains = gains[counts.any(dim=1)]
    gain, error = float(gains.mean()), float(gains.std() / len(gains) ** 0.5)
    if not gain > error:
        gained = f"{gain:+.2g} nats a picture, standard error {error:.2g}"
        return 1.0, f"{temperature:.3g} is no better on pictures left out of its fit ({gained})"
    return temperature, ""


def _thresholds(
    truth: Int[Tensor, "N L"],
    found: Sequence[SettingLogits],
    labels: LabelSpace,
    calibration: Calibration,
    precision: float | None,
) -> tuple[dict[str, float], str]:
    """A threshold for each label outside the exclusive groups that has positives, or none and the reason."""
    counts = torch.stack([scored(truth, a.states, labels) & labels.targets for a in found]).any(dim=0)
    if reason := _too_few(truth, counts):
        return {}, reason
    parts = (entries(truth, a, Decoder(labels, calibration)) for a in found)
    p, hits, counted = (np.concatenate(part) for part in zip(*parts, strict=True))
    one_of = {name for group in labels.groups if group.exclusive for name in group.labels}
    alone = np.array([name not in one_of for name in labels.names])
    fitted = fit_thresholds(p, hits, counted, precision=precision)
    chosen = {n: t for n, t in zip(labels.names, fitted, strict=True) if t is not None and n not in one_of}
    if precision is not None or not chosen:
        return chosen, ""
    predicted = np.zeros_like(hits)
    fold = np.tile(np.arange(len(truth)) % _FOLDS, len(found))
    for number in range(_FOLDS):
        out = fold == number
        limits = [0.5 if t is None else t for t in fit_thresholds(p[~out], hits[~out], counted[~out])]
        predicted[out] = p[out] >= np.array(limits)
    own, half = (_mean_f1(each[:, alone], hits[:, alone], counted[:, alone]) for each in (predicted, p >= 0.5))
    if not own > half:
        return {}, f"the fitted ones have no greater F1 on pictures left out of their fit ({own:.1f} %, one half {half:.1f} %)"
    return chosen, ""


def _mean_f1(predicted: Bool[np.ndarray, "N L"], positive: Bool[np.ndarray, "N L"], counts: Bool[np.ndarray, "N L"]) -> float:
    """F1 in percent, mean over the labels with positive entries."""
    hits, num_predicted, num_positive = ((each & counts).sum(axis=0) for each in (predicted & positive, predicted, positive))
    return float(100 * (2 * hits / np.maximum(num_predicted + num_positive, 1))[num_positive > 0].mean())


def entries(
    truth: Int[Tensor, "N L"], output: SettingLogits, decoder: Decoder
) -> tuple[Float[np.ndarray, "N L"], Bool[np.ndarray, "N L"], Bool[np.ndarray, "N L"]]:
    """Probabilities, which are positive, and which count: hidden target labels whose truth is known."""
    counts = scored(truth, output.states, decoder.space) & decoder.space.targets
    return output.probabilities(decoder).numpy(), (truth == LabelState.POSITIVE).numpy(), counts.numpy()


def qualities(
    truth: Int[Tensor, "N L"], found: Sequence[SettingLogits], labels: LabelSpace, calibration: Calibration
) -> list[Quality]:
    """Effect of ``calibration``, share by share; for pictures that it was not fitted on."""
    decoder, rows = Decoder(labels, calibration), list[Quality]()
    for output in found:
        temperature = calibration.temperature_at(output.given.double().numpy())
        before, positive, counts = entries(truth, output, Decoder(labels))
        after, *_ = entries(truth, output, decoder)
        half = metrics.measure(before, positive, counts, threshold=output.thresholds(Decoder(labels)))
        fitted = metrics.measure(output.present(decoder).double().numpy(), positive, counts)
        worse, better = (expected_calibration_error(p[counts], positive[counts]) for p in (before, after))
        scores = (half.CF1, fitted.CF1, half.OF1, fitted.OF1)
        rows.append(Quality(_share(output), float(temperature.mean()), worse, better, *scores))
    return rows


def _calibration_file(folder: Path) -> Path:
    """Path of the calibration in a model folder, or in the ``model`` folder of a run."""
    return (folder / "model" if (folder / "model" / "config.json").is_file() else folder) / "calibration.json"


def remove_calibration(folder: Path) -> Path:
    """Delete the calibration file, if any; returns its path."""
    path = _calibration_file(folder)
    path.unlink(missing_ok=True)
    return path


def write_calibration(calibration: Calibration, folder: Path) -> Path:
    """Write it to a model folder, or the ``model`` folder of a run, in one step; returns the path."""
    path = _calibration_file(folder)
    calibration.save(path)
    return path
