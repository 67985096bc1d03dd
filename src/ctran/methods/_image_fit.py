"""Logistic regressions of the labels on image features, with logits of pictures that they were not fitted to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.data.feature_table import FeatureTable
from ctran.data.loading import seed_of
from ctran.methods._duplicates import folds_of, near_duplicates
from ctran.methods._kernel import Whiten
from ctran.methods._logistic import TOLERANCE, Covariance, Standardise, fit_logistic, linear_logits, principal_axes
from ctran.progress import bar

FOLDS = 5
IMAGE_L2 = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Penalties that are tried for the weights of image features, the largest first."""
GAIN = 0.01
"""Share by which a smaller penalty of image weights must lower the loss: its fits take longer."""
NEGLIGIBLE = 0.1
"""Variance of inputs, in units of the penalty, below which a direction is left out: a penalised fit hardly uses it (the logits
of a label reach a fortieth, at most, of what they would be without penalty)."""
LEAST_SCALE = 0.5
"""Of image logits. With few pictures held-out logits can by chance be worse than none, and their scale is far too small; on new
pictures the best one was 0.7 to 2.2 on 75 random subsets of 35 to 140 pictures of five sets."""
SEARCH = 1e-4
"""Tolerance of fits that only compare penalties."""
COMPARED = 128
"""Labels on which penalties are compared; where there are more, these are drawn at random."""


def compared_labels(count: int, seed: int) -> Int[Tensor, " K"]:
    """Numbers of the labels on which penalties are compared."""
    generator = torch.Generator().manual_seed(seed_of(seed, 25))
    return torch.randperm(count, generator=generator)[:COMPARED].sort().values


def log_loss(logits: Float[Tensor, "N L"], positive: Bool[Tensor, "N L"], scored: Bool[Tensor, "N L"]) -> float:
    """Mean negative log-likelihood of the scored entries, in nats."""
    losses = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
    return float((losses * scored).sum() / scored.sum().clamp(min=1))


def rescaling(logits: Float[Tensor, "N L"], positive: Bool[Tensor, "N L"], scored: Bool[Tensor, "N L"]) -> tuple[float, float]:
    """Scale (at least :data:`LEAST_SCALE`) and shift, the same for all labels, with which logits have the least log-loss."""
    column = logits.flatten()[:, None]

    def fit(own: Float[Tensor, "N 1"], scale_l2: float) -> tuple[float, float]:
        point = fit_logistic(
            torch.zeros_like(column),  # no other input
            positive.flatten()[:, None],
            scored.flatten()[:, None],
            1.0,
            own=own,
            scale_l2=scale_l2,
            covariance=Covariance(column.new_zeros(1)),
        )
        return float(point[-2, 0]), float(point[-1, 0])

    scale, shift = fit(column, 0.0)
    return (scale, shift) if scale >= LEAST_SCALE else (LEAST_SCALE, fit(LEAST_SCALE * column, 1e6)[1])


def descend(
    penalties: Sequence[float], loss_of: Callable[[float], float], what: str = "penalties", least: float = 0.0
) -> float:
    """The penalty of least loss, tried from the largest on until the loss rises.

    Args:
        what: name of the progress bar.
        least: share by which the loss must fall to go on.
    """
    best, lowest = penalties[0], math.inf
    with bar(what, len(penalties)) as advance:
        for penalty in penalties:
            if (loss := loss_of(penalty)) > lowest * (1 - least):
                break
            best, lowest = penalty, loss
            advance(1)
    return best


@dataclass(frozen=True)
class ImageFit:
    """A linear layer on averaged image features, or on similarities.

    Args:
        weight: for inputs as they come.
        bias: of the labels.
        l2: its penalty.
        scale, shift: of the logits, which make them as sure as held-out ones should be; all others have them in them.
        held_out: logits of each view of each training picture by a layer that was not fitted to the picture.
        folds: number of each training picture's fold.
        fold_weights, fold_biases: of the layer that was fitted without a fold.
    """

    weight: Float[Tensor, "L C"]
    bias: Float[Tensor, " L"]
    l2: float
    scale: float
    shift: float
    held_out: Float[Tensor, "V N L"]
    folds: Int[Tensor, " N"]
    fold_weights: Float[Tensor, "F L C"]
    fold_biases: Float[Tensor, "F L"]


def groups_of(table: FeatureTable) -> Int[Tensor, " N"]:
    """The groups of a table; near duplicates where it has none."""
    return near_duplicates(table.views[0]) if table.groups is None else table.groups


Inputs = Standardise | Whiten
"""From one row a picture to the inputs of a penalised regression, and back with its weights (``fold``)."""


def fit_images(table: FeatureTable, l2: float | None = None, folds: int = FOLDS, given: Inputs | None = None) -> ImageFit:
    """Logistic regression of every label, over all views, and held-out logits by folds.

    A weak penalty ranks pictures best and makes logits too sure, so all get the one scale and shift that suit held-out ones.
    Without ``l2``, the penalty is that of least log-loss, so scaled, on two of the folds, with the first view and
    :data:`COMPARED` labels alone, for time.

    Args:
        given: inputs of the regression; by default standardised features.
    """
    views, pictures, _ = table.views.shape
    fold_of = folds_of(groups_of(table), table.seed, folds)
    make = Standardise.of(table.views.flatten(0, 1)) if given is None else given
    inputs = make(table.views)
    values, basis = principal_axes(inputs.flatten(0, 1))  # along others no input differs, and weights are 0 at any penalty
    inputs = inputs @ basis  # orthonormal, so the penalty is the same
    positive, scored = table.positive, table.annotated

    def fit(
        rows: Bool[Tensor, " N"],
        l2: float,
        start: Tensor | None = None,
        used: int = views,
        tolerance: float = TOLERANCE,
        labels: Int[Tensor, " K"] | slice = slice(None),
    ) -> Tensor:
        first = int((values < NEGLIGIBLE * l2).sum())
        found = fit_logistic(
            inputs[:used, rows, first:].flatten(0, 1),
            positive[rows][:, labels].repeat(used, 1),
            scored[rows][:, labels].repeat(used, 1),
            l2,
            start=None if start is None else start[first:],
            covariance=Covariance(values[first:]),
            tolerance=tolerance,
        )
        return torch.cat([found.new_zeros(first, found.shape[1]), found])

    held = [fold_of == fold for fold in range(int(fold_of.max()) + 1)]
    if l2 is None:
        points: dict[int, Tensor] = {}
        compared, labels = torch.stack(held[:2]).any(dim=0), compared_labels(positive.shape[1], table.seed)

        def loss_of(l2: float) -> float:
            found = inputs.new_zeros(pictures, len(labels))
            for fold, rows in enumerate(held[:2]):
                points[fold] = fit(~rows, l2, points.get(fold), 1, SEARCH, labels)
                found[rows] = linear_logits(inputs[0, rows], points[fold])
            found, truth, some = found[compared], positive[compared][:, labels], scored[compared][:, labels]
            scale, shift = rescaling(found, truth, some)
            return log_loss(scale * found + shift, truth, some)

        l2 = descend(IMAGE_L2, loss_of, "penalties of image weights", GAIN)
    held_out = torch.zeros(views, pictures, table.truth.shape[1])
    with bar("fits of image weights", len(held) + 1) as advance:
        layers = [fit(torch.ones_like(fold_of, dtype=torch.bool), l2)]
        advance(1)
        for rows in held:
            layers.append(fit(~rows, l2))  # from the start: another fit has seen these pictures
            held_out[:, rows] = torch.stack([linear_logits(view[rows], layers[-1]) for view in inputs])
            advance(1)
    scale, shift = rescaling(held_out[0], positive, scored)
    shifts = shift * scored.any(dim=0).to(inputs.dtype)  # a label of which nothing is known keeps logits of 0
    folded = [make.fold(scale * (basis @ point[:-2]).T, scale * point[-1] + shifts) for point in layers]
    return ImageFit(
        weight=folded[0][0],
        bias=folded[0][1],
        l2=l2,
        scale=scale,
        shift=shift,
        held_out=scale * held_out + shifts,
        folds=fold_of,
        fold_weights=torch.stack([weight for weight, _ in folded[1:]]),
        fold_biases=torch.stack([bias for _, bias in folded[1:]]),
    )
