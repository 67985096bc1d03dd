"""What all methods share: options, and how a model is built from the name of its method."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from ctran import methods, registry
from ctran.bounds import check_bounds, within
from ctran.errors import UserTypeError
from ctran.images.transforms import RESIZING, Fit, Preprocessing, Resample, Resizer
from ctran.labels import LabelSpace
from ctran.model import Backbone, Method, Stage
from ctran.model.inner_maps import StagedBackbone

if TYPE_CHECKING:
    from ctran.training.options import Training

MOST_PIXELS = 8192
"""Upper bound of ``image_size``: the activations of a larger picture do not fit into memory."""


@dataclass(frozen=True)
class MethodConfig:
    """Options of every method.

    Args:
        backbone: any timm network.
        weights: where its weights come from at the start of training: ``hub``, ``file:PATH``, ``package:NAME`` or ``none``.
        image_size: side of the square input, in pixels.
        fit: how a picture becomes square: ``pad`` (white), ``squash``, ``crop`` or ``cut`` (the middle, not resized).
        centre: share of the fitted square's side that is kept in testing, cut from its middle.
        resample: how pictures are resized: bicubic or bilinear.
        resizer: library that resizes: pillow, or torch, which is faster and differs by 1 in 255 in some pixels.
        inner_maps: append the maps of the network's inner stages, averaged, to the image tokens (beyond the paper).
    """

    may_differ: ClassVar[frozenset[str]] = frozenset({"weights", "image_size", "fit", "centre", "resample", "resizer"})
    """Options in which a fine-tuned model may differ from the model that it starts from."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Former keys of a recipe -> today's, for the error message."""

    backbone: str = "resnet101"
    weights: str = "hub"
    image_size: int = within(576, 1, MOST_PIXELS, unit="pixels")
    fit: Fit = "squash"
    centre: float = within(1.0, 0, 1, above=True)
    resample: Resample = "bicubic"
    resizer: Resizer = "pillow"
    inner_maps: bool = False

    def __post_init__(self) -> None:
        check_bounds(self, "model")

    @property
    def weights_of(self) -> "tuple[str, MethodConfig] | None":
        """The method whose weights this one's are, and its options, where it is another: a model may start from a run of it."""
        return None

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """Stages of a training of ``epochs`` epochs in total; by default one.

        Raises:
            UserError: the options do not fit the number of epochs.
        """
        return (Stage(epochs),)

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Options without effect beside the others, each with the reason; training refuses those that are not at their default.

        Args:
            training: of the recipe; its keys may be among them, as ``training.KEY``.
        """
        if self.fit == "cut":
            why = "model.fit cut takes the middle of the picture as it is"
            yield "centre", why
            resizing = () if training.feature_views == 1 else RESIZING.get(training.augmentation, ())
            yield from ((key, f"{why}, and nothing else resizes it") for key in ("resample", "resizer") if key not in resizing)

    def published_as(self, training: "Training") -> tuple[str, ...]:
        """Words that set rows of one method apart in a published table; none by default.

        Args:
            training: of the recipe.
        """
        return ()

    def helper(self, model: Method) -> nn.Module | None:
        """A module that is trained beside the model and discarded at the end; checkpoints hold it. None by default.

        Its attribute ``part`` names the part of the model whose learning rate and weight decay its parameters have.
        """
        return None


def backbone_of(config: MethodConfig) -> Backbone:
    """The network of a method, with random weights."""
    kind = StagedBackbone if config.inner_maps else Backbone
    return kind(config.backbone, config.image_size)


def preprocessing(config: MethodConfig, backbone: Backbone) -> Preprocessing:
    """The test transform of a model; mean and standard deviation are the backbone's."""
    statistics = (backbone.mean, backbone.std)
    return Preprocessing(config.image_size, config.fit, *statistics, config.centre, config.resample, config.resizer)


def build(name: str, config: MethodConfig, labels: LabelSpace) -> Method:
    """The model of the method ``name``, with random weights.

    Raises:
        UserError: no such method; UserTypeError: its ``build`` returns something else than a method.
    """
    model = registry.find(methods, name).build(config, labels)
    if not isinstance(model, Method):
        kind = type(model)
        raise UserTypeError(
            f"method {name!r}: build must return a ctran.model.Method, got {kind.__module__}.{kind.__qualname__}"
        )
    model.name = name
    return model
