"""From a picture and its known labels to a prediction, with any kind of model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

from jaxtyping import UInt8
from torch import Tensor

from ctran.constraints.decode import Threshold
from ctran.errors import UserError
from ctran.images.inputs import label_of
from ctran.images.reading import BrokenImageError, Source, held, open_pixels
from ctran.images.truncated import Truncated
from ctran.inference.encoded import EncodedPredictor
from ctran.inference.heatmap import Picture
from ctran.inference.many import BATCH, Errors, PictureReader, predict_many
from ctran.inference.prediction import Prediction
from ctran.inference.session import Session
from ctran.known import Known
from ctran.model.fast import fast


class Predictor(EncodedPredictor):
    """A model in use, with its labels and its preprocessing.

    Args:
        model: the two calls of :class:`~ctran.model.Method`; put into evaluation mode.
        calibration: temperatures and thresholds (``ctran calibrate``); None takes logits as they are, and one half.
    """

    folder: Path | None = None
    """Where the model was read from."""

    @property
    def kind(self) -> str:
        """Class name of the model."""
        return type(self.model).__name__

    def __repr__(self) -> str:
        where = f"read from {self.folder}" if self.folder is not None else "not read from a folder"
        size = f"{self.preprocessing.size} x {self.preprocessing.size} pixels"
        return f"<{type(self).__name__}: {self.kind}, {len(self.labels)} labels, {size}, {where}>"

    def fast(self) -> "Predictor":
        """A copy that predicts faster, in bfloat16 (:func:`ctran.model.fast.fast`); logits differ by rounding."""
        return Predictor(fast(self.model), self.labels, self.preprocessing, self.calibration)

    def predict(self, image: Source, known: Known | None = None, *, threshold: Threshold = None) -> Prediction:
        """Labels of one picture, given its known labels.

        Args:
            image: a path, the bytes of a file, an open file, a Pillow image, an array or a tensor; see
                :data:`~ctran.images.inputs.Source`.
            known: label name -> present or absent; labels not named are predicted.
            threshold: probability from which on a label is present, one for all labels or some by name; labels without one
                take the model's own threshold (fitted by ``ctran calibrate``), or else one half, as in the paper.

        Raises:
            BrokenImageError: the picture cannot be read.
            UnknownLabelError: a name in ``known`` that the model does not have; the message suggests the nearest.
            ValueError: ``known`` contradicts an exclusive group or an implication.
        """
        return self.predict_all([image], known, threshold=threshold)[0]

    @overload
    def predict_all(
        self,
        images: Iterable[Source],
        known: Known | None = None,
        *,
        threshold: Threshold = None,
        batch_size: int = BATCH,
        errors: Literal["raise"] = "raise",
    ) -> list[Prediction]: ...

    @overload
    def predict_all(
        self,
        images: Iterable[Source],
        known: Known | None = None,
        *,
        threshold: Threshold = None,
        batch_size: int = BATCH,
        errors: Literal["return"],
    ) -> list[Prediction | BrokenImageError]: ...

    def predict_all(
        self,
        images: Iterable[Source],
        known: Known | None = None,
        *,
        threshold: Threshold = None,
        batch_size: int = BATCH,
        errors: Errors = "raise",
    ) -> Sequence[Prediction | BrokenImageError]:
        """:meth:`predict` for any number of pictures with the same known labels; in their order.

        Args:
            images: any iterable; from a generator at most ``batch_size`` pictures are taken at a time.
            known, threshold: as for :meth:`predict`.
            batch_size: pictures in one batch; memory use grows with it, and not with the number of pictures.
            errors: ``raise`` stops at the first picture that cannot be read; ``return`` puts the
                :class:`~ctran.images.reading.BrokenImageError` of a picture in the place of its prediction, and the others
                are predicted.

        Raises:
            BrokenImageError: a picture cannot be read, with ``errors="raise"``.
            UserError: as for :meth:`predict`; a ``batch_size`` below 1, or another value of ``errors``.
        """
        found = self.predict_many(images, known, threshold=threshold, batch_size=batch_size, errors=errors)
        return list(found)  # pyright: ignore[reportReturnType]  (with the same known labels only pictures can be wrong)

    def predict_many(
        self,
        images: Iterable[Source],
        known: Known | Iterable[Known | None] | None = None,
        *,
        threshold: Threshold = None,
        batch_size: int = BATCH,
        errors: Errors = "return",
        truncated: Truncated = "refuse",
        white: float | None = None,
    ) -> Iterator[Prediction | UserError]:
        """:meth:`predict` for any number of pictures, each with its known labels; each prediction as soon as its batch is done.

        Memory use is that of one batch. Arguments are checked at once, before the first picture is taken. Of a whole
        collection on disk, or on several machines: :mod:`ctran.collection`.

        Args:
            images: any iterable of what :meth:`predict` takes; at most ``batch_size`` pictures are taken at a time. Addresses
                are refused: download the picture and give its path or bytes, or name it in the input of ``ctran predict``.
            known: the same known labels for all, or an iterable with those of each picture (None: nothing).
            threshold: as for :meth:`predict`.
            batch_size: pictures in one batch.
            errors: ``return`` gives, in the place of a prediction, the :class:`~ctran.errors.UserError` of a picture that
                cannot be read, or whose known labels are unknown or contradict each other; ``raise`` stops at the first.
            truncated, white: as for :func:`ctran.images.reading.open_image`.
        """
        reader = PictureReader(self.preprocessing, truncated, white)
        return predict_many(self, images, known, threshold, batch_size, errors, reader)

    def session(self, image: Source, *, resume: Mapping[str, Any] | None = None) -> Session:
        """A session about one picture: it is encoded once, then each query costs one ``predict_labels``.

        Args:
            image: as for :meth:`predict`.
            resume: :meth:`Session.as_dict` of an earlier session about the same picture.

        Raises:
            BrokenImageError: the picture cannot be read.
            ValueError: ``resume`` is of another picture, or of another format.
        """
        name, image = label_of(image, None), held(image)
        return self.session_of(self.square(image, name=name), picture=partial(open_pixels, image, name=name), resume=resume)

    def session_of(
        self, square: UInt8[Tensor, "S S 3"], *, picture: Picture | None = None, resume: Mapping[str, Any] | None = None
    ) -> Session:
        """:meth:`session` for the output of :meth:`square`; ``picture`` opens the picture again, for detail in heat maps."""
        return Session(self, self.encode_images(square[None]), square, picture=picture, resume=resume)

    def square(
        self,
        image: Source,
        *,
        name: str | None = None,
        max_pixels: int | None = None,
        truncated: Truncated = "refuse",
        white: float | None = None,
    ) -> UInt8[Tensor, "S S 3"]:
        """The pixels of a picture as model input; arguments as of :func:`ctran.images.reading.open_pixels`.

        Raises:
            BrokenImageError: the picture cannot be read.
        """
        return PictureReader(self.preprocessing, truncated, white).square(image, name=name, max_pixels=max_pixels)
