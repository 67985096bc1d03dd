"""Batch norm over the pictures of all processes (``training.sync_batchnorm``)."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch.plugins import LayerSync
from timm.layers import convert_sync_batchnorm
from torch import Tensor, distributed, nn

Norm = nn.modules.batchnorm._BatchNorm


class SyncBatchNorm(LayerSync):
    """On GPUs PyTorch's layer, by timm's conversion, which keeps the activations that some of its batch norms include;
    Lightning's own drops them. PyTorch has no such layer for CPUs: there, a formula of two sums takes its place."""

    def apply(self, model: nn.Module) -> nn.Module:
        if distributed.get_backend() != "gloo":
            return convert_sync_batchnorm(model)
        for module in _norms(model):
            module.forward = partial(forward, module)  # pyright: ignore[reportAttributeAccessIssue]
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        for module in _norms(model):
            module.__dict__.pop("forward", None)
        return model


def _norms(model: nn.Module) -> list[Norm]:
    return [module for module in model.modules() if isinstance(module, Norm)]


def forward(module: Norm, x: Float[Tensor, "B C *space"]) -> Float[Tensor, "B C *space"]:
    """What the module computes, with mean and variance over the values of all processes (Ioffe and Szegedy 2015)."""
    if not module.training or not module.track_running_stats:
        return type(module).forward(module, x)
    exact = x.float()
    over = [0, *range(2, x.ndim)]
    sums = _summed(torch.cat([exact.sum(over), exact.new_tensor([x.numel() / x.shape[1]])]))
    count, shape = sums[-1].detach(), (1, -1, *[1] * (x.ndim - 2))
    mean = sums[:-1] / count
    centred = exact - mean.view(shape)
    variance = _summed(centred.square().sum(over)) / count
    _update(module, mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
    found = centred * (variance + module.eps).rsqrt().view(shape)
    if module.affine:
        found = found * module.weight.view(shape) + module.bias.view(shape)
    for name in ("drop", "act"):  # of timm's batch norms with activation
        found = getattr(module, name)(found) if hasattr(module, name) else found
    return found.to(x.dtype)


class _Sum(torch.autograd.Function):
    """Sum over the processes; so is the gradient, as each process's value is part of the result of all."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _all_reduced(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _all_reduced(gradient)


def _all_reduced(values: Tensor) -> Tensor:
    found = values.contiguous().clone()
    distributed.all_reduce(found)
    return found


def _summed(values: Float[Tensor, " C"]) -> Float[Tensor, " C"]:
    found = _Sum.apply(values)
    assert isinstance(found, Tensor)
    return found


@torch.no_grad()
def _update(module: Norm, mean: Float[Tensor, " C"], variance: Float[Tensor, " C"]) -> None:
    """Running statistics, as PyTorch updates them."""
    assert module.num_batches_tracked is not None and module.running_mean is not None and module.running_var is not None
    module.num_batches_tracked += 1
    weight = 1 / int(module.num_batches_tracked) if module.momentum is None else module.momentum
    module.running_mean.lerp_(mean, weight)
    module.running_var.lerp_(variance, weight)
