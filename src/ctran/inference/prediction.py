"""From a picture and what is known of it to what is predicted, whatever computes the logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from ctran.exclusive import probabilities
from ctran.images import Preprocessing, open_pixels
from ctran.labels import LabelSpace, LabelState
from ctran.model import Method
from ctran.model.fast import fast


@dataclass(frozen=True)
class Prediction:
    """Probabilities of one picture, most probable first.

    Args:
        probabilities: label name -> probability, of the labels that were not told.
        known: what was told.
        threshold: from where on a label counts as present.
        exclusive: labels of each exclusive group, of which exactly one is present.
    """

    probabilities: dict[str, float]
    known: dict[str, bool]
    threshold: float = 0.5
    exclusive: tuple[tuple[str, ...], ...] = ()

    @property
    def labels(self) -> list[str]:
        """Labels that are present: told so, of a probability of at least the threshold, or the most probable of its group."""
        told = [name for name, present in self.known.items() if present]
        chosen = {name: p >= self.threshold for name, p in self.probabilities.items()}
        for group in self.exclusive:
            open_ = [name for name in self.probabilities if name in group]  # most probable first
            best = None if set(told) & set(group) or not open_ else open_[0]
            chosen |= {name: name == best for name in open_}
        return told + [name for name, present in chosen.items() if present]

    def top(self, k: int = 5) -> dict[str, float]:
        """The ``k`` most probable labels that were not told."""
        return dict(list(self.probabilities.items())[:k])


class Predictor:
    """A model in use, with its labels and its preprocessing.

    Args:
        model: the two calls of :class:`~ctran.model.Method`; put into evaluation mode.
    """

    def __init__(self, model: Method, labels: LabelSpace, preprocessing: Preprocessing) -> None:
        self.model = model.eval()
        self.labels, self.preprocessing = labels, preprocessing

    @property
    def device(self) -> torch.device:
        """Where the model takes its images."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def fast(self) -> "Predictor":
        """A copy that predicts faster, in bfloat16 (:func:`ctran.model.fast.fast`); logits differ by rounding."""
        return Predictor(fast(self.model), self.labels, self.preprocessing)

    @torch.inference_mode()
    def predict(
        self,
        image: Path | str | bytes | Image.Image,
        known: Mapping[str, bool] | None = None,
        *,
        threshold: float = 0.5,
    ) -> Prediction:
        """Labels of one picture, given what is known of it.

        Args:
            image: path, encoded bytes or Pillow image.
            known: label name -> present or absent; labels not named are asked for.
            threshold: probability from which on a label counts as present.

        Raises:
            BrokenImageError: the picture cannot be read.
            UnknownLabelError: a name in ``known`` that the model does not have; the message suggests the nearest.
            ValueError: ``known`` contradicts an exclusive group.
        """
        return self.predict_all([image], known, threshold=threshold)[0]

    @torch.inference_mode()
    def predict_all(
        self,
        images: Sequence[Path | str | bytes | Image.Image],
        known: Mapping[str, bool] | None = None,
        *,
        threshold: float = 0.5,
    ) -> list[Prediction]:
        """:meth:`predict` for several pictures of which the same is known, in one batch."""
        known = dict(known or {})
        told = self.labels.states(known)
        pixels = torch.stack([self.preprocessing(open_pixels(image)) for image in images])
        features = self.model.encode_images(pixels.to(self.device))
        states = told.expand(len(images), -1).to(self.device)
        logits = self.model.predict_labels(features, states)
        found = probabilities(logits.float(), states, self.labels.exclusive).cpu()
        return [self._ranked(row, told, known, threshold) for row in found]

    def _ranked(self, row: Tensor, told: Int[Tensor, " L"], known: dict[str, bool], threshold: float) -> Prediction:
        hidden = (told == LabelState.UNKNOWN) & self.labels.targets
        order = [i for i in row.argsort(descending=True).tolist() if hidden[i]]
        groups = tuple(g.labels for g in self.labels.groups if g.exclusive)
        return Prediction({self.labels.names[i]: float(row[i]) for i in order}, known, threshold, groups)
