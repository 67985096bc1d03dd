"""Image features with random labels, which a method must be able to learn by heart."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ctran.model import Features, Method
from tests.methods import training
from tests.networks import toy_convnet

LABELS = 5


def model_of(method: str, *options: str, labels: int = LABELS, backbone: str = toy_convnet.__name__) -> Method:
    """:func:`tests.methods.training.model_of` with ``options`` as ``key=value`` of the method's part of a recipe."""
    return training.model_of(method, labels, "--model.image_size=64", *(f"--model.{o}" for o in options), backbone=backbone)


def random_features(
    model: Method, pictures: int, grid: tuple[int, int] = (3, 3), *, seed: int = 0, maps: Sequence[tuple[int, int]] = ()
) -> Features:
    """Tokens between those of a rectified map, and inner maps of the given sizes, one for each that the method uses."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(pictures, grid[0] * grid[1], model.backbone.channels, generator=generator).relu()
    channels = model.backbone.map_channels
    inner = {
        name: torch.randn(pictures, channels[name], *size, generator=generator).relu()
        for name, size in zip(model.backbone.maps, maps, strict=True)
    }
    return Features(tokens, grid, maps=inner or None)


def random_truth(pictures: int, labels: int = LABELS, *, seed: int = 1) -> Tensor:
    """A third of the entries positive, and at least one of each label and one not."""
    truth = (torch.rand(pictures, labels, generator=torch.Generator().manual_seed(seed)) < 0.3).long() + 1
    truth[0], truth[1] = 1, 2
    return truth


def learned_map(model: Method, features: Features, *, steps: int, rate: float = 0.01) -> float:
    """Mean AP, 0 to 1, of the pictures that the method's own loss was just minimised on, with nothing known."""
    truth = random_truth(len(features), LABELS)
    return training.mean_ap(training.train(model, features, truth, steps=steps, rate=rate), features, truth)
