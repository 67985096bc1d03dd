"""What a model computes of encoded pictures: from features and known labels to predictions, with any kind of model."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from ctran.constraints import implications
from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder, Threshold
from ctran.errors import UserError, UserTypeError
from ctran.images.transforms import Preprocessing
from ctran.inference import heatmap
from ctran.inference.prediction import Prediction
from ctran.labels import LabelSpace
from ctran.model import Features, Method

P = ParamSpec("P")
R = TypeVar("R")


def _without_gradients(
    call: Callable[Concatenate["EncodedPredictor", P], R],
) -> Callable[Concatenate["EncodedPredictor", P], R]:
    """Decorator: run a method of a predictor in its model's :meth:`~ctran.model.Method.without_gradients`."""

    @wraps(call)
    def run(self: "EncodedPredictor", *args: P.args, **options: P.kwargs) -> R:
        with self.model.without_gradients():
            return call(self, *args, **options)

    return run


class EncodedPredictor:
    """A model in use on encoded pictures, with its labels and its preprocessing; it opens no picture.

    Args:
        model: the two calls of :class:`~ctran.model.Method`; put into evaluation mode.
        calibration: temperatures and thresholds (``ctran calibrate``); None takes logits as they are, and one half.
    """

    def __init__(
        self, model: Method, labels: LabelSpace, preprocessing: Preprocessing, calibration: Calibration | None = None
    ) -> None:
        self.model = model.eval()
        self.labels, self.preprocessing, self.calibration = labels, preprocessing, calibration

    @property
    def decoder(self) -> Decoder:
        """Converts the model's logits to probabilities and labels."""
        return Decoder(self.labels, self.calibration)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))  # an exported model has none

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
        logits = self.model.predict_labels(features, self._filled(states)).float()
        return self.decoder.probabilities(logits, states.to(self.device)).cpu()

    @_without_gradients
    def attention(self, features: Features, states: Int[Tensor, " L"]) -> Float[Tensor, "layers N N"]:
        """Attention of each token (row) to each token, image tokens first: mean over the heads, layer by layer.

        Raises:
            TypeError: the model has no attention to a picture.
        """
        if not self.shows_attention:
            raise UserTypeError("this model has no attention to the picture: train with method ctran, and not without image")
        layers = self.model.attention(features, self._filled(states[None]))
        return torch.stack([layer[0].mean(dim=0) for layer in layers]).float().cpu()

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
        chosen = self.model.decode(features, self._filled(states))
        return None if chosen is None else chosen.cpu()

    def predictions(
        self, features: Features, known: Sequence[Mapping[str, bool]], *, threshold: Threshold = None
    ) -> list[Prediction]:
        """Predictions for encoded pictures.

        Args:
            features: of ``B`` pictures.
            known: known labels of each row, ``R / B`` rows for each picture in turn.
            threshold: as of :meth:`ctran.inference.predictor.Predictor.predict`.
        """
        if not known:
            return []
        rows, present = self.decided(features, known, threshold=threshold)
        return [self.named(*each) for each in zip(rows, present, known, strict=True)]

    def decided(
        self, features: Features, known: Sequence[Mapping[str, bool]], *, threshold: Threshold = None
    ) -> tuple[Float[Tensor, "R L"], Bool[Tensor, "R L"]]:
        """Probability of each label and whether it is present: the one place where logits, and what a method chooses, become
        labels; arguments as of :meth:`predictions`, with at least one row."""
        states = torch.stack([self.labels.states(each) for each in known])
        rows, chosen = self.marginals(features, states), self.choose(features, states)
        return rows, self.decoder.labels(rows, states, threshold=threshold, chosen=chosen)

    def named(
        self, row: Float[Tensor, " L"], present: Bool[Tensor, " L"], known: Mapping[str, bool], *, top: int | None = None
    ) -> Prediction:
        """One row of :meth:`decided` by name.

        Args:
            top: probabilities of labels that are present and of so many of the most probable ones alone; None keeps all.
        """
        unknown, names = self.labels.targets.clone(), self.labels.names
        for name in known:
            unknown[self.labels.index_of[name]] = False
        order = row.argsort(descending=True, stable=True)
        order = order[unknown[order]]
        if top is not None:
            order = order[(torch.arange(len(order)) < top) | present[order]]
        probabilities = {names[i]: p for i, p in zip(order.tolist(), row[order].tolist(), strict=True)}
        labels = [name for name, given in known.items() if given] + [names[i] for i in order[present[order]].tolist()]
        return Prediction(probabilities, dict(known), labels)

    def _filled(self, states: Int[Tensor, "R L"]) -> Int[Tensor, "R L"]:
        """Known labels and those that follow from them, on the model's device."""
        return implications.propagate_implications(states, self.labels.implied).to(self.device)
