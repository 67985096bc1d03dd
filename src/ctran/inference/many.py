"""Predictions of any number of pictures, in batches: memory use does not grow, and a broken picture does not affect others."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from ctran.constraints.decode import Threshold
from ctran.errors import UserError, UserTypeError
from ctran.images.reading import Source, open_pixels
from ctran.images.transforms import Preprocessing
from ctran.images.truncated import Truncated
from ctran.inference.prediction import Prediction
from ctran.known import Known, booleans
from ctran.labels import LabelSpace

if TYPE_CHECKING:
    from ctran.inference.predictor import Predictor

Item = TypeVar("Item")
BATCH = 16
"""Pictures in one batch: more are not faster on a CPU, and take more memory."""

Errors = Literal["raise", "return"]


@dataclass(frozen=True)
class PictureReader:
    """From pictures to squares; small, so that it can be sent to processes that decode.

    Args:
        preprocessing: of the model.
        truncated, white: as of :func:`ctran.images.reading.open_pixels`.
    """

    preprocessing: Preprocessing
    truncated: Truncated = "refuse"
    white: float | None = None

    def square(self, image: Source, *, name: str | None = None, max_pixels: int | None = None) -> UInt8[Tensor, "S S 3"]:
        """One picture; :class:`~ctran.images.reading.BrokenImageError` where it cannot be read."""
        opened = open_pixels(image, name=name, max_pixels=max_pixels, truncated=self.truncated, white=self.white)
        return self.preprocessing.pixels(opened)


def predict_many(
    predictor: "Predictor",
    images: Iterable[Source],
    known: Known | Iterable[Known | None] | None,
    threshold: Threshold,
    batch_size: int,
    errors: Errors,
    reader: PictureReader,
) -> Iterator[Prediction | UserError]:
    """As :meth:`ctran.inference.predictor.Predictor.predict_many`; arguments are checked before the first picture is taken."""
    if isinstance(images, str | bytes | Path):
        raise UserTypeError(f"images: expected several pictures, got {shorten(repr(images), 80)}; predict takes one")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size: expected a whole number from 1 on, got {batch_size!r}")
    if errors not in ("raise", "return"):
        raise UserError(f"errors: expected 'raise' or 'return', got {errors!r}")
    if known is None or isinstance(known, Mapping):
        pairs = zip(images, repeat(checked(known, predictor.labels)))
    else:
        pairs = _paired(images, known)
    predictor.decoder.thresholds(threshold)  # refuses a wrong one

    def batches() -> Iterator[Prediction | UserError]:
        for some in chunks(pairs, batch_size):
            squares, given, wrong = list[Tensor](), list[dict[str, bool]](), dict[int, UserError]()
            for place, (image, each) in enumerate(some):
                try:
                    labels = checked(each, predictor.labels)
                    squares.append(reader.square(image))
                    given.append(labels)
                except UserError as error:
                    if errors == "raise":
                        raise
                    wrong[place] = error
            found: Iterator[Prediction] = iter(())
            if squares:
                features = predictor.encode_images(torch.stack(squares))
                found = iter(predictor.predictions(features, given, threshold=threshold))
            for place in range(len(some)):
                yield wrong[place] if place in wrong else next(found)

    return batches()


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` items, the last perhaps shorter."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def checked(known: object, labels: LabelSpace) -> dict[str, bool]:
    """Known labels as plain booleans.

    Raises:
        UserError: not names with booleans, a name that is no label, or labels that contradict each other.
    """
    if known is not None and not isinstance(known, Mapping):
        raise UserTypeError(f"known: expected label names with True or False, got {known!r}")
    given = booleans(known or {})
    labels.states(given)
    return given


def _paired(images: Iterable[Source], known: Iterable[Known | None]) -> Iterator[tuple[Source, Known | None]]:
    """Each picture with its known labels."""
    more, end = iter(known), object()
    count = 0
    for count, image in enumerate(images, start=1):
        if (each := next(more, end)) is end:
            raise UserError(f"known: expected one mapping a picture, got {count - 1} for more pictures; None knows nothing")
        yield image, each  # pyright: ignore[reportReturnType]
    if next(more, end) is not end:
        raise UserError(f"known: expected one mapping a picture, got more than the {count} pictures")
