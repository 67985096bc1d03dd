"""``toy_convnet``: a network of four convolutions, for tests that trace a model: their time grows with its operations."""

from itertools import pairwise

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

__all__ = ["toy_convnet"]  # where timm lists the networks of a module
default_cfgs = generate_default_cfgs({"toy_convnet": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}})


class ToyConvNet(nn.Module):
    """Its last map and the one before it have a stride of 16 pixels."""

    def __init__(self, num_classes: int = 0, in_chans: int = 3) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, 96
        layers = []
        for (before, after), stride in zip(pairwise((in_chans, 16, 48, 96, 96)), (4, 2, 2, 1), strict=True):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.feature_info = [{"module": "layers.8", "num_chs": 96, "reduction": 16}]

    def forward_features(self, images):
        return self.layers(images)


@register_model
def toy_convnet(pretrained: bool = False, **options: object) -> ToyConvNet:
    return build_model_with_cfg(ToyConvNet, "toy_convnet", pretrained, **options)


SMALLEST = ["--model.backbone", toy_convnet.__name__]
"""After the flags that have another backbone; unknown to a process that a test starts."""
