"""Predictions of any number of pictures, in batches: memory use does not grow, and a broken picture does not affect others."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ctran.constraints.decode import Threshold
from ctran.errors import UserError, UserTypeError
from ctran.images.reading import BrokenImageError, Source
from ctran.images.truncated import Truncated
from ctran.inference.prediction import Prediction
from ctran.labels import Known, booleans

if TYPE_CHECKING:
    from ctran.inference.predictor import Predictor

BATCH = 16
"""Pictures in one batch: more are not faster on a CPU, and take more memory."""

Errors = Literal["raise", "return"]


def predict_each(
    predictor: "Predictor",
    images: Iterable[Source],
    known: Known | None,
    threshold: Threshold,
    batch_size: int,
    errors: Errors,
    truncated: Truncated = "refuse",
    white: float | None = None,
) -> Iterator[Prediction | BrokenImageError]:
    """As :meth:`ctran.inference.predictor.Predictor.predict_each`; arguments are checked before the first picture is taken."""
    if isinstance(images, str | bytes | Path):
        raise UserTypeError(f"images: expected several pictures, got {shorten(repr(images), 80)}; predict takes one")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size: expected a whole number from 1 on, got {batch_size!r}")
    if errors not in ("raise", "return"):
        raise UserError(f"errors: expected 'raise' or 'return', got {errors!r}")
    known = booleans(known or {})
    predictor.labels.states(known)  # refuses wrong ones
    predictor.decoder.thresholds(threshold)  # refuses a wrong one

    def batches() -> Iterator[Prediction | BrokenImageError]:
        rest = iter(images)
        while some := list(islice(rest, batch_size)):
            squares, broken = list[Tensor](), dict[int, BrokenImageError]()
            for place, image in enumerate(some):
                try:
                    squares.append(predictor.square(image, truncated=truncated, white=white))
                except BrokenImageError as error:
                    if errors == "raise":
                        raise
                    broken[place] = error
            found: Iterator[Prediction] = iter(())
            if squares:
                features = predictor.encode_images(torch.stack(squares))
                found = iter(predictor.predictions(features, [known] * len(squares), threshold=threshold))
            for place in range(len(some)):
                yield broken[place] if place in broken else next(found)

    return batches()
