"""What methods share that are fitted to averaged image features in one step, without epochs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.constraints.implications import propagate_implications
from ctran.data.feature_table import FeatureTable
from ctran.data.loading import seed_of
from ctran.labels import LabelSpace
from ctran.masking import label_mask_training, scored_mask
from ctran.methods._base import MethodConfig
from ctran.methods._logistic import TOLERANCE, Covariance, Standardise, fit_logistic, linear_logits, principal_axes
from ctran.methods._pooling import Pooling, pool, pooled_width
from ctran.model import Backbone, Features, Method
from ctran.model.attention import repeat_rows
from ctran.progress import bar

FOLDS = 5
IMAGE_L2 = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
"""Penalties that are tried for the weights of image features, the largest first."""
LABEL_L2 = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
"""Penalties that are tried for the weights of known labels."""
SCALE = 4.0
"""How strongly the scale of a label's own image logit is kept at 1: a standard deviation of one half, as a prior. Without it,
held-out logits that separate a handful of positives by chance get any scale."""
NEGLIGIBLE = 0.1
"""Variance of inputs, in units of the penalty, below which a direction is left out: a penalised fit hardly uses it (the logits
of a label reach a fortieth, at most, of what they would be without penalty)."""
SEARCH = 1e-4
"""Tolerance of fits that only compare penalties."""
MOST_ROWS = 16_000
"""Rows of states, over all pictures, to which the weights of known labels are fitted; more if four draws a picture are."""
DRAWS = 4, 16
"""Least and greatest number of label masks drawn for each picture."""


@dataclass(frozen=True)
class FittedConfig(MethodConfig):
    """Options of methods that are fitted in one step.

    Args:
        image_l2: penalty of the weights of image features, as in ``LogisticRegression(C=1 / (image_l2 * pictures))``; null
            chooses it by cross-validation.
        pooling: of the image tokens: their mean, or mean_max: also the greatest value of each channel.
    """

    may_differ = MethodConfig.may_differ | {"image_l2"}

    image_l2: float | None = within(None, 0, above=True)
    pooling: Pooling = "mean"


@dataclass(frozen=True)
class KnownConfig(FittedConfig):
    """Options of fitted methods that use known labels.

    Args:
        label_l2: penalty of the weights of known labels; null chooses it by cross-validation.
    """

    may_differ = FittedConfig.may_differ | {"label_l2"}

    label_l2: float | None = within(None, 0, above=True)


def log_loss(logits: Float[Tensor, "N L"], positive: Bool[Tensor, "N L"], scored: Bool[Tensor, "N L"]) -> float:
    """Mean negative log-likelihood of the scored entries, in nats."""
    losses = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
    return float((losses * scored).sum() / scored.sum().clamp(min=1))


def folds_of(pictures: int, seed: int, folds: int = FOLDS) -> Int[Tensor, " N"]:
    """Number of each picture's fold, at random, of equal sizes."""
    found = torch.empty(pictures, dtype=torch.long)
    found[torch.randperm(pictures, generator=torch.Generator().manual_seed(seed_of(seed, 20)))] = torch.arange(pictures)
    return found % min(folds, pictures)


def descend(penalties: Sequence[float], loss_of: Callable[[float], float], what: str = "penalties") -> float:
    """The penalty of least loss, tried from the largest on until the loss rises.

    Args:
        what: name of the progress bar.
    """
    best, least = penalties[0], math.inf
    with bar(what, len(penalties)) as advance:
        for penalty in penalties:
            if (loss := loss_of(penalty)) > least:
                break
            best, least = penalty, loss
            advance(1)
    return best


@dataclass(frozen=True)
class ImageFit:
    """A linear layer on averaged image features.

    Args:
        weight: for features as they come.
        bias: of the labels.
        l2: its penalty.
        held_out: logits of each view of each training picture by a layer that was not fitted to the picture.
        folds: number of each training picture's fold.
        fold_weights, fold_biases: of the layer that was fitted without a fold.
    """

    weight: Float[Tensor, "L C"]
    bias: Float[Tensor, " L"]
    l2: float
    held_out: Float[Tensor, "V N L"]
    folds: Int[Tensor, " N"]
    fold_weights: Float[Tensor, "F L C"]
    fold_biases: Float[Tensor, "F L"]


def fit_images(table: FeatureTable, l2: float | None = None, folds: int = FOLDS) -> ImageFit:
    """Logistic regression of every label on standardised features, over all views, and held-out logits by folds.

    Without ``l2``, the penalty is that of least log-loss on two of the folds, with the first view alone, for time.
    """
    views, pictures, _ = table.views.shape
    fold_of = folds_of(pictures, table.seed, folds)
    standardise = Standardise.of(table.views.flatten(0, 1))
    inputs = standardise(table.views)
    values, basis = principal_axes(inputs.flatten(0, 1))  # along others no input differs, and weights are 0 at any penalty
    inputs = inputs @ basis  # orthonormal, so the penalty is the same
    positive, scored = table.positive, table.annotated

    def fit(
        rows: Bool[Tensor, " N"], l2: float, start: Tensor | None = None, used: int = views, tolerance: float = TOLERANCE
    ) -> Tensor:
        first = int((values < NEGLIGIBLE * l2).sum())
        found = fit_logistic(
            inputs[:used, rows, first:].flatten(0, 1),
            positive[rows].repeat(used, 1),
            scored[rows].repeat(used, 1),
            l2,
            start=None if start is None else start[first:],
            covariance=Covariance(values[first:]),
            tolerance=tolerance,
        )
        return torch.cat([found.new_zeros(first, found.shape[1]), found])

    if l2 is None:
        points: dict[int, Tensor] = {}

        def loss_of(l2: float) -> float:
            total = 0.0
            for fold in range(min(2, pictures)):
                held = fold_of == fold
                points[fold] = fit(~held, l2, points.get(fold), used=1, tolerance=SEARCH)
                total += log_loss(linear_logits(inputs[0, held], points[fold]), positive[held], scored[held])
            return total

        l2 = descend(IMAGE_L2, loss_of, "penalties of image weights")

    def layer(point: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias for features as they come."""
        return standardise.fold((basis @ point[:-2]).T, point[-1])

    held_out = torch.zeros(views, pictures, table.truth.shape[1])
    layers: list[tuple[Tensor, Tensor]] = []
    count = int(fold_of.max()) + 1
    with bar("fits of image weights", count + 1) as advance:
        weight, bias = layer(fit(torch.ones_like(fold_of, dtype=torch.bool), l2))
        advance(1)
        for fold in range(count):
            held = fold_of == fold
            found = fit(~held, l2)  # from the start: another fit has seen these pictures
            held_out[:, held] = torch.stack([linear_logits(view[held], found) for view in inputs])
            layers.append(layer(found))
            advance(1)
    fold_weights, fold_biases = (torch.stack(part) for part in zip(*layers, strict=True))
    return ImageFit(weight, bias, l2, held_out, fold_of, fold_weights, fold_biases)


class FittedMethod(Method):
    """Base class of methods with a linear layer on averaged features of a frozen backbone, fitted without epochs."""

    fits_features = True
    needs_epochs = False
    label_parameters = frozenset({"weight", "bias"})
    weight: Tensor
    bias: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: FittedConfig) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        self.register_buffer("weight", torch.zeros(len(labels), pooled_width(backbone.channels, config.pooling)))
        self.register_buffer("bias", torch.zeros(len(labels)))

    def pooled(self, features: Features) -> Float[Tensor, "B C"]:
        """The linear layer's input."""
        return pool(features.tokens.to(self.weight.dtype), self.config.pooling)

    def image_logits(self, features: Features) -> Float[Tensor, "B L"]:
        """Logits of the linear layer."""
        return F.linear(self.pooled(features), self.weight, self.bias)

    def fit_images(self, table: FeatureTable) -> ImageFit:
        """Fit the linear layer and write its buffers."""
        found = fit_images(table, self.config.image_l2)
        self.weight.copy_(found.weight)
        self.bias.copy_(found.bias)
        return found


class KnownLabelsMethod(FittedMethod):
    """Base class of fitted methods whose logits are linear in inputs made of image logits and known labels.

    A method gives :meth:`inputs`, and says which weights stay 0 and whether the image logit of a label is added to its own.
    """

    statistics = frozenset({"point", "prevalence"})
    label_equivariant = False  # label masks are drawn by position
    own_logit = True
    """Whether the image logit of a label is added, with a fitted scale."""
    config: KnownConfig
    point: Tensor
    prevalence: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: KnownConfig, *, inputs: int) -> None:
        super().__init__(backbone, labels, config)
        self.implied = labels.implied
        self.register_buffer("prevalence", torch.full((len(labels),), 0.5))
        self.register_buffer("point", torch.zeros(inputs + 2, len(labels)))

    def inputs(self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R D"]:
        """Inputs that all labels share, from image logits and states."""
        raise NotImplementedError

    def blocked(self) -> Bool[Tensor, "D L"]:
        """Weights that stay 0: by default those of a label's own inputs, in each block of one input a label."""
        labels = self.point.shape[1]
        return torch.eye(labels, dtype=torch.bool).repeat((len(self.point) - 2) // labels, 1)

    def fit_features(self, table: FeatureTable) -> str:
        """Fit the linear layer, then the weights of known labels to held-out image logits and random label masks."""
        images, _, l2 = self.fit_both(table)
        return f"penalty of image weights {images.l2:g}, of known labels {l2:g}"

    def fit_both(self, table: FeatureTable) -> tuple[ImageFit, "MaskedRows", float]:
        """Fit; returns the linear layers, the rows of the second fit, and its penalty."""
        images = self.fit_images(table)
        self.prevalence.copy_(table.prevalence)
        rows = MaskedRows(self, images, table)
        l2 = self.config.label_l2
        l2 = descend(LABEL_L2, rows.held_out_loss, "penalties of known labels") if l2 is None else l2
        self.point.copy_(rows.fit(l2))
        self.finish_fit()
        return images, rows, l2

    def finish_fit(self) -> None:
        """Called after the fit; nothing by default."""

    def prepare(self, features: Features) -> Features:
        """The features with image logits."""
        return features if features.image_cache is not None else replace(features, image_cache=self.image_part(features))

    def image_part(self, features: Features) -> dict[str, Tensor]:
        """What :meth:`prepare` computes of an image."""
        return {"logits": self.image_logits(features)}

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits of all labels."""
        return self.known_logits(*self.image_rows(self.prepare(features), states))

    def image_rows(self, features: Features, states: Int[Tensor, "R L"]) -> tuple[Float[Tensor, "R L"], Int[Tensor, "R L"]]:
        """Image logits of prepared features for each row of states, and these."""
        features.rows_each(states)  # raises if the images do not divide the rows
        assert features.image_cache is not None
        return repeat_rows(features.image_cache["logits"], states.shape[0]), states

    def known_logits(self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        """Logits of all labels from image logits and states."""
        return linear_logits(self.inputs(logits, states), self.point, logits)

    def parts(self, features: Features, states: Int[Tensor, "R L"]) -> dict[str, Float[Tensor, "R L"]]:
        """The linear layer alone."""
        return {"linear": self.image_rows(self.prepare(features), states)[0]}


class MaskedRows:
    """Random label masks of the training pictures, and fits to them.

    No label's own state is among its inputs (:meth:`KnownLabelsMethod.blocked`), so known entries are scored like unknown ones:
    many more entries for each mask. Not so labels with implications, whose states make others known.
    """

    def __init__(self, method: KnownLabelsMethod, images: ImageFit, table: FeatureTable) -> None:
        self.method, logits = method, images.held_out
        views, pictures, _ = logits.shape
        draws = max(views, min(DRAWS[1], max(DRAWS[0], MOST_ROWS // pictures)))
        generator = torch.Generator().manual_seed(seed_of(table.seed, 21))
        drawn = [
            label_mask_training(table.truth, unknown_share=(0.0, 1.0), all_unknown=0.15, generator=generator)
            for _ in range(draws)
        ]
        states = propagate_implications(torch.cat(drawn), method.implied)
        repeated = torch.cat([logits[draw % views] for draw in range(draws)])
        self.inputs = method.inputs(repeated, states)
        self.own = repeated if method.own_logit else None
        self.positive, self.scored = table.positive.repeat(draws, 1), table.annotated.repeat(draws, 1)
        related = method.implied.unique()
        self.scored[:, related] = scored_mask(table.truth.repeat(draws, 1), states)[:, related]
        self.folds, self.pictures = images.folds.repeat(draws), pictures
        self.searched = torch.arange(draws * pictures) < max(DRAWS[0], views) * pictures
        self.covariance = Covariance.of(self.inputs)
        self.points: dict[int, Tensor] = {}

    def fit(self, l2: float, fold: int = -1, *, search: bool = False) -> Float[Tensor, "D2 L"]:
        """Fit to all pictures but those of one fold (-1: to all), starting from the fit before.

        Args:
            search: less exactly, on a part of the masks, to compare penalties.
        """
        rows = self.folds != fold
        rows = rows & self.searched if search else rows
        self.points[fold] = fit_logistic(
            self.inputs[rows],
            self.positive[rows],
            self.scored[rows],
            l2,
            own=self._own(rows),
            scale_l2=SCALE / self.pictures,
            blocked=self.method.blocked(),
            start=self.points.get(fold),
            covariance=self.covariance,
            tolerance=SEARCH if search else TOLERANCE,
        )
        return self.points[fold]

    def _own(self, rows: Bool[Tensor, " R"]) -> Float[Tensor, "S L"] | None:
        return None if self.own is None else self.own[rows]

    def held_out_loss(self, l2: float) -> float:
        """Log-loss on two folds, each by a fit to the others."""
        total = 0.0
        for fold in range(2):
            rows = (self.folds == fold) & self.searched
            logits = linear_logits(self.inputs[rows], self.fit(l2, fold, search=True), self._own(rows))
            total += log_loss(logits, self.positive[rows], self.scored[rows])
        return total / 2
