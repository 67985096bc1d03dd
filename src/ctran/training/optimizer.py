"""The optimizer of a recipe."""

from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer

from ctran.training.options import Training

MOMENTUM = 0.9
"""Of SGD, if ``training.momentum`` is null."""


def optimizer_of(options: Training, groups: list[dict[str, Any]]) -> Optimizer:
    """PyTorch's optimizer for parameter groups that have their learning rate and weight decay."""
    if options.optimizer == "sgd":
        momentum = MOMENTUM if options.momentum is None else options.momentum
        return SGD(groups, momentum=momentum, nesterov=options.nesterov)
    kind = AdamW if options.optimizer == "adamw" else Adam
    return kind(groups, betas=(0.9, 0.999))
