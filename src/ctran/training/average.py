"""The moving average of the weights that is evaluated and saved."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from ctran.model import Method


def moving_average(model: Method, decay: float) -> AveragedModel:
    """PyTorch's average of a model's parameters, which starts from their current values; buffers are the model's.

    Update ``n`` uses the decay ``min(decay, (1 + n) / (10 + n))``, so that the first values are soon replaced. Lightning's
    callback swaps the weights after the validation hook of the module, in which the best model is saved; here the averaged
    module itself is validated.
    """

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        n = int(count)
        torch._foreach_lerp_(list(averaged), list(current), 1 - min(decay, (1 + n) / (10 + n)))

    average = AveragedModel(model, multi_avg_fn=update)
    restart(average)
    return average.requires_grad_(False).eval()


def restart(average: AveragedModel) -> None:
    """Count the current average as one update; otherwise PyTorch's first update would replace it."""
    average.n_averaged.fill_(1)
