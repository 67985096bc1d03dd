"""Image tokens with the maps of a network's inner stages: what was found before the last layers, at the same places."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ctran.errors import UserError
from ctran.model.backbone import Backbone, Features


class StagedBackbone(Backbone):
    """A network whose image tokens have the maps of its inner stages appended, averaged over each token's place.

    The last layers of a network trained on photographs of a thousand classes keep what tells these classes apart; inner
    stages keep lines, textures and colours, by which drawings and icons differ. The average of these tokens is the average
    of every map, so a linear layer on it is one on all stages.

    Args:
        name, image_size: of :class:`~ctran.model.backbone.Backbone`.

    Source: Hariharan et al., Hypercolumns for object segmentation and fine-grained localization, CVPR 2015.

    Raises:
        UserError: the network has no inner stages with maps, as vision transformers, or cannot be cut there.
    """

    def __init__(self, name: str, image_size: int | None = None) -> None:
        plain = Backbone(name, image_size)
        info = getattr(plain.network, "feature_info", [])
        stages = {each["reduction"]: each for each in info}  # the last of those of one stride
        places = [str(each["module"]) for each in stages.values() if each["num_chs"] != plain.channels]
        if len(stages) < 2 or not places:
            raise UserError(f"backbone {name} has no maps of inner stages; set model.inner_maps to false")
        super().__init__(name, image_size, maps=places)
        self.maps = ()
        self.appended = sum(self.map_channels.values())
        self.channels += self.appended

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Features:
        """Image tokens, each followed by the average of every inner map over its place."""
        features = self._rest(images.to(next(self.parameters()).dtype), None)
        parts = [
            F.adaptive_avg_pool2d(each, features.grid).flatten(2).transpose(1, 2) for each in (features.maps or {}).values()
        ]
        return replace(features, tokens=torch.cat([features.tokens, *parts], dim=2), maps=None)
