"""The temperature of one share of known labels: fitted, and kept where it helps pictures that were left out of its fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.analysis.crossfit import FOLDS, NOISE, folds_of, too_few
from ctran.analysis.fits import expected_calibration_error, fit_temperature, has_optimum, nats
from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder, scored
from ctran.constraints.implications import propagate
from ctran.evaluation.evaluate import SettingLogits
from ctran.labels import LabelSpace, LabelState


@dataclass(frozen=True)
class TemperatureFit:
    """A temperature and its effect on pictures that were left out of its fit.

    Args:
        setting: which labels were known, in words.
        known_share: share of labels that were given, 0 to 1, mean over pictures and draws.
        fitted: the temperature by all pictures; 1 where nothing can be fitted.
        kept: whether it is used; else 1 is.
        reason: why it is not kept; empty where it is.
        gain: decrease of the log-loss on pictures left out of the fit, nats a picture; None without a fit.
        error: standard error of ``gain`` over the pictures.
        ece_before, ece_after: expected calibration error on pictures left out of the fit, 0 to 1.
    """

    setting: str
    known_share: float
    fitted: float = 1.0
    kept: bool = False
    reason: str = ""
    gain: float | None = None
    error: float | None = None
    ece_before: float | None = None
    ece_after: float | None = None

    @property
    def temperature(self) -> float:
        """The one that is used."""
        return self.fitted if self.kept else 1.0

    @property
    def sentence(self) -> str:
        """What is used, and why."""
        if not self.kept:
            return f"{self.setting} known: temperature 1 is kept, {self.reason}"
        return f"{self.setting} known: temperature {self.fitted:.3g} (on pictures left out of its fit: {self.effect})"

    @property
    def effect(self) -> str:
        """Effect on pictures that were left out of the fit; empty without a fit."""
        if self.gain is None or self.error is None or self.ece_before is None or self.ece_after is None:
            return ""
        change = "lower" if self.gain >= 0 else "higher"
        return (
            f"log-loss {abs(self.gain):.2g} nats a picture {change}, standard error {self.error:.2g}; "
            f"ECE {100 * self.ece_before:.2f} to {100 * self.ece_after:.2f} %"
        )


def fit_share(truth: Int[Tensor, "N L"], draws: Sequence[SettingLogits], labels: LabelSpace) -> TemperatureFit:
    """The temperature at one share; ``draws`` are outputs for the same pictures with other known labels."""
    share = float(np.mean([float(output.given.double().mean()) for output in draws]))
    found = TemperatureFit(str(draws[0].setting), share)
    rows = _Rows(truth, draws, labels)
    if reason := too_few(truth, rows.counts.view(len(draws), len(truth), -1).any(dim=0)):
        return replace(found, reason=reason)
    if not has_optimum(rows.logits, rows.truth, rows.states, rows.groups):
        return replace(found, reason="the fit runs to its bound: the likelihood has no greatest value")
    gains, before, after = rows.left_out()
    error = float(gains.std() / len(gains) ** 0.5)
    found = replace(
        found,
        fitted=rows.fit(torch.ones(len(rows.truth), dtype=torch.bool)),
        gain=float(gains.mean()),
        error=error,
        ece_before=before,
        ece_after=after,
    )
    if not float(gains.mean()) > NOISE * error:
        reason = f"{found.fitted:.3g} is no better on pictures left out of its fit by more than its noise ({found.effect})"
        return replace(found, reason=reason)
    if after > before:
        return replace(found, reason=f"{found.fitted:.3g} is worse calibrated on pictures left out of its fit ({found.effect})")
    return replace(found, kept=True)


class _Rows:
    """All draws of all pictures at one share, one below the other; extra labels count nowhere."""

    def __init__(self, truth: Int[Tensor, "N L"], draws: Sequence[SettingLogits], labels: LabelSpace) -> None:
        self.labels, self.draws = labels, len(draws)
        self.given = torch.cat([output.states for output in draws])
        self.logits = torch.cat([output.logits for output in draws])
        self.states = propagate(self.given, labels)
        self.truth = truth.masked_fill(~labels.targets, int(LabelState.UNKNOWN)).repeat(self.draws, 1)
        self.counts: Bool[Tensor, "R L"] = scored(self.truth, self.given, labels)
        self.groups = [members for members in labels.exclusive if labels.targets[members].all()]
        self.folds = folds_of(len(truth)).repeat(self.draws)

    def fit(self, rows: Bool[Tensor, " R"]) -> float:
        """The temperature by some of the rows."""
        return fit_temperature(self.logits[rows], self.truth[rows], self.states[rows], self.groups, draws=self.draws)

    def left_out(self) -> tuple[Float[Tensor, " M"], float, float]:
        """By temperatures that were fitted to the other folds: decrease of the log-loss of each picture that counts, in nats,
        and the expected calibration error before and after."""
        gains = torch.zeros(len(self.truth), dtype=torch.double)
        before, after = (torch.empty_like(self.logits, dtype=torch.double) for _ in range(2))
        for fold in range(FOLDS):
            out = self.folds == fold
            fitted, z = self.fit(~out), self.logits[out].double()
            plain, scaled = (nats(z / t, self.truth[out], self.states[out], self.groups) for t in (1.0, fitted))
            gains[out] = plain - scaled
            before[out] = Decoder(self.labels).probabilities(z, self.given[out])
            after[out] = Decoder(self.labels, Calibration(temperatures=(fitted,))).probabilities(z, self.given[out])
        by_picture = gains.view(self.draws, -1).mean(dim=0)
        counts, positive = self.counts.numpy(), (self.truth == LabelState.POSITIVE).numpy()
        plain, scaled = (expected_calibration_error(p.numpy()[counts], positive[counts]) for p in (before, after))
        return by_picture[self.counts.any(dim=1).view(self.draws, -1).any(dim=0)], plain, scaled
