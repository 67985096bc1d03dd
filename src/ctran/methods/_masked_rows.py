"""The rows to which the weights of known labels are fitted: training pictures under random label masks."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ctran.constraints.implications import propagate_implications
from ctran.data.feature_table import FeatureTable
from ctran.data.loading import seed_of
from ctran.masking import label_mask_training, scored_mask
from ctran.methods._image_fit import SEARCH, ImageFit, compared_labels, log_loss
from ctran.methods._logistic import TOLERANCE, Covariance, fit_logistic, linear_logits, start_point

if TYPE_CHECKING:
    from ctran.methods._fitted import KnownLabelsMethod

SCALE = 100.0
"""How strongly the scale of a label's own image logit is kept at 1: a standard deviation of one tenth, as a prior, beside the
scale that all labels share. A freer scale follows the chances of a handful of held-out positives."""
MOST_ROWS = 16_000
"""Rows of states, over all pictures, to which the weights of known labels are fitted; more if four draws a picture are."""
DRAWS = 4, 16
"""Least and greatest number of label masks drawn for each picture."""


@dataclass(frozen=True)
class LabelFit:
    """How weights of known labels are fitted.

    Args:
        l2: their penalty.
        image_free: share, in a weighted mean, of the weights that a fit without the image finds.
    """

    l2: float
    image_free: float = 0.0


class MaskedRows:
    """Random label masks of the training pictures, and fits to them.

    No label's own state is among its inputs (:meth:`KnownLabelsMethod.blocked`), so known entries are scored like unknown ones:
    many more entries for each mask. Not so labels with implications, whose states make others known.
    """

    def __init__(self, method: "KnownLabelsMethod", images: ImageFit, table: FeatureTable) -> None:
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
        self.scored[:, related] = scored_mask(table.target.repeat(draws, 1), states)[:, related]
        self.folds, self.pictures = images.folds.repeat(draws), pictures
        self.searched = torch.arange(draws * pictures) < max(DRAWS[0], views) * pictures
        self.compared = compared_labels(self.positive.shape[1], table.seed)
        self.points: dict[tuple[bool, int], Tensor] = {}

    @cached_property
    def covariance(self) -> Covariance:
        """Of all inputs."""
        return Covariance.of(self.inputs)

    @cached_property
    def known_covariance(self) -> Covariance:
        """Of the inputs that are known labels."""
        return Covariance.of(self.inputs[:, : self.method.known_inputs])

    def fit(self, how: LabelFit, fold: int = -1, *, search: bool = False) -> Float[Tensor, "D2 L"]:
        """Fit to all pictures but those of one fold (-1: to all), starting from the fit before.

        Args:
            search: less exactly, on a part of the masks, and of the labels that are compared alone, to compare penalties.
        """
        found = self._fit(how.l2, fold, image_free=False, search=search)
        if not how.image_free:
            return found
        known = self._fit(how.l2, fold, image_free=True, search=search)[:-2]
        other = torch.zeros_like(found)
        other[: len(known)], other[-2] = known, 1  # beside the image logit, which takes the place of its bias
        return torch.lerp(found, other, how.image_free)

    def _fit(self, l2: float, fold: int, *, image_free: bool, search: bool) -> Float[Tensor, "D2 L"]:
        """One of the two fits."""
        rows = self.folds != fold
        rows = rows & self.searched if search else rows
        inputs = self.method.known_inputs if image_free else self.inputs.shape[1]
        labels = self.compared if search else torch.arange(self.positive.shape[1])
        own = None if image_free or self.own is None else self.own[rows][:, labels]
        point = self.points.setdefault((image_free, fold), start_point(inputs, self.positive.shape[1], self.inputs.dtype))
        found = fit_logistic(
            self.inputs[rows, :inputs],
            self.positive[rows][:, labels],
            self.scored[rows][:, labels],
            l2,
            own=own,
            scale_l2=SCALE / self.pictures,
            blocked=self.method.blocked()[:inputs, labels],
            start=point[:, labels],
            covariance=self.known_covariance if image_free else self.covariance,
            tolerance=SEARCH if search else TOLERANCE,
        )
        self.points[image_free, fold] = point.index_copy(1, labels, found)
        return self.points[image_free, fold]

    def loss(self, point: Float[Tensor, "D2 L"], rows: Bool[Tensor, " R"] | None = None) -> float:
        """Log-loss of some rows (None: of all) and the labels that are compared, with weights that were not fitted to them."""
        rows, labels = torch.ones_like(self.searched) if rows is None else rows, self.compared
        own = None if self.own is None else self.own[rows][:, labels]
        logits = linear_logits(self.inputs[rows], point[:, labels], own)
        return log_loss(logits, self.positive[rows][:, labels], self.scored[rows][:, labels])

    def held_out_loss(self, how: LabelFit) -> float:
        """Log-loss on two folds, each by a fit to the others."""
        return sum(self.loss(self.fit(how, f, search=True), (self.folds == f) & self.searched) for f in range(2)) / 2
