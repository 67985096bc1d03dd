"""The two calls that every model of this library has."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.model.backbone import Backbone, Features


class Method(nn.Module):
    """A model that tells labels from images and from what is known of the labels.

    Cut where users need it cut: :meth:`encode_images` is slow and depends on the images alone, so it is cached;
    :meth:`predict_labels` is what a click re-runs, and answers many states of one image at once::

        features = model.prepare(model.encode_images(images))  # B images
        logits = model.predict_labels(features, states)  # R / B rows of states for each
    """

    backbone: Backbone
    label_parameters: ClassVar[frozenset[str]] = frozenset()
    """Names of the tensors with one row a label; fine-tuning with other labels copies them row by row."""
    heavy: ClassVar[tuple[str, ...]] = ("backbone",)
    """Names of the parts that cost time, which may compute in low precision (:func:`ctran.model.fast.fast`)."""

    def encode_images(self, images: Float[Tensor, "B 3 H W"]) -> Features:
        """The slow half: image tokens."""
        return self.backbone(images.contiguous(memory_format=torch.channels_last))  # same numbers, faster on CPU

    def prepare(self, features: Features) -> Features:
        """The features with what the fast half would make of them for each question; optional, answers are the same."""
        return features

    def tabulate(self) -> None:
        """Keep what depends on the weights alone; they must not change afterwards (:func:`ctran.model.fast.fast`)."""

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """The fast half: logits of all labels.

        Args:
            features: of :meth:`encode_images` or :meth:`prepare`, for ``B`` images.
            states: :class:`~ctran.labels.LabelState` codes, what the model is told; ``R / B`` rows for each image in turn.
            hide_image: images to leave out (a training option); methods without such an option ignore it.
        """
        raise TypeError(f"{type(self).__name__} does not say how it predicts labels")

    def forward(self, images: Float[Tensor, "B 3 H W"], states: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """:meth:`encode_images`, then :meth:`predict_labels`."""
        return self.predict_labels(self.encode_images(images), states)
