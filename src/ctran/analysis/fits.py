"""Fits of temperatures and thresholds, and the calibration error that measures their effect."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.constraints.exclusive import cross_entropy
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.masking import scored_mask

BINS = 15
"""Number of bins of equal width for the expected calibration error."""
_PRIOR = 20
"""Positive entries of a label at which annotations and calibrated probabilities have equal weight in its threshold."""
STEPS = 50
"""Iteration limit of the fit of one temperature; it converges long before."""


def fit_temperature(
    logits: Float[Tensor, "N L"],
    truth: Int[Tensor, "N L"],
    states: Int[Tensor, "N L"],
    groups: Sequence[Int[Tensor, "..."]] = (),
) -> float:
    """The divisor of the logits that makes the hidden labels most likely (Guo et al., ICML 2017, Sec. 4.2).

    Exclusive groups count by their softmax. 1 where nothing is hidden.
    """
    scale = torch.zeros(1, dtype=torch.double, requires_grad=True)
    exact = logits.double()
    criterion = LabelLoss(BCE(), groups=groups)
    optimizer = torch.optim.LBFGS([scale], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        value = criterion(exact * scale.exp(), truth, states)
        value.backward()
        return float(value.detach())

    optimizer.step(loss)
    return float(torch.exp(-scale.detach().clamp(-5, 5)))  # perfectly separated labels would have no finite optimum


def nats(
    logits: Float[Tensor, "N L"],
    truth: Int[Tensor, "N L"],
    states: Int[Tensor, "N L"],
    groups: Sequence[Int[Tensor, "..."]] = (),
) -> Float[Tensor, " N"]:
    """Minus the log-likelihood of the hidden labels of each picture, exclusive groups by their softmax: what
    :func:`fit_temperature` minimises."""
    alone, total = scored_mask(truth, states), torch.zeros(len(truth), dtype=logits.dtype)
    for members in groups:
        alone = alone.index_fill(1, members, False)
        total = total + cross_entropy(logits, truth, states, members)
    return total + (BCE()(logits, truth) * alone).sum(dim=1)


def fit_thresholds(
    probabilities: Float[np.ndarray, "N L"],
    positive: Bool[np.ndarray, "N L"],
    counted: Bool[np.ndarray, "N L"],
    *,
    precision: float | None = None,
    prior: float = _PRIOR,
) -> list[float | None]:
    """For each label the threshold with the greatest F1, or the least one with the wanted precision.

    Few positive entries are little evidence: a threshold that fits five of them exactly is often far too low. Counts of
    positives are therefore averaged with those expected from the probabilities, which must be calibrated; with ``n`` positive
    entries the annotation has the weight ``n / (n + prior)``. Thresholds lie half-way between two observed probabilities.

    Args:
        precision: wanted share of true ones among those called present; None maximises F1.
        prior: positive entries at which annotation and expectation have equal weight; 0 uses the annotation alone.

    Returns:
        None for labels without a positive entry; 1 where the wanted precision is never reached.
    """
    found = list[float | None]()
    for p, true, mask in zip(probabilities.T, positive.T, counted.T, strict=True):
        found.append(_threshold(p[mask].astype(float), true[mask], precision, prior))
    return found


def _threshold(p: np.ndarray, true: np.ndarray, precision: float | None, prior: float) -> float | None:
    if not true.any():
        return None
    order = np.argsort(-p, kind="stable")
    weight = true.sum() / (true.sum() + prior)
    p = p[order]
    hits = np.cumsum(weight * true[order] + (1 - weight) * p)
    called = np.arange(1, len(p) + 1)
    last = np.append(p[1:] < p[:-1], True)  # a threshold cannot separate equal probabilities
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
    equal width (Guo et al., ICML 2017, Eq. 3). NaN without entries."""
    if not len(probabilities):
        return float("nan")
    _, predicted, observed = binned(probabilities, positive, bins=bins).T
    return float(np.abs(predicted - observed).sum() / len(probabilities))
