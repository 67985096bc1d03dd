"""Fitted numbers: temperatures that make probabilities mean something, thresholds from where on a label counts as present.

Plain data in the model folder (``calibration.json``), fitted on ``val`` by ``ctran calibrate``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.constraints.exclusive import cross_entropy
from ctran.errors import UserError
from ctran.files import write_text
from ctran.labels import LabelSpace, LabelState
from ctran.losses.label_loss import bce, label_loss
from ctran.masking import counted

FORMAT = 1
BINS = 15
"""Of equal width, for the expected calibration error."""
PRIOR = 20
"""Positive entries of a label at which its annotation and the calibrated probabilities count the same for its threshold."""
STEPS = 50
"""Of the fit of one temperature; it has converged long before."""


@dataclass(frozen=True)
class Calibration:
    """What :func:`fit_temperature` and :func:`fit_thresholds` found.

    Args:
        known_shares: shares of known labels at which temperatures were fitted, increasing: of the labels given, without
            what follows from them by implications or groups, in fitting and in use alike.
        temperatures: what logits are divided by at each; between them by linear interpolation.
        thresholds: label name -> probability from which on it counts as present; one half for labels not named.
        rule: how thresholds were chosen.
        reasons: what was not fitted, and why.
    """

    known_shares: tuple[float, ...] = (0.0,)
    temperatures: tuple[float, ...] = (1.0,)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    rule: str = "one half"
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.known_shares) != len(self.temperatures) or not self.known_shares:
            raise UserError(f"expected a temperature a share, got {len(self.known_shares)} and {len(self.temperatures)}")
        if any(a >= b for a, b in zip(self.known_shares, self.known_shares[1:], strict=False)):
            raise UserError(f"known shares must increase, got {list(self.known_shares)}")
        if bad := [t for t in self.temperatures if not 0 < t < float("inf")]:
            raise UserError(f"a temperature is greater than 0, got {bad[0]}")
        if wrong := [(name, t) for name, t in self.thresholds.items() if not 0 <= t <= 1]:
            raise UserError(f"a threshold lies between 0 and 1, got {wrong[0][1]} for {wrong[0][0]!r}")

    def temperature_of(self, states: Int[Tensor, "R L"]) -> Float[Tensor, " R"]:
        """Temperature of each row, by the share of its labels that is known in ``states``, which are those that were given:
        without what follows from them."""
        share = (states != LabelState.UNKNOWN).float().mean(dim=1).cpu().numpy()
        return torch.from_numpy(self.temperature_at(share)).to(states.device, torch.float32)

    def temperature_at(self, known_share: Float[np.ndarray, " R"]) -> Float[np.ndarray, " R"]:
        """Temperature at shares of known labels."""
        return np.interp(known_share, self.known_shares, self.temperatures)

    def save(self, path: Path) -> None:
        """Write as JSON, in one step."""
        write_text(path, json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n")

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"format": FORMAT, **asdict(self), "thresholds": dict(self.thresholds)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], labels: LabelSpace) -> "Calibration":
        """Of what :meth:`as_dict` gave, for a model with these labels.

        Raises:
            ValueError: another format; :class:`~ctran.labels.UnknownLabelError` for a threshold of no label.
        """
        if content.get("format") != FORMAT:
            raise UserError(f"calibration has format {content.get('format')!r}, expected {FORMAT}; upgrade ctran")
        for name in content["thresholds"]:
            labels.index(name)
        shares, temperatures = tuple(content["known_shares"]), tuple(content["temperatures"])
        return cls(shares, temperatures, dict(content["thresholds"]), content["rule"], tuple(content.get("reasons", ())))


def fit_temperature(
    logits: Float[Tensor, "N L"],
    truth: Int[Tensor, "N L"],
    states: Int[Tensor, "N L"],
    groups: Sequence[Int[Tensor, "..."]] = (),
) -> float:
    """The one number to divide logits by so that the hidden labels are most likely (Guo et al., ICML 2017, Sec. 4.2).

    Exclusive groups count by their softmax. 1 where nothing is hidden.
    """
    scale = torch.zeros(1, dtype=torch.double, requires_grad=True)
    exact = logits.double()
    optimizer = torch.optim.LBFGS([scale], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        value = label_loss(exact * scale.exp(), truth, states, groups=groups)
        value.backward()
        return float(value.detach())

    optimizer.step(loss)
    return float(torch.exp(-scale.detach().clamp(-5, 5)))  # labels that are told apart without error would be made certain


def nats(
    logits: Float[Tensor, "N L"],
    truth: Int[Tensor, "N L"],
    states: Int[Tensor, "N L"],
    groups: Sequence[Int[Tensor, "..."]] = (),
) -> Float[Tensor, " N"]:
    """Minus the log-likelihood of the hidden labels of each picture, exclusive groups by their softmax: what
    :func:`fit_temperature` minimises."""
    alone, total = counted(truth, states), torch.zeros(len(truth), dtype=logits.dtype)
    for members in groups:
        alone = alone.index_fill(1, members, False)
        total = total + cross_entropy(logits, truth, states, members)
    return total + (bce(logits, truth) * alone).sum(dim=1)


def fit_thresholds(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    counted: Bool[np.ndarray, "N L"],
    *,
    precision: float | None = None,
    prior: float = PRIOR,
) -> list[float | None]:
    """For each label the threshold of the greatest F1, or the least one that has the wanted precision.

    Few positive entries say little: a threshold that fits five of them exactly is often far too low. Counts of positives are
    therefore mixed with those that the probabilities, which must be calibrated, expect; with ``n`` positive entries the
    annotation has the weight ``n / (n + prior)``. Thresholds lie half-way between two probabilities that were met.

    Args:
        precision: wanted share of true ones among those called present; None maximises F1.
        prior: positive entries at which annotation and expectation count the same; 0 believes the annotation alone.

    Returns:
        None for labels without a positive entry, of which nothing can be said; 1 where the wanted precision is never reached.
    """
    found = list[float | None]()
    for p, true, here in zip(probabilities.T, positive.T, counted.T, strict=True):
        found.append(_threshold(p[here].astype(float), true[here], precision, prior))
    return found


def _threshold(p: np.ndarray, true: np.ndarray, precision: float | None, prior: float) -> float | None:
    if not true.any():
        return None
    order = np.argsort(-p, kind="stable")
    weight = true.sum() / (true.sum() + prior)
    p = p[order]
    hits = np.cumsum(weight * true[order] + (1 - weight) * p)
    called = np.arange(1, len(p) + 1)
    last = np.append(p[1:] < p[:-1], True)  # a threshold cannot part equal probabilities
    if precision is None:
        score = np.where(last, 2 * hits / (called + hits[-1]), -1)
        best = int(score.argmax())
    else:
        good = last & (hits / called >= precision)
        if not good.any():
            return 1.0
        best = int(good.nonzero()[0][-1])
    below = p[best + 1] if best + 1 < len(p) else 0.0
    return float((p[best] + below) / 2)


def binned(probabilities: Float[np.ndarray, " N"], positive: Bool[np.ndarray, " N"], *, bins: int = BINS) -> np.ndarray:
    """Of each bin of equal width (rows): number of entries, sum of their probabilities, number that are positive."""
    at = np.minimum((probabilities * bins).astype(int), bins - 1)
    return np.stack([np.bincount(at, weights, bins) for weights in (np.ones(len(at)), probabilities, positive)], axis=1)


def expected_calibration_error(
    probabilities: Float[np.ndarray, " N"], positive: Bool[np.ndarray, " N"], *, bins: int = BINS
) -> float:
    r"""Expected calibration error of binary entries, 0 to 1: :math:`\sum_b \frac{n_b}{N} |\bar p_b - \bar y_b|` over bins of
    equal width (Guo et al., ICML 2017, Eq. 3). NaN of no entries."""
    if not len(probabilities):
        return float("nan")
    _, said, there = binned(probabilities, positive, bins=bins).T
    return float(np.abs(said - there).sum() / len(probabilities))
