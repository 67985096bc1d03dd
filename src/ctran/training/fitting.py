"""Methods that are fitted to stored image features in one step."""

import math
import sys
import time

from ctran.data.feature_cache import FeatureCache
from ctran.data.feature_table import FeatureTable
from ctran.data.truth import SparseTruth
from ctran.errors import UserError
from ctran.model import Method
from ctran.progress import bar, duration
from ctran.training.recipe import Recipe


def check_fitting(recipe: Recipe, model: Method) -> None:
    """Refuse epochs for a method that is fitted in one step, no epochs for others, and a fit without stored features."""
    options, name = recipe.training, recipe.method
    if options.epochs and not model.needs_epochs:
        raise UserError(f"training.epochs: method {name!r} is fitted in one step, without epochs: set it to 0")
    if not options.epochs and model.needs_epochs and options.init_from is None:
        raise UserError(f"training.epochs: method {name!r} is trained in epochs: set it to 1 or more, or training.init_from")
    if model.fits_features and not options.feature_views:
        raise UserError(
            f"training.feature_views: method {name!r} is fitted to stored image features: set it to 1 or more, and "
            "training.backbone_learning_rate to 0"
        )


def fit_features(
    model: Method, cache: FeatureCache, truth: SparseTruth, seed: int, *, quiet: bool, assumed: SparseTruth | None = None
) -> float:
    """Fit a method to pooled image features of a cache; prints what was chosen on stderr, unless ``quiet``.

    Args:
        assumed: what is fitted to, where that is more than ``truth`` (:attr:`ctran.data.table.SampleTable.assumed`).

    Returns:
        Seconds of the fit.
    """
    with bar("reading image features", math.prod(cache.rows)) as advance:
        table = FeatureTable.of(cache, truth, seed, model.pooled, advance, assumed=assumed)
    started = time.monotonic()
    chosen = model.fit_features(table)
    spent = time.monotonic() - started
    if not quiet:
        print(f"fitted to {len(truth):,} pictures in {duration(spent)}: {chosen}", file=sys.stderr)
    return spent
