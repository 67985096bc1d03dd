"""From a picture and its known labels to a prediction, with any kind of model."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from ctran.constraints import implications
from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder, Threshold
from ctran.errors import UserError, UserTypeError
from ctran.images.inputs import label_of
from ctran.images.reading import BrokenImageError, Source, held, open_pixels
from ctran.images.transforms import Preprocessing
from ctran.images.truncated import Truncated
from ctran.inference import heatmap
from ctran.inference.heatmap import Picture
from ctran.inference.many import BATCH, Errors, predict_each
from ctran.inference.prediction import Prediction
from ctran.inference.session import Session
from ctran.labels import Known, LabelSpace
from ctran.model import Features, Method
from ctran.model.fast import fast

P = ParamSpec("P")
R = TypeVar("R")


def _without_gradients(call: Callable[Concatenate["Predictor", P], R]) -> Callable[Concatenate["Predictor", P], R]:
    """Decorator: run a method of a predictor in its model's :meth:`~ctran.model.Method.without_gradients`."""

    @wraps(call)
    def run(self: "Predictor", *args: P.args, **options: P.kwargs) -> R:
        with self.model.without_gradients():
            return call(self, *args, **options)

    return run


class Predictor:
    """A model in use, with its labels and its preprocessing.

    Args:
        model: the two calls of :class:`~ctran.model.Method`; put into evaluation mode.
        calibration: temperatures and thresholds (``ctran calibrate``); None takes logits as they are, and one half.
    """

    def __init__(
        self, model: Method, labels: LabelSpace, preprocessing: Preprocessing, calibration: Calibration | None = None
    ) -> None:
        self.model = model.eval()
        self.labels, self.preprocessing, self.calibration = labels, preprocessing, calibration

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

    @property
    def decoder(self) -> Decoder:
        """Converts the model's logits to probabilities and labels."""
        return Decoder(self.labels, self.calibration)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))  # an exported model has none

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
        return list(self.predict_each(images, known, threshold=threshold, batch_size=batch_size, errors=errors))

    def predict_each(
        self,
        images: Iterable[Source],
        known: Known | None = None,
        *,
        threshold: Threshold = None,
        batch_size: int = BATCH,
        errors: Errors = "return",
        truncated: Truncated = "refuse",
        white: float | None = None,
    ) -> Iterator[Prediction | BrokenImageError]:
        """:meth:`predict_all`, each prediction as soon as its batch is done: for more pictures than predictions fit memory.

        Arguments are checked at once, before the first picture is taken; ``truncated`` and ``white`` are those of
        :func:`ctran.images.reading.open_image`.
        """
        return predict_each(self, images, known, threshold, batch_size, errors, truncated, white)

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
        opened = open_pixels(image, name=name, max_pixels=max_pixels, truncated=truncated, white=white)
        return self.preprocessing.pixels(opened)

    @_without_gradients
    def encode_images(self, squares: UInt8[Tensor, "B S S 3"]) -> Features:
        """Encode pictures: all that the model computes from the images alone."""
        return self.model.prepare(self.model.encode_images(self.preprocessing.normalise(squares.to(self.device))))

    @_without_gradients
    def marginals(self, features: Features, states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        """Probability of each label, on the CPU; 0 or 1 for known labels and for those that follow from them.

        Args:
            features: of ``B`` pictures.
            states: :class:`~ctran.labels.LabelState` codes, ``R / B`` rows for each picture in turn.

        Raises:
            ValueError: ``states`` has another number of labels.
        """
        if states.shape[1] != len(self.labels):
            raise UserError(f"expected states of {len(self.labels)} labels, got {states.shape[1]}")
        filled = implications.propagate_implications(states, self.labels.implied).to(self.device)
        logits = self.model.predict_labels(features, filled).float()
        return self.decoder.probabilities(logits, states.to(self.device)).cpu()

    @_without_gradients
    def attention(self, features: Features, states: Int[Tensor, " L"]) -> Float[Tensor, "layers N N"]:
        """Attention of each token (row) to each token, image tokens first: mean over the heads, layer by layer.

        Raises:
            TypeError: the model has no attention to a picture.
        """
        if not self.shows_attention:
            raise UserTypeError("this model has no attention to the picture: train with method ctran, and not without image")
        filled = implications.propagate_implications(states[None], self.labels.implied).to(self.device)  # as in prediction
        return torch.stack([layer[0].mean(dim=0) for layer in self.model.attention(features, filled)]).float().cpu()

    @property
    def shows_attention(self) -> bool:
        """Whether the model has :meth:`attention`."""
        return self.model.has_attention

    def heatmap(
        self,
        square: UInt8[Tensor, "D D 3"],
        states: Int[Tensor, " L"],
        label: int,
        *,
        window: tuple[int, int] | None = None,
    ) -> Float[Tensor, "h w"]:
        """Contribution of each place of a picture to the log-odds of a label, given the other known labels.

        They sum to the log-odds of the label (after calibration, before exclusive groups) less those without a picture
        (:meth:`ctran.model.Method.contributions`). The label's own state is left out, as it is what is explained.

        Args:
            square: the picture, of any size that the backbone takes (:func:`ctran.inference.heatmap.enlarged`).
            states: :class:`~ctran.labels.LabelState` codes.
            label: index of the label.
            window: for an enlarged picture, the grid at the normal size. Contributions are then weighted by how probable the
                label is in the parts of the picture that cover a place, and no longer sum to the log-odds.

        Raises:
            UserTypeError: the model has no heat map (:attr:`shows_heatmap`).
            UserError: an extra label, which is not predicted.
        """
        if not self.shows_heatmap:
            raise UserTypeError(
                "this model has no heat map: its method cannot attribute a prediction to places of the picture, it was trained "
                "without image, or it is an export, which holds no gradients (its model folder has them)"
            )
        others = heatmap.states_for(states, label, self.labels)
        images = self.preprocessing.normalise(square[None].to(self.device))
        found = heatmap.heatmap(self.model, images, others.to(self.device), label, window)
        if self.calibration is None:
            return found
        known = states.clone()
        known[label] = 0
        return found / float(self.calibration.temperature_of(known[None])[0])

    @property
    def shows_heatmap(self) -> bool:
        """Whether the model has :meth:`heatmap`."""
        return self.model.has_contributions

    @_without_gradients
    def choose(self, features: Features, states: Int[Tensor, "R L"]) -> Bool[Tensor, "R L"] | None:
        """Label sets that the method chooses by itself (:meth:`ctran.model.Method.decode`), on the CPU; None where they follow
        from probabilities. Arguments as of :meth:`marginals`."""
        filled = implications.propagate_implications(states, self.labels.implied).to(self.device)
        chosen = self.model.decode(features, filled)
        return None if chosen is None else chosen.cpu()

    def predictions(
        self, features: Features, known: Sequence[Mapping[str, bool]], *, threshold: Threshold = None
    ) -> list[Prediction]:
        """Predictions for encoded pictures: the one place where logits, and what a method chooses, become labels.

        Args:
            features: of ``B`` pictures.
            known: known labels of each row, ``R / B`` rows for each picture in turn.
            threshold: as of :meth:`predict`.
        """
        if not known:
            return []
        states = torch.stack([self.labels.states(each) for each in known])
        rows, chosen = self.marginals(features, states), self.choose(features, states)
        present = self.decoder.labels(rows, states, threshold=threshold, chosen=chosen)
        return [self._named(*each) for each in zip(rows, present, known, strict=True)]

    def _named(self, row: Float[Tensor, " L"], present: Bool[Tensor, " L"], known: Mapping[str, bool]) -> Prediction:
        order = [i for i in row.argsort(descending=True, stable=True).tolist() if self.labels.targets[i]]
        probabilities, is_present, names = row.tolist(), present.tolist(), self.labels.names
        unknown = [i for i in order if names[i] not in known]
        labels = [name for name, given in known.items() if given] + [names[i] for i in unknown if is_present[i]]
        return Prediction({names[i]: probabilities[i] for i in unknown}, dict(known), labels)
