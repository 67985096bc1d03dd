"""Options that all methods share."""

from dataclasses import dataclass
from typing import Literal

from ctran.images import Preprocessing
from ctran.model.backbone import Backbone


@dataclass(frozen=True)
class MethodConfig:
    """Options of every method.

    Args:
        backbone: any timm network.
        weights: where its weights come from at the start of training: ``hub``, ``file:PATH``, ``package:NAME`` or ``none``.
        image_size: side of the square input, in pixels.
        fit: how a picture becomes square: ``pad`` (white), ``squash`` or ``crop``.
    """

    backbone: str = "resnet101"
    weights: str = "hub"
    image_size: int = 576
    fit: Literal["pad", "squash", "crop"] = "squash"


def preprocessing(config: MethodConfig, backbone: Backbone) -> Preprocessing:
    """The test transform of a model; mean and spread are the backbone's."""
    return Preprocessing(config.image_size, config.fit, backbone.mean, backbone.std)
