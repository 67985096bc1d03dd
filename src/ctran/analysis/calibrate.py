"""Fit temperatures and thresholds of a model on one table, and measure their effect on another.

A calibration is only kept where it helps on pictures that it was not fitted on: the rules are those of :func:`fit_calibration`.
Pictures that the model was trained on are of no use: it predicts them with more confidence than others.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran import metrics
from ctran.analysis.fits import expected_calibration_error
from ctran.analysis.predict_table import predict_table
from ctran.analysis.temperatures import TemperatureFit, fit_share
from ctran.analysis.thresholds import ThresholdFit, fit_labels
from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder, scored
from ctran.data.table import SampleTable
from ctran.evaluation.evaluate import SettingLogits
from ctran.folders.tagger import Tagger
from ctran.labels import LabelSpace, LabelState
from ctran.masking import EvalSetting

DRAWS = 4
"""Draws of known labels to fit at each share: about so often each label of a picture is to predict once at 75 %."""


@dataclass(frozen=True)
class Quality:
    """Effect of a calibration at one share of known labels.

    Args:
        known_share: share of labels that were given, 0 to 1, mean over the pictures (with partial annotations less than
            requested).
        temperature: by which logits are divided, mean over the pictures.
        ece_before, ece_after: expected calibration error of single labels, 0 to 1.
        nats_before, nats_after: log-loss of single labels, in nats an entry.
        CF1_half, OF1_half: in percent, with thresholds of one half, as in the paper.
        CF1_own, OF1_own: with the fitted thresholds, on calibrated probabilities, as
            ``predict`` decides (:meth:`~ctran.constraints.decode.Decoder.labels`).
    """

    known_share: float
    temperature: float
    ece_before: float
    ece_after: float
    nats_before: float
    nats_after: float
    CF1_half: float
    CF1_own: float
    OF1_half: float
    OF1_own: float


def predict_shares(
    tagger: Tagger, table: SampleTable, shares: Sequence[float], seed: int, name: str, draws: int = 1, workers: int = 0
) -> tuple[Int[Tensor, "N L"], list[SettingLogits]]:
    """Truth, and the model's logits at each share of known labels, in each draw of them."""
    settings = [EvalSetting(share) for share in shares]
    truth, found = predict_table(tagger, table, settings, seed=seed, draws=draws, what=f"predicting {name}", workers=workers)
    return truth, [replace(a, states=a.states.long()) for a in found]


@dataclass(frozen=True)
class Fit:
    """A calibration, and what was tried for it.

    Args:
        calibration: what is kept; its ``reasons`` name the rest.
        shares: the temperature of each share.
        labels: the threshold of each label outside the exclusive groups that has positives; empty where none could be fitted.
    """

    calibration: Calibration
    shares: tuple[TemperatureFit, ...]
    labels: tuple[ThresholdFit, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        fits = {"temperatures": [asdict(fit) for fit in self.shares], "thresholds": [asdict(fit) for fit in self.labels]}
        return {"calibration": self.calibration.as_dict(), **fits}

    @property
    def kept(self) -> list[str]:
        """What is kept, a sentence each."""
        found = [fit.sentence for fit in self.shares if fit.kept]
        own = self.calibration.thresholds
        return found + ([f"thresholds of {len(own)} of {len(self.labels)} labels by {self.calibration.rule}"] if own else [])


def fit_calibration(
    truth: Int[Tensor, "N L"], found: Sequence[SettingLogits], labels: LabelSpace, *, precision: float | None = None
) -> Fit:
    """A temperature a share, then a threshold a label on the calibrated probabilities of all shares together.

    Both are shrunk towards changing nothing (:data:`ctran.analysis.fits.PRIOR`), and kept only where they help pictures that
    were left out of their fit, in five-fold cross-validation. A temperature other than 1 is kept if

    1. at least :data:`~ctran.analysis.crossfit.PICTURES` pictures have entries that count, some positive and some negative,
    2. the likelihood has a maximum,
    3. it makes the pictures left out more likely than 1 does, on average by more than two standard errors, and
    4. their expected calibration error is no greater.

    The threshold of a label that maximises F1 is kept if there are as many pictures, and at least
    :data:`~ctran.analysis.thresholds.LEAST` with the label, and if on the pictures left out

    1. the label's F1 is greater than with one half, over all shares by more than two standard errors,
    2. it is lower at no share by more than that, and
    3. the F1 over all labels together (OF1) does not become lower.

    If all kept thresholds together have a lower OF1 or a lower mean F1 at a share, by more than two standard errors, none is
    kept. Thresholds of a wanted precision are all kept, as they are not meant to help F1.

    A temperature is stored with the mean share of labels that was given, as :meth:`Calibration.temperature_of` expects: without
    those that follow by implications or groups. A share that gives no more labels than the one before it, because the
    annotation has no more, is left out.

    Args:
        truth, found: of :func:`predict_shares`, on pictures that the model was not trained on.
        precision: wanted precision of each label's threshold; None maximises its F1.
    """
    by_setting = dict[str, list[SettingLogits]]()
    for output in found:
        by_setting.setdefault(str(output.setting), []).append(output)
    fits, kept, reasons = list[TemperatureFit](), list[list[SettingLogits]](), list[str]()
    for draws in sorted(by_setting.values(), key=_share):
        if kept and _share(draws) - _share(kept[-1]) < 1e-6:
            same = f"the annotations give as many labels as at {kept[-1][0].setting}"
            reasons.append(f"{draws[0].setting} known: left out, {same}")
            continue
        fits.append(fit_share(truth, draws, labels))
        kept.append(draws)
        reasons += [fits[-1].sentence] if not fits[-1].kept else []
    rule = "greatest F1" if precision is None else f"precision of at least {precision:g}"
    shares, temperatures = (tuple(values) for values in zip(*((f.known_share, f.temperature) for f in fits), strict=True))
    calibration = Calibration(shares, temperatures, {}, rule, tuple(reasons))
    if any(output.chosen is not None for draws in kept for output in draws):
        reasons.append("no thresholds: the method chooses label sets by itself")
        return Fit(replace(calibration, reasons=tuple(reasons)), tuple(fits), ())
    thresholds, reason = fit_labels(truth, kept, labels, calibration, precision)
    reasons += [f"thresholds of one half are kept, {reason}"] if reason else _refused(thresholds)
    own = {fit.label: fit.fitted for fit in thresholds if fit.kept and fit.fitted is not None}
    return Fit(replace(calibration, thresholds=own, reasons=tuple(reasons)), tuple(fits), tuple(thresholds))


def _refused(thresholds: Sequence[ThresholdFit]) -> list[str]:
    """For each reason, of how many labels the threshold is not kept."""
    counts = Counter(fit.reason for fit in thresholds if not fit.kept)
    return [f"thresholds of {n} of {len(thresholds)} labels stay one half: {reason}" for reason, n in counts.most_common()]


def _share(draws: Sequence[SettingLogits]) -> float:
    """Mean share of known labels over pictures and draws."""
    return float(np.mean([float(output.given.double().mean()) for output in draws]))


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
        loss, less = (_log_loss(p[counts], positive[counts]) for p in (before, after))
        scores = (half.CF1, fitted.CF1, half.OF1, fitted.OF1)
        rows.append(Quality(_share([output]), float(temperature.mean()), worse, better, loss, less, *scores))
    return rows


def _log_loss(p: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Mean of minus the log-probability of each entry, in nats; NaN without entries."""
    right = np.where(positive, p, 1 - p).clip(1e-12)
    return float(-np.log(right).mean()) if len(p) else float("nan")


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
