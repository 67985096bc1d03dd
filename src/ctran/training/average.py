"""The moving average of the weights that is evaluated and saved."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from ctran.model import Method


def moving_average(model: Method, decay: float) -> AveragedModel:
    """PyTorch's average of a model's parameters, which starts as they are now; its buffers are always the model's.

    After update ``n`` it keeps the share ``min(decay, (1 + n) / (10 + n))`` of what it was, so a young average forgets
    faster. Lightning's callback for it exchanges the weights after the validation hook of the module, in which the best model
    is saved; here the averaged module is validated as itself.
    """

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        n = int(count)
        torch._foreach_lerp_(list(averaged), list(current), 1 - min(decay, (1 + n) / (10 + n)))

    average = AveragedModel(model, multi_avg_fn=update)
    restart(average)
    return average.requires_grad_(False).eval()


def restart(average: AveragedModel) -> None:
    """The weights that the average holds count as one update: the first of PyTorch's would replace them."""
    average.n_averaged.fill_(1)
