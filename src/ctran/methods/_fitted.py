"""What methods share that are fitted to averaged image features in one step, without epochs."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.data.feature_table import FeatureTable
from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.methods._image_fit import ImageFit, Inputs, fit_images, groups_of
from ctran.methods._kernel import Kernel, Landmarks, Whiten
from ctran.methods._logistic import Standardise, linear_logits
from ctran.methods._masked_rows import LabelFit, MaskedRows
from ctran.methods._outer import OuterFit, choose, mean_loss, outer_fits
from ctran.methods._pooling import Pooling, pool, pooled_width
from ctran.model import Backbone, Features, Method
from ctran.model.attention import repeat_rows

ROWS = 1024
"""Pictures that are compared with the landmarks at a time."""


@dataclass(frozen=True)
class FittedConfig(MethodConfig):
    """Options of methods that are fitted in one step.

    Args:
        image_l2: penalty of the weights of image features, as in ``LogisticRegression(C=1 / (image_l2 * pictures))``; null
            chooses it by cross-validation.
        pooling: of the image tokens: mean; max, the greatest value of each channel; or mean_max, both.
    """

    may_differ = MethodConfig.may_differ | {"image_l2"}

    image_l2: float | None = within(None, 0, above=True)
    pooling: Pooling = "mean"


@dataclass(frozen=True)
class KnownConfig(FittedConfig):
    """Options of fitted methods that use known labels.

    Args:
        label_l2: penalty of the weights of known labels; null chooses it by cross-validation.
        kernel: inputs of the image's regression: none takes the pooled features, gaussian their similarities to the training
            pictures, of which the model keeps up to 2,048.
    """

    may_differ = FittedConfig.may_differ | {"label_l2"}

    label_l2: float | None = within(None, 0, above=True)
    kernel: Kernel = "none"


class FittedMethod(Method):
    """Base class of methods with a linear layer on averaged features of a frozen backbone, fitted without epochs."""

    fits_features = True
    needs_epochs = False
    label_parameters = frozenset({"weight", "bias"})
    weight: Tensor
    bias: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: FittedConfig) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        self.register_buffer("weight", torch.zeros(len(labels), pooled_width(backbone.channels, config.pooling)))
        self.register_buffer("bias", torch.zeros(len(labels)))

    def pooled(self, features: Features) -> Float[Tensor, "B C"]:
        """One vector a picture."""
        return pool(features.tokens.to(self.bias.dtype), self.config.pooling)

    def image_inputs(self, features: Features) -> Float[Tensor, "B D"]:
        """The linear layer's input; by default that vector."""
        return self.pooled(features)

    def image_logits(self, features: Features) -> Float[Tensor, "B L"]:
        """Logits of the linear layer."""
        return F.linear(self.image_inputs(features), self.weight, self.bias)

    def fit_images(self, table: FeatureTable, given: Inputs | None = None) -> ImageFit:
        """Fit the linear layer to a table of its inputs (:func:`fit_images`), and write its buffers."""
        found = fit_images(table, self.config.image_l2, given=given)
        self.weight, self.bias = found.weight.contiguous(), found.bias  # in the layout in which a loaded model has it
        return found


class KnownLabelsMethod(FittedMethod):
    """Base class of fitted methods whose logits are linear in inputs made of image logits and known labels.

    A method gives :meth:`inputs`, and says which weights stay 0 and whether the image logit of a label is added to its own.
    """

    statistics = frozenset({"point", "prevalence"})
    label_equivariant = False  # label masks are drawn by position
    own_logit = True
    """Whether the image logit of a label is added, with a fitted scale."""
    sees_images = True
    """Whether the fit of known labels has image logits, so that it is chosen on pictures that these have not seen either."""
    image_free: float | None = 0.0
    """Share of weights of known labels that are fitted without the image; None chooses it."""
    known_inputs = 0
    """Number of inputs, the first ones, that are known labels, of a method with such a share."""
    config: KnownConfig
    point: Tensor
    prevalence: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: KnownConfig, *, inputs: int) -> None:
        super().__init__(backbone, labels, config)
        self.implied = labels.implied
        self.landmarks: Landmarks | None = None
        if config.kernel == "gaussian":
            self.landmarks = Landmarks(self.weight.shape[1])
            self.register_buffer("weight", torch.zeros(len(labels), 1))  # an input for each landmark
            self.data_sizes = {"weight": 1, "landmarks.points": 0}
        self.register_buffer("prevalence", torch.full((len(labels),), 0.5))
        self.register_buffer("point", torch.zeros(inputs + 2, len(labels)))

    def image_inputs(self, features: Features) -> Float[Tensor, "B D"]:
        """The pooled features, or their similarities to training pictures."""
        pooled = self.pooled(features)
        return pooled if self.landmarks is None else self.landmarks(pooled)

    def input_table(self, table: FeatureTable) -> tuple[FeatureTable, Inputs | None]:
        """The linear layer's inputs for the training pictures, and how a regression takes them (:func:`fit_images`).

        Similarities are those of the first view: with augmented views as further rows, ``val`` was no better on three sets.
        """
        table = replace(table, groups=groups_of(table))
        if self.landmarks is None:
            return table, None
        standardise = Standardise.of(table.views.flatten(0, 1))
        self.landmarks.fit(table.views[0], standardise.mean, standardise.scale, table.seed)
        rows = torch.cat([self.landmarks(rows) for rows in table.views[0].split(ROWS)])
        return replace(table, views=rows[None]), Whiten.of(rows, self.landmarks.among())

    def inputs(self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R D"]:
        """Inputs that all labels share, from image logits and states."""
        raise NotImplementedError

    def blocked(self) -> Bool[Tensor, "D L"]:
        """Weights that stay 0: by default those of a label's own inputs, in each block of one input a label."""
        labels = self.point.shape[1]
        return torch.eye(labels, dtype=torch.bool).repeat((len(self.point) - 2) // labels, 1)

    def fit_features(self, table: FeatureTable) -> str:
        """Fit the linear layer, then the weights of known labels to held-out image logits and random label masks."""
        images, how, _ = self.fit_both(*self.input_table(table))
        return self.chosen(images, how)

    def chosen(self, images: ImageFit, how: LabelFit) -> str:
        """What a fit chose, in words."""
        share = f", {how.image_free:.0%} of their weights from a fit without the image" if self.image_free != 0 else ""
        return f"penalty of image weights {images.l2:g}, of known labels {how.l2:g}{share}"

    def fit_both(self, table: FeatureTable, given: Inputs | None) -> tuple[ImageFit, LabelFit, list[OuterFit]]:
        """Fit to what :meth:`input_table` made; returns linear layers, the fit of known labels, and those it was chosen by."""
        images, l2 = self.fit_images(table, given), self.config.label_l2
        self.prevalence.copy_(table.prevalence)
        rows, fits = MaskedRows(self, images, table), list[OuterFit]()
        if self.sees_images and (l2 is None or self.image_free is None):
            fits = outer_fits(self, table, given, images.l2)
        how = choose(mean_loss(fits) if self.sees_images else rows.held_out_loss, l2, self.image_free)
        self.point.copy_(rows.fit(how))
        self.finish_fit()
        return images, how, fits

    def finish_fit(self) -> None:
        """Called after the fit; nothing by default."""

    def prepare(self, features: Features) -> Features:
        """The features with image logits."""
        return features if features.image_cache is not None else replace(features, image_cache=self.image_part(features))

    def image_part(self, features: Features) -> dict[str, Tensor]:
        """What :meth:`prepare` computes of an image."""
        return {"logits": self.image_logits(features)}

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits of all labels."""
        return self.known_logits(*self.image_rows(self.prepare(features), states))

    def image_rows(self, features: Features, states: Int[Tensor, "R L"]) -> tuple[Float[Tensor, "R L"], Int[Tensor, "R L"]]:
        """Image logits of prepared features for each row of states, and these."""
        features.rows_each(states)  # raises if the images do not divide the rows
        assert features.image_cache is not None
        return repeat_rows(features.image_cache["logits"], states.shape[0]), states

    def known_logits(self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        """Logits of all labels from image logits and states."""
        return linear_logits(self.inputs(logits, states), self.point, logits)

    def parts(self, features: Features, states: Int[Tensor, "R L"]) -> dict[str, Float[Tensor, "R L"]]:
        """The linear layer alone."""
        return {"linear": self.image_rows(self.prepare(features), states)[0]}
