"""Logistic regressions of all labels at once: scikit-learn as the oracle."""

import itertools

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ctran.methods._logistic import Standardise, fit_logistic, linear_logits, minimise

EXACT = 1e-10
"""Tolerance where weights are compared."""


def drawn(rows=300, inputs=40, labels=6):
    """Standardised inputs of very different variances, truth with rare and frequent labels, and 80 % of the entries scored."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(rows, inputs, generator=generator) * torch.logspace(0, -2, inputs) + 5
    x = (x - x.mean(dim=0)) / x.std(dim=0, correction=0)
    weight = torch.randn(inputs, labels, generator=generator) * 0.5
    positive = torch.rand(rows, labels, generator=generator) < (x @ weight - torch.linspace(0, 4, labels)).sigmoid()
    return x, positive, torch.rand(rows, labels, generator=generator) < 0.8


@pytest.mark.parametrize("l2", [1.0, 0.1, 0.01])
def test_weights_are_those_of_scikit_learn_over_the_scored_rows(l2):
    x, positive, scored = drawn()
    point = fit_logistic(x, positive, scored, l2, tolerance=EXACT)
    for label, rows in enumerate(scored.T):
        oracle = LogisticRegression(C=1 / (l2 * int(rows.sum())), max_iter=5000, tol=1e-8)
        oracle.fit(x[rows].double().numpy(), positive[rows, label].numpy())
        assert point[:-2, label].numpy() == pytest.approx(oracle.coef_[0], abs=5e-3)
        assert float(point[-1, label]) == pytest.approx(float(oracle.intercept_[0]), abs=5e-3)


def test_a_start_elsewhere_ends_at_the_same_point():
    x, positive, scored = drawn()
    cold = fit_logistic(x, positive, scored, 0.03, tolerance=EXACT)
    warm = fit_logistic(x, positive, scored, 0.03, start=fit_logistic(x, positive, scored, 1.0), tolerance=EXACT)
    assert torch.allclose(cold, warm, atol=5e-3)


def test_labels_do_not_affect_each_other():
    x, positive, scored = drawn()
    together = fit_logistic(x, positive, scored, 0.03, tolerance=EXACT)
    alone = torch.cat([fit_logistic(x, positive[:, [i]], scored[:, [i]], 0.03, tolerance=EXACT) for i in range(6)], dim=1)
    assert torch.allclose(together, alone, atol=5e-3)


def test_blocked_weights_stay_zero_and_own_logits_are_scaled():
    x, positive, scored = drawn()
    blocked = torch.zeros(40, 6, dtype=torch.bool)
    blocked[:, 1] = True
    blocked[3, 2] = True
    own = torch.randn(300, 6, generator=torch.Generator().manual_seed(4)) + 3 * positive
    point = fit_logistic(x, positive, scored, 0.03, own=own, blocked=blocked, tolerance=EXACT)
    assert (point[:-2][blocked] == 0).all() and (point[:-2][~blocked] != 0).all()
    rows = scored[:, 1]
    oracle = LogisticRegression(C=1e9, max_iter=5000).fit(own[rows, 1:2].numpy(), positive[rows, 1].numpy())
    assert float(point[-2, 1]) == pytest.approx(float(oracle.coef_[0, 0]), abs=5e-3)
    assert torch.allclose(linear_logits(x, point, own)[:, 1], own[:, 1] * point[-2, 1] + point[-1, 1])


def test_a_penalty_keeps_the_scale_of_own_logits_that_separate_a_few_positives():
    x, positive, scored = drawn(rows=60)
    positive[:] = False
    positive[:2] = True
    own = torch.where(positive, 1.0, -1.0) + 0.1 * torch.randn(60, 6, generator=torch.Generator().manual_seed(4))
    blocked = torch.ones(40, 6, dtype=torch.bool)
    free, kept = (fit_logistic(x, positive, scored, 1.0, own=own, blocked=blocked, scale_l2=s) for s in (0.0, 4 / 60))
    counts = (positive & scored).any(dim=0)
    assert (free[-2, counts] > 4).all() and ((kept[-2] > 0.5) & (kept[-2] < 3)).all()


def test_a_label_that_is_never_scored_keeps_weights_of_zero():
    x, positive, scored = drawn()
    scored[:, 4] = False
    point = fit_logistic(x, positive, scored, 0.1)
    assert (point[:-2, 4] == 0).all() and point[-1, 4] == 0 and point.isfinite().all()


def test_standardised_inputs_have_mean_0_and_variance_1_at_most_and_fold_into_the_weights():
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(50, 4, generator=generator) * torch.tensor([1e-3, 1.0, 50.0, 2.0]) + torch.tensor([4.0, 0.0, -9.0, 1.0])
    x[:, 1] = 7.5  # never changes
    standardise = Standardise.of(x)
    found, spread = standardise(x), x.std(dim=0, correction=0)
    assert torch.allclose(found.mean(dim=0), torch.zeros(4), atol=1e-3)
    median = spread.median()  # of 0, 0.001, 2, 50: the lower of the two in the middle
    expected = torch.stack([spread[0] / median, torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1.0)]).square()
    assert torch.allclose(found.var(dim=0, correction=0), expected.clamp(max=1), atol=1e-3)
    weight, bias = torch.randn(2, 4, generator=generator), torch.randn(2, generator=generator)
    plain, shifted = standardise.fold(weight, bias)
    assert torch.allclose(x @ plain.T + shifted, found @ weight.T + bias, atol=1e-3)


def test_an_input_that_hardly_varies_is_not_enlarged():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(5))
    x[:, 0] *= 0.01
    new = torch.zeros(1, 5)
    new[0, 0] = 1  # a hundred standard deviations
    assert Standardise.of(x)(new)[0, 0] < 1.5


def test_each_function_finds_its_own_minimum_whatever_the_scale_of_the_others():
    scales = torch.tensor([1e-3, 1.0, 1e3])
    targets = torch.tensor([[3.0, -2.0, 0.5], [1.0, 1.0, -4.0]])

    def quadratics(point):
        return (scales * (point - targets).square()).sum(dim=0), 2 * scales * (point - targets)

    assert torch.allclose(minimise(quadratics, torch.zeros(2, 3), tolerance=1e-6), targets, atol=1e-3)


def test_a_quartic_valley_converges_from_every_corner():
    def rosenbrock(point):
        a, b = point
        value = (1 - a).square() + 10 * (b - a.square()).square()
        slope = torch.stack([-2 * (1 - a) - 40 * a * (b - a.square()), 20 * (b - a.square())])
        return value, slope

    corners = torch.tensor(list(itertools.product((-1.5, 2.0), repeat=2))).T
    assert torch.allclose(minimise(rosenbrock, corners, tolerance=1e-5), torch.ones(2, 4), atol=1e-2)
