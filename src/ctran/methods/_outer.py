"""How weights of known labels are fitted: chosen on pictures that no part of a fit has seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jaxtyping import Bool, Int
from torch import Tensor

from ctran.data.feature_table import FeatureTable
from ctran.methods._duplicates import folds_of
from ctran.methods._image_fit import ImageFit, Inputs, descend, fit_images, groups_of
from ctran.methods._masked_rows import LabelFit, MaskedRows

if TYPE_CHECKING:
    from ctran.methods._fitted import KnownLabelsMethod

OUTER = 5
"""Parts of the pictures, of which the first two are held out, one after the other."""
FOLDS = 3
"""Parts of the others, without each of which image logits are fitted."""
LABEL_L2 = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
"""Penalties that are tried for the weights of known labels."""
IMAGE_FREE = (0.0, 0.25, 0.5)
"""Shares of the fit without the image that are tried."""


@dataclass(frozen=True)
class OuterFit:
    """Fits to all training pictures but those of one fold.

    Args:
        held: pictures of this fold.
        images: linear layers that were fitted to the other pictures, and to two thirds of them each.
        rows: the other pictures, under label masks.
        held_rows: those of the fold, with image logits of the layer that was fitted to all others.
    """

    held: Bool[Tensor, " N"]
    images: ImageFit
    rows: MaskedRows
    held_rows: MaskedRows

    def loss(self, how: LabelFit) -> float:
        """Log-loss of the fold, with weights of known labels that were fitted to the other pictures."""
        return self.held_rows.loss(self.rows.fit(how, search=True))


def outer_folds(table: FeatureTable) -> Int[Tensor, " N"]:
    """Number of each training picture's fold."""
    return folds_of(groups_of(table), table.seed, OUTER)


def outer_fits(
    model: "KnownLabelsMethod", table: FeatureTable, given: Inputs | None, image_l2: float, count: int = 2
) -> list[OuterFit]:
    """The fits without each of the first folds, to the first view; none where no picture would be left.

    Args:
        table, given: of :meth:`ctran.methods._fitted.FittedMethod.input_table`.
        image_l2: penalty of image weights.
        count: number of folds.
    """
    folds, found = outer_folds(table), list[OuterFit]()
    for fold in range(count):
        held = folds == fold
        if held.all() or not held.any():
            continue
        others, own = table.select(~held, views=1), table.select(held, views=1)
        images = fit_images(others, image_l2, FOLDS, given)
        logits = own.views @ images.weight.T + images.bias
        unseen = replace(images, held_out=logits, folds=folds[held])
        found.append(OuterFit(held, images, MaskedRows(model, images, others), MaskedRows(model, unseen, own)))
    return found


def mean_loss(fits: Sequence[OuterFit]) -> Callable[[LabelFit], float]:
    """Mean log-loss of the held-out folds; 0 where there is none."""
    return lambda how: sum(fit.loss(how) for fit in fits) / max(len(fits), 1)


def choose(loss_of: Callable[[LabelFit], float], l2: float | None, image_free: float | None) -> LabelFit:
    """The fit of least loss; None of an argument is chosen.

    Penalties are tried from the largest on until the loss rises, each with every share of the fit without the image.
    """
    if l2 is not None and image_free is not None:
        return LabelFit(l2, image_free)
    shares = IMAGE_FREE if image_free is None else (image_free,)
    best: dict[float, float] = {}

    def least(penalty: float) -> float:
        losses = {share: loss_of(LabelFit(penalty, share)) for share in shares}
        best[penalty] = min(losses, key=lambda share: losses[share])
        return losses[best[penalty]]

    penalty = descend(LABEL_L2 if l2 is None else (l2,), least, "penalties of known labels")
    return LabelFit(penalty, best[penalty])
