"""Fits of temperatures and thresholds, shrunk towards no change, and the calibration error that measures their effect."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.constraints.exclusive import cross_entropy, possible
from ctran.labels import LabelState
from ctran.losses.bce import BCE
from ctran.masking import scored_mask

BINS = 15
"""Number of bins of equal width for the expected calibration error."""
PRIOR = 20
"""Positive entries at which what the annotations say and what holds without a calibration have equal weight, in temperatures
and in thresholds.

With ``n`` positive entries the share ``n / (n + PRIOR)`` of a deviation is kept. That has the least expected loss where the
deviation varies among models with variance ``v``, and ``n`` entries give it with the variance ``1 / (c n)``, if ``PRIOR`` is
``1 / (c v)``. In simulated models with as many labels and positives as the clip art, entries of a picture depending on each
other, ``c`` is 0.9 to 1.4 a positive entry; temperatures within a factor of 1.2 or so of 1 have ``v`` = 0.04: 20.
"""
STEPS = 50
"""Iteration limit of the fit of one temperature; it converges long before."""
_BOUND = 5.0
"""Greatest absolute logarithm of a temperature."""


def fit_temperature(
    logits: Float[Tensor, "N L"],
    truth: Int[Tensor, "N L"],
    states: Int[Tensor, "N L"],
    groups: Sequence[Int[Tensor, "..."]] = (),
    *,
    prior: float = PRIOR,
    draws: int = 1,
) -> float:
    r"""The divisor of the logits that makes the hidden labels most likely (Guo et al., ICML 2017, Sec. 4.2), shrunk towards 1.

    Maximum a posteriori: with ``n`` positive entries,

    .. math:: \sum_{\text{entries}} H(y, z / T) + \frac{\text{prior}}{n} \sum_{\text{entries}} H(\sigma(z), z / T)

    is minimised, ``H`` the cross-entropy. The second term is the conjugate prior of logistic regression, as many entries as
    ``prior`` positive ones come with, that are as probable as the model predicts: its greatest value is at :math:`T = 1`
    (Diaconis and Ylvisaker, Ann. Statist. 1979). Exclusive groups count by their softmax. 1 where nothing is hidden.

    Args:
        prior: positive entries at which annotations and prior have equal weight; 0 gives the maximum of the likelihood.
        draws: how often each picture is among the rows, with other known labels; it is no more evidence for that.
    """
    exact, alone = logits.double(), scored_mask(truth, states)
    positive = truth == LabelState.POSITIVE
    weight = prior * draws / max(1, int((alone & positive).sum()))
    for members in groups:
        alone = alone.index_fill(1, members, False)
    z = exact[alone]
    mixed = (positive[alone].double() + weight * z.sigmoid()) / (1 + weight)
    expected = [_GroupPrior(exact, truth, states, members) for members in groups]
    scale = torch.zeros(1, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        by = scale.exp()
        value = (1 + weight) * F.binary_cross_entropy_with_logits(z * by, mixed, reduction="sum")
        for members, prior_of in zip(groups, expected, strict=True):
            value = value + cross_entropy(exact * by, truth, states, members).sum() + weight * prior_of(by)
        value = value / max(1, len(truth))
        value.backward()
        return float(value.detach())

    optimizer.step(loss)
    return float(torch.exp(-scale.detach().clamp(-_BOUND, _BOUND)))  # without a prior, separated labels have no finite optimum


class _GroupPrior:
    """Cross-entropy of an exclusive group's scaled logits under what the model predicts, in the rows that count."""

    def __init__(
        self, logits: Float[Tensor, "N L"], truth: Int[Tensor, "N L"], states: Int[Tensor, "N L"], members: Int[Tensor, " M"]
    ) -> None:
        left = possible(states[:, members])
        counts = (left != possible(truth[:, members])).any(dim=1)  # elsewhere the annotation adds nothing to what is known
        self.left, self.z = left[counts], logits[:, members][counts]
        self.q = self.z.masked_fill(~self.left, float("-inf")).softmax(dim=1)

    def __call__(self, scale: Float[Tensor, " 1"]) -> Float[Tensor, ""]:
        scaled = (self.z * scale).masked_fill(~self.left, float("-inf"))
        return -(self.q * scaled.log_softmax(dim=1).masked_fill(~self.left, 0)).sum()


def has_optimum(
    logits: Float[Tensor, "N L"],
    truth: Int[Tensor, "N L"],
    states: Int[Tensor, "N L"],
    groups: Sequence[Int[Tensor, "..."]] = (),
) -> bool:
    """Whether the likelihood, without a prior, is greatest at a temperature between its bounds, 1/148 and 148.

    It has no maximum where the logits tell positive and negative entries apart without error, or no better than chance.
    """
    factors = np.exp([-_BOUND, np.log(2) - _BOUND, _BOUND - np.log(2), _BOUND])
    least, more, less, most = (float(nats(logits.double() * factor, truth, states, groups).sum()) for factor in factors)
    return least > more and most > less  # convex in the factor


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
    weights: Float[np.ndarray, " N"] | None = None,
    precision: float | None = None,
    prior: float = PRIOR,
) -> list[float | None]:
    """For each label the threshold with the greatest F1, or the least one with the wanted precision.

    Few positive entries are little evidence: a threshold that fits five of them exactly is often far too low. Counts of
    positives are therefore averaged with those expected from the probabilities, which must be calibrated; with ``n`` positive
    entries the annotation has the weight ``n / (n + prior)``. Thresholds lie half-way between two observed probabilities.

    Args:
        weights: of the rows; None gives each the weight 1.
        precision: wanted share of true ones among those called present; None maximises F1.
        prior: positive entries at which annotation and expectation have equal weight; 0 uses the annotation alone.

    Returns:
        None for labels without a positive entry; 1 where the wanted precision is never reached.
    """
    found, w = list[float | None](), np.ones(len(counted)) if weights is None else weights
    for p, true, mask in zip(probabilities.T, positive.T, counted.T, strict=True):
        found.append(_threshold(p[mask].astype(float), true[mask], w[mask], precision, prior))
    return found


def _threshold(p: np.ndarray, true: np.ndarray, w: np.ndarray, precision: float | None, prior: float) -> float | None:
    if not true.any():
        return None
    order = np.argsort(-p, kind="stable")
    p, true, w = p[order], true[order], w[order]
    positives = (w * true).sum()
    share = positives / (positives + prior)
    hits = np.cumsum(w * (share * true + (1 - share) * p))
    called = np.cumsum(w)
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


def shrink_threshold(threshold: float, positives: float, *, prior: float = PRIOR) -> float:
    """A threshold between the fitted one and one half: its logit times ``positives / (positives + prior)``.

    Args:
        positives: pictures with the label.
        prior: positive pictures at which half of the logit is left.
    """
    inside = min(max(threshold, 1e-6), 1 - 1e-6)
    return float(1 / (1 + (1 / inside - 1) ** (positives / (positives + prior))))


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
