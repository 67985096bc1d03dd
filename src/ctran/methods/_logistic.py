"""Logistic regressions of all labels at once, fitted to convergence by L-BFGS.

The labels share their inputs, so one matrix product serves all of them. Each label's problem is convex and has its own step
length: a line search over the sum of all would make every label wait for the worst one. Features of a network are strongly
correlated; in the coordinates of their covariance, which is the Hessian but for weights, few steps are needed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

TOLERANCE = 1e-5
"""Of a fit that is kept; see :func:`fit_logistic`."""
LEAST = 1.0
"""Of :class:`Standardise`, in units of the inputs' median standard deviation."""
MEMORY = 10
"""Pairs of steps and gradient differences that L-BFGS keeps."""
SUFFICIENT = 1e-4
"""Share of the decrease promised by the slope that a step must reach (Armijo's condition)."""
SHORTENED = 20
"""How often a step is halved."""
FEW = 0.6
"""Share of functions that have not converged below which the others are no longer computed."""
ROUNDING = 1e-7
"""Relative rounding error of a value in float32."""


@dataclass(frozen=True)
class Standardise:
    """Shift and scale of inputs, from training rows.

    Inputs that vary much get variance 1; those that vary less than :data:`LEAST` times the median input are not enlarged to it,
    as what is nearly constant in training may be anything elsewhere.
    """

    mean: Float[Tensor, " D"]
    scale: Float[Tensor, " D"]

    @classmethod
    def of(cls, inputs: Float[Tensor, "N D"]) -> "Standardise":
        """Mean 0 and variance 1 at most; an input that never changes becomes 0."""
        spread = inputs.std(dim=0, correction=0)
        varies = spread > 1e-6 * inputs.abs().amax()
        least = LEAST * float(spread.median())
        return cls(inputs.mean(dim=0), torch.where(varies, 1 / spread.clamp(min=least), torch.zeros_like(spread)))

    def __call__(self, inputs: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        return (inputs - self.mean) * self.scale

    def fold(self, weight: Float[Tensor, "L D"], bias: Float[Tensor, " L"]) -> tuple[Float[Tensor, "L D"], Float[Tensor, " L"]]:
        """Weights and biases for inputs as they come, from those for standardised inputs."""
        plain = weight * self.scale
        return plain, bias - plain @ self.mean


@dataclass(frozen=True)
class Covariance:
    """Second moments of inputs by their eigenvectors: an estimate of the Hessians of logistic regressions.

    Args:
        values: eigenvalues.
        basis: eigenvectors, a column each; None where the inputs are in these coordinates already.
    """

    values: Float[Tensor, " R"]
    basis: Float[Tensor, "D R"] | None = None

    @classmethod
    def of(cls, inputs: Float[Tensor, "N D"]) -> "Covariance":
        """That of some rows."""
        return cls(*eigenvectors(inputs))

    def solve(self, right: Float[Tensor, "D L"], weight: Float[Tensor, " L"], l2: float) -> Float[Tensor, "D L"]:
        """``(weight * moments + l2)^-1 right``, a column each."""
        scale = weight * self.values[:, None] + l2
        return right / scale if self.basis is None else self.basis @ ((self.basis.T @ right) / scale)


def eigenvectors(inputs: Float[Tensor, "N D"]) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
    """Eigenvalues of the second moments of inputs, ascending, and their eigenvectors, a column each."""
    values, basis = torch.linalg.eigh(inputs.T @ inputs / len(inputs))
    return values.clamp(min=0), basis


def principal_axes(inputs: Float[Tensor, "N D"]) -> tuple[Float[Tensor, " R"], Float[Tensor, "D R"]]:
    """Eigenvalues above rounding of the second moments of inputs, ascending, and their eigenvectors.

    From the smaller of the two matrices of products, of inputs or of rows.
    """
    if len(inputs) >= inputs.shape[1]:
        values, basis = eigenvectors(inputs)
        kept = values > 1e-6 * values[-1]
        return values[kept], basis[:, kept]
    values, rows = torch.linalg.eigh(inputs @ inputs.T / len(inputs))
    kept = values > 1e-6 * values[-1]
    return values[kept], inputs.T @ rows[:, kept] / (len(inputs) * values[kept]).sqrt()


Objective = Callable[[Float[Tensor, "D L"]], tuple[Float[Tensor, " L"], Float[Tensor, "D L"]]]
"""Values and gradients of ``L`` functions at a point, a column each."""
Precondition = Callable[[Float[Tensor, "D L"]], Float[Tensor, "D L"]]
"""Estimates of inverse Hessians times a gradient, a column each; positive definite."""


def minimise(
    objective: Objective,
    start: Float[Tensor, "D L"],
    *,
    tolerance: float | Float[Tensor, " L"] = 1e-4,
    max_iterations: int = 200,
    precondition: Precondition = lambda gradient: gradient,
    restrict: Callable[[Int[Tensor, " K"]], tuple[Objective, Precondition]] | None = None,
) -> Float[Tensor, "D L"]:
    """Minimum of ``L`` independent smooth convex functions, by L-BFGS with backtracking, each with its own step.

    Args:
        objective: values and gradients of all functions at a point, a column each.
        start: first point.
        tolerance: a function has converged if a Newton step would lower it by less than this, by the estimated Hessian; one
            number, or one for each function.
        max_iterations: upper bound; one call of ``objective`` each, and one more for each shortened step.
        precondition: estimate of the inverse Hessians.
        restrict: objective and estimate of some of the functions, by their numbers; with it, those that have converged are not
            computed further. None computes all until the last has converged.

    Source: Nocedal and Wright, Numerical Optimization, 2nd edition, Algorithms 7.4 and 7.5.
    """
    found, columns = start.clone(), torch.arange(start.shape[1])
    limit = torch.as_tensor(tolerance, dtype=start.dtype).expand(start.shape[1])
    point = start.clone()
    value, gradient = objective(point)
    steps: list[Tensor] = []
    changes: list[Tensor] = []
    length = 1 / precondition(gradient).norm(dim=0).clamp(min=1)
    for _ in range(max_iterations):
        active = (precondition(gradient) * gradient).sum(dim=0) > 2 * limit
        if not active.any():
            break
        if restrict is not None and active.sum() <= FEW * len(active):
            found[:, columns] = point
            columns, limit, value, length = columns[active], limit[active], value[active], length[active]
            point, gradient = point[:, active], gradient[:, active]
            steps, changes = [step[:, active] for step in steps], [change[:, active] for change in changes]
            objective, precondition = restrict(columns)
            active = active[active]
        direction = _direction(gradient, steps, changes, precondition)
        slope = (direction * gradient).sum(dim=0)
        bad = slope >= 0  # no descent: start again from the gradient
        direction = torch.where(bad, -gradient, direction)
        slope = torch.where(bad, -gradient.square().sum(dim=0), slope)
        step = torch.where(active, length if not steps else torch.ones_like(length), 0.0)
        there, value_there, gradient_there = _shorten(objective, point, value, direction, slope, step)
        if torch.equal(there, point):
            break
        steps.append(there - point)
        changes.append(gradient_there - gradient)
        if len(steps) > MEMORY:
            del steps[0], changes[0]
        point, value, gradient = there, value_there, gradient_there
    found[:, columns] = point
    return found


def _shorten(
    objective: Objective,
    point: Float[Tensor, "D L"],
    value: Float[Tensor, " L"],
    direction: Float[Tensor, "D L"],
    slope: Float[Tensor, " L"],
    step: Float[Tensor, " L"],
) -> tuple[Float[Tensor, "D L"], Float[Tensor, " L"], Float[Tensor, "D L"]]:
    """The next point, its values and gradients: each step is halved until its function decreases enough, or else left out."""
    there = point + step * direction
    value_there, gradient_there = objective(there)
    for trial in range(SHORTENED):
        failed = (step > 0) & ~(value_there <= value + SUFFICIENT * step * slope + ROUNDING * value.abs())
        if not failed.any():
            break
        step = torch.where(failed, 0.0 if trial == SHORTENED - 1 else step / 2, step)
        there = point + step * direction
        value_there, gradient_there = objective(there)
    return there, value_there, gradient_there


def _direction(
    gradient: Float[Tensor, "D L"],
    steps: list[Tensor],
    changes: list[Tensor],
    precondition: Callable[[Float[Tensor, "D L"]], Float[Tensor, "D L"]],
) -> Float[Tensor, "D L"]:
    """Minus the inverse Hessian's estimate times the gradient, a column each; pairs without curvature are left out."""
    q = gradient.clone()
    curvature = [(s * y).sum(dim=0) for s, y in zip(steps, changes, strict=True)]
    rho = [torch.where(c > 1e-12, 1 / c.clamp(min=1e-12), 0.0) for c in curvature]
    alphas = []
    for s, y, r in zip(reversed(steps), reversed(changes), reversed(rho), strict=True):
        alphas.append(r * (s * q).sum(dim=0))
        q -= alphas[-1] * y
    q = precondition(q)
    if steps:
        y, c = changes[-1], curvature[-1]
        q *= torch.where(c > 1e-12, c / (y * precondition(y)).sum(dim=0).clamp(min=1e-20), 1.0)
    for s, y, r, alpha in zip(steps, changes, rho, reversed(alphas), strict=True):
        q += (alpha - r * (y * q).sum(dim=0)) * s
    return -q


def fit_logistic(
    inputs: Float[Tensor, "N D"],
    positive: Bool[Tensor, "N L"],
    scored: Bool[Tensor, "N L"],
    l2: float,
    *,
    own: Float[Tensor, "N L"] | None = None,
    scale_l2: float = 0.0,
    blocked: Bool[Tensor, "D L"] | None = None,
    start: Float[Tensor, "D2 L"] | None = None,
    covariance: Covariance | None = None,
    tolerance: float = TOLERANCE,
) -> Float[Tensor, "D2 L"]:
    """One logistic regression a label: its weights, the scale of ``own`` and its bias, in the rows of a matrix.

    Minimises, for each label, the mean negative log-likelihood of its scored rows plus ``l2 / 2`` times the squared norm of
    its weights (not of scale and bias): without ``own``, scikit-learn's ``LogisticRegression(C=1 / (l2 * n))``.

    Args:
        inputs: shared by all labels.
        positive: truth.
        scored: entries that count; a label without any keeps weights of 0.
        own: logits to start from, a column a label: ``scale * own + bias`` is added, with a scale that starts at 1. None is 0.
        scale_l2: penalty of the scale, for its squared distance from 1.
        blocked: weights that stay 0.
        start: first point, e.g. of a neighbouring ``l2``.
        covariance: of ``inputs`` or of similar ones; None computes it.
        tolerance: by how much a further step may lower the mean loss of a label, in units of ``p (1 - p)`` with the share ``p``
            of its positives.
    """
    if start is None:
        start = start_point(inputs.shape[1], positive.shape[1], inputs.dtype)
    share = scored.to(inputs.dtype) / scored.sum(dim=0).clamp(min=1)
    target = positive.to(inputs.dtype)
    problem = _Problem(
        inputs,
        target,
        share,
        l2,
        own,
        scale_l2,
        None if blocked is None else (~blocked).to(inputs.dtype),
        Covariance.of(inputs) if covariance is None else covariance,
    )
    return minimise(
        problem.objective,
        start,
        tolerance=tolerance * problem.variance,
        precondition=problem.precondition,
        restrict=problem.restrict,
    )


def start_point(inputs: int, labels: int, dtype: torch.dtype) -> Float[Tensor, "D2 L"]:
    """Weights and biases of 0, scales of 1."""
    start = torch.zeros(inputs + 2, labels, dtype=dtype)
    start[-2] = 1
    return start


@dataclass(frozen=True)
class _Problem:
    """Logistic regressions of labels, a column each.

    Args:
        inputs, own, l2, scale_l2, covariance: of :func:`fit_logistic`.
        target: 1 for positive entries, 0 for others.
        share: weight of each entry in its label's mean.
        free: 1 for weights that may change, 0 for those that stay 0; None for all 1.
    """

    inputs: Float[Tensor, "N D"]
    target: Float[Tensor, "N L"]
    share: Float[Tensor, "N L"]
    l2: float
    own: Float[Tensor, "N L"] | None
    scale_l2: float
    free: Float[Tensor, "D L"] | None
    covariance: Covariance

    @cached_property
    def variance(self) -> Float[Tensor, " L"]:
        """Of each label's target."""
        frequency = (self.target * self.share).sum(dim=0)
        return (frequency * (1 - frequency)).clamp(min=1e-4)

    @cached_property
    def square(self) -> Float[Tensor, " L"]:
        """Mean square of ``own``."""
        return (
            (self.own.square() * self.share).sum(dim=0).clamp(min=1e-6)
            if self.own is not None
            else torch.ones_like(self.variance)
        )

    def objective(self, point: Float[Tensor, "D2 L"]) -> tuple[Float[Tensor, " L"], Float[Tensor, "D2 L"]]:
        """Penalised mean losses and their gradients."""
        weight = point[:-2]
        logits = linear_logits(self.inputs, point, self.own)
        losses = F.binary_cross_entropy_with_logits(logits, self.target, reduction="none") * self.share
        error = (logits.sigmoid() - self.target) * self.share
        slope = self.inputs.T @ error + self.l2 * weight
        slope = slope if self.free is None else slope * self.free
        away = point[-2] - 1
        of_scale = self.scale_l2 * away + (0 if self.own is None else (error * self.own).sum(dim=0))
        gradient = torch.cat([slope, of_scale[None], error.sum(dim=0)[None]])
        penalty = (self.l2 * weight.square().sum(dim=0) + self.scale_l2 * away.square()) / 2
        return losses.sum(dim=0) + penalty, gradient

    def precondition(self, gradient: Float[Tensor, "D2 L"]) -> Float[Tensor, "D2 L"]:
        """The inverse Hessian's estimate, by the covariance of the inputs, times a gradient."""
        slope = self.covariance.solve(gradient[:-2], self.variance, self.l2)
        slope = slope if self.free is None else slope * self.free
        scale, bias = gradient[-2] / (self.variance * self.square + self.scale_l2), gradient[-1] / self.variance
        return torch.cat([slope, scale[None], bias[None]])

    def restrict(self, columns: Int[Tensor, " K"]) -> tuple[Objective, Precondition]:
        """The problem of some labels."""
        own, free = (None if each is None else each[:, columns] for each in (self.own, self.free))
        some = replace(self, target=self.target[:, columns], share=self.share[:, columns], own=own, free=free)
        return some.objective, some.precondition


def linear_logits(
    inputs: Float[Tensor, "N D"], point: Float[Tensor, "D2 L"], own: Float[Tensor, "N L"] | None = None
) -> Float[Tensor, "N L"]:
    """``inputs @ weights + scale * own + bias``, with the rows of :func:`fit_logistic`."""
    logits = torch.addmm(point[-1], inputs, point[:-2])
    return logits if own is None else logits + point[-2] * own
