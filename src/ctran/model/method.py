"""The base class of all models of this library."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.errors import UserTypeError
from ctran.losses._base import LabelLoss
from ctran.model.backbone import Backbone, Features
from ctran.model.contributions import contributions
from ctran.model.parameter_groups import parameter_groups
from ctran.model.stages import Losses, TrainingStep

if TYPE_CHECKING:
    from ctran.data.feature_table import FeatureTable
    from ctran.data.table import SampleTable
    from ctran.training.options import Training


class Method(nn.Module):
    """Base class of models that predict labels from images and known labels.

    Two steps: :meth:`encode_images` is slow and depends on the images alone, so its features can be cached;
    :meth:`predict_labels` is fast, and takes one or more rows of states for each image::

        features = model.prepare(model.encode_images(images))  # B images
        logits = model.predict_labels(features, states)  # R / B rows of states for each
    """

    name: str = ""
    """In recipes and messages; set where a model is built by that name."""
    backbone: Backbone
    label_parameters: ClassVar[frozenset[str]] = frozenset()
    """Names of the tensors with one row per label; fine-tuning with other labels copies them row by row."""
    label_matrices: ClassVar[frozenset[str]] = frozenset()
    """Names of the tensors with one row and one column per label, such as weights from labels to labels; fine-tuning copies the
    entries of pairs of labels that both models have."""
    statistics: ClassVar[frozenset[str]] = frozenset()
    """Names of the buffers that :meth:`fit_statistics` writes; fine-tuning computes them again, for its own labels and data."""
    data_sizes: Mapping[str, int] = {}
    """Names of the buffers of which the training data decide the size in one dimension, which is the value: an example is one
    row for each picture that the model keeps. A loaded model takes the stored size."""
    label_equivariant: ClassVar[bool] = True
    """Whether permuting :attr:`label_parameters`, :attr:`label_matrices` and :attr:`statistics` permutes the logits alike."""
    uses_states: ClassVar[bool] = True
    """False: the logits do not depend on known labels. The method then trains with all labels unknown, so that its loss has
    every annotated label and not only those that label mask training hides."""
    trains_with_known: ClassVar[bool] = True
    """False: the method trains with all labels unknown although it uses known labels to predict."""
    heavy: ClassVar[tuple[str, ...]] = ("backbone",)
    """Names of the expensive parts, which may compute in low precision (:func:`ctran.model.fast.fast`)."""

    def fit_statistics(self, table: "SampleTable") -> None:
        """Write the buffers named in :attr:`statistics` from the training table; called once, before the first epoch.

        ``build`` gives them their final shape. They are saved with the weights, so a model folder loads without data.
        Every process of a training calls this on the same table and must write the same values.

        Args:
            table: of split ``train``: ``table.labels`` is the label space of the model, ``table.truth`` has the annotations
                (:meth:`~ctran.data.truth.SparseTruth.blocks`, :meth:`~ctran.data.truth.SparseTruth.counts`), ``table.assumed``
                also what is assumed to be absent, for frequencies.
        """

    def take_sizes(self, stored: Mapping[str, Tensor]) -> None:
        """Give the buffers of :attr:`data_sizes` the sizes of stored ones, before these are loaded."""
        for name, dim in self.data_sizes.items():
            if (found := stored.get(name)) is None:
                continue
            buffer, (part, _, own) = self.get_buffer(name), name.rpartition(".")
            shape = (*buffer.shape[:dim], *found.shape[dim : dim + 1], *buffer.shape[dim + 1 :])
            setattr(self.get_submodule(part), own, buffer.new_zeros(shape))

    fits_features: bool = False
    """Whether the method is fitted to averaged image features of all training pictures (:meth:`fit_features`)."""
    needs_epochs: bool = True
    """Whether gradient steps train the method. False: ``training.epochs`` must be 0."""

    def pooled(self, features: Features) -> Float[Tensor, "B C"]:
        """One vector for each picture, as :meth:`fit_features` gets them; by default the average of the image tokens."""
        return features.tokens.mean(dim=1, dtype=torch.float32)

    def fit_features(self, table: "FeatureTable") -> str:
        """Fit to the training pictures as a whole; called once, before the first epoch, where :attr:`fits_features`.

        Every process of a training calls this on the same table and must compute the same.

        Args:
            table: stored image features of each view of the training pictures, and their truth.

        Returns:
            What was chosen, for the log: "penalty of image weights 0.03".
        """
        raise TypeError(f"{type(self).__name__} does not say how it is fitted")

    needs_grad: ClassVar[bool] = False
    """True: the method computes gradients while it predicts. It opens ``torch.enable_grad()`` itself and differentiates with
    respect to clones; its callers then use ``torch.no_grad()``, as nothing can be differentiated in inference mode."""
    not_exported: ClassVar[str] = ""
    """Why the method cannot be exported as one forward pass; empty if it can."""
    not_cached: ClassVar[str] = ""
    """Why training cannot keep image features on disk (``training.feature_views``); empty if it can."""
    rate_parts: ClassVar[tuple[str, ...]] = ("backbone",)
    """Modules that can have a separate learning rate: the backbone (``training.backbone_learning_rate``), and those that
    the stages of the method's options name (:meth:`ctran.methods._base.MethodConfig.stages`)."""
    weight_decays: Mapping[str, float] = {}
    """Weight decay of those of :attr:`rate_parts` for which it is not the recipe's."""

    def parameter_groups(self, options: "Training") -> list[dict[str, Any]]:
        """The parameters that train, as groups for the optimizer: ``params``, ``lr``, ``weight_decay``; for messages, ``part``.

        By default those of :attr:`rate_parts` and the rest; norms, biases, and matrices with one row per label or state
        have no weight decay. A method whose parts need other rates overrides this.
        """
        return parameter_groups(self, self.rate_parts, self.weight_decays, options)

    @property
    def export_obstacle(self) -> str:
        """Why ``ctran export`` refuses the model; empty where it does not."""
        if self.needs_grad:
            return "it computes gradients while it predicts"
        return self.not_exported or ("it chooses label sets by itself" if self.decodes else "")

    def without_gradients(self) -> AbstractContextManager[Any]:
        """Context for predictions: inference mode, or ``torch.no_grad()`` where the method :attr:`needs_grad`."""
        return torch.no_grad() if self.needs_grad else torch.inference_mode()

    def encode_images(self, images: Float[Tensor, "B 3 H W"]) -> Features:
        """Image features, which depend on the images alone."""
        return self.backbone(images.contiguous(memory_format=torch.channels_last))  # same values, faster on CPU

    def prepare(self, features: Features) -> Features:
        """The features with an image cache, which saves time in :meth:`predict_labels`; the logits are the same."""
        return features

    def precompute(self) -> None:
        """Compute once what depends on the weights alone; they must not change afterwards (:func:`ctran.model.fast.fast`)."""

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits of all labels.

        Args:
            features: from :meth:`encode_images` or :meth:`prepare`, for ``B`` images.
            states: :class:`~ctran.labels.LabelState` codes of the known labels; ``R / B`` consecutive rows for each image.
            hide_image: images to leave out (a training option); methods without such an option ignore it.
        """
        raise TypeError(f"{type(self).__name__} does not define how it predicts labels")

    def decode(self, features: Features, states: Int[Tensor, "R L"]) -> Bool[Tensor, "R L"] | None:
        """Labels that are present, of a method that chooses whole label sets by itself, such as by beam search.

        ``None``, the default: they follow from the logits, by thresholds and groups
        (:meth:`ctran.constraints.decode.Decoder.labels`). That decoder also gets what a method chooses here, so that it
        contradicts neither known labels nor groups and implications; a threshold that a caller gives for a label comes before
        the method's choice. Such a method is not exported.

        Args:
            features, states: as of :meth:`predict_labels`. Known positives are the start of a sequence of labels, known
                negatives are left out of it.
        """
        return None

    @property
    def decodes(self) -> bool:
        """Whether the method chooses label sets by itself (:meth:`decode`)."""
        return type(self).decode is not Method.decode

    def parts(self, features: Features, states: Int[Tensor, "R L"]) -> dict[str, Float[Tensor, "R L"]]:
        """Logits of the simpler predictors that the method is made of, by name, the simplest first; none by default.

        Each is measured beside the method at the end of a training (:mod:`ctran.analysis.candidates`), so that a part that
        does not help is seen.

        Args:
            features, states: as of :meth:`predict_labels`.
        """
        return {}

    @property
    def has_parts(self) -> bool:
        """Whether the method is made of simpler predictors (:meth:`parts`)."""
        return type(self).parts is not Method.parts

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """What a training step minimises: the sum of named terms, of which the training curves show the first.

        By default label mask training (Sec. 3.4): the recipe's loss of the labels that are not known. A method with another
        loss, or with auxiliary losses, overrides this.

        Args:
            step: features, truth, known labels, row numbers, epoch, stage and helper module.
            criterion: the recipe's loss.
        """
        logits = self.predict_labels(step.features, step.states, hide_image=step.hide_image)
        return {"labels": criterion(logits, step.truth, step.states, epoch=step.epoch, index=step.index)}

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        """Set biases to log-odds of the labels' frequencies (``training.prior_bias``).

        Raises:
            UserTypeError: the method has no bias per label.
        """
        raise UserTypeError(
            f"training.prior_bias needs a bias for each label, which {self.title} does not have; set it to false"
        )

    def checkpoint_activations(self) -> None:
        """Compute layers again in the backward pass instead of storing them (``training.activation_checkpointing``).

        Raises:
            UserTypeError: the method does not support it.
        """
        raise UserTypeError(
            f"training.activation_checkpointing needs an encoder, which {self.title} does not have; set it to false"
        )

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """One vector per label, detached; similar labels have similar vectors.

        Raises:
            UserTypeError: the method has none.
        """
        raise UserTypeError(f"{self.title} has no label embeddings")

    @property
    def title(self) -> str:
        """The method in messages, by its name in recipes; by that of its file where it was built without one."""
        return f"method {self.name or type(self).__module__.rpartition('.')[2]!r}"

    @property
    def uses_image(self) -> bool:
        """Whether logits depend on the image."""
        return True

    @property
    def hides_images(self) -> bool:
        """Whether :meth:`predict_labels` can leave images out (``training.hide_image``)."""
        return False

    @property
    def has_contributions(self) -> bool:
        """Whether :meth:`contributions` can attribute a logit to image tokens; False without image or gradients.

        Also False if inner maps are used, which contributions of tokens would leave out.
        """
        return not self.backbone.maps

    def stored(self, features: Features) -> Features:
        """What training keeps of images on disk where the backbone is frozen (``training.feature_views``), of the output of
        :meth:`encode_images`; by default all of it, image tokens and inner maps.

        A method that needs less, such as averages, returns that; :meth:`predict_labels` then gets it in training, and the
        output of :meth:`encode_images` elsewhere. It must follow from the images and the backbone alone, not from what trains.
        Values are rounded to float16.
        """
        return features

    @property
    def cache_obstacle(self) -> str:
        """Why ``training.feature_views`` is refused; empty where it is not."""
        own = type(self).encode_images is not Method.encode_images
        return self.not_cached or ("it encodes images by itself, beside the frozen backbone" if own else "")

    def blank_logits(self, features: Features, states: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Logits without a picture: by default those of image tokens that are all zero."""
        return self.predict_labels(Features(torch.zeros_like(features.tokens), features.grid), states)

    def contributions(self, features: Features, states: Int[Tensor, "B L"], label: int) -> Float[Tensor, "B P"]:
        """What each image token adds to the logit of a label: they sum to the logit minus that of :meth:`blank_logits`.

        Exact for a linear layer on averaged tokens; otherwise by integrated gradients
        (:func:`ctran.model.contributions.contributions`), through every path from the tokens to the logit.

        Args:
            features: of ``B`` images, from :meth:`encode_images`.
            states: :class:`~ctran.labels.LabelState` codes, one row for each image.
            label: index of the label.

        Raises:
            UserTypeError: the method has none (:attr:`has_contributions`).
        """
        if not self.has_contributions:
            raise UserTypeError("this model cannot show which places of the picture a prediction comes from")

        def logits(tokens: Float[Tensor, "B P C"]) -> Float[Tensor, " B"]:
            return self.predict_labels(Features(tokens, features.grid), states)[:, label]

        with torch.no_grad():
            blank = self.blank_logits(features, states)[:, label]
        return contributions(logits, features.tokens, blank)

    @property
    def has_attention(self) -> bool:
        """Whether :meth:`attention` is available."""
        return False

    def attention(self, features: Features, states: Int[Tensor, "B L"]) -> list[Float[Tensor, "B K N N"]]:
        """Attention of every layer over ``P`` image tokens, then ``L`` label tokens: for research, not an explanation.

        Raises:
            UserTypeError: the method has none (:attr:`has_attention`).
        """
        raise UserTypeError(f"{type(self).__name__} has no attention")

    def forward(self, images: Float[Tensor, "B 3 H W"], states: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """:meth:`encode_images`, then :meth:`predict_labels`."""
        return self.predict_labels(self.encode_images(images), states)
