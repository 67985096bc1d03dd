"""A copy of a model for faster inference: bfloat16, channels-last, batch norms folded into the convolutions before them."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ctran.model.backbone import Backbone
from ctran.model.method import Method

SAME = 1e-3
"""Largest change of a network's output in float32 by folding, as a share of its largest value."""


def fast(model: Method, *, dtype: torch.dtype = torch.bfloat16) -> Method:
    """A copy for inference, whose logits differ by rounding only.

    The expensive parts (:attr:`~ctran.model.Method.heavy`) compute in ``dtype``; label tokens, anchor and classifier stay
    in float32, and so do the logits.

    Args:
        dtype: bfloat16; float32 for folding and channels-last alone, float16 for GPUs without bfloat16.
    """
    quick = copy.deepcopy(model).eval().requires_grad_(False)
    size = quick.backbone.built_with.get("img_size", quick.backbone.network.pretrained_cfg["input_size"][-1])
    quick.backbone = fold(quick.backbone, torch.rand(2, 3, size, size, device=next(quick.parameters()).device))
    for name in quick.heavy:
        quick.get_submodule(name).to(dtype)
    quick.backbone.to(memory_format=torch.channels_last)
    quick.precompute()
    return quick


@torch.no_grad()
def fold(backbone: Backbone, images: Float[Tensor, "B 3 H W"]) -> Backbone:
    """A copy in which each batch norm is folded into the convolution before it.

    A forward pass of ``images`` finds which norm follows which convolution. If the copy's output differs (the output of a
    convolution is used elsewhere too), the backbone is returned unchanged.
    """
    folded = copy.deepcopy(backbone)
    for conv, name in followed(folded, images):
        norm = folded.get_submodule(name)
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        mean, variance = norm.running_mean, norm.running_var
        conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias)
        folded.set_submodule(name, getattr(norm, "act", nn.Identity()))  # timm's norms carry the activation
    before, after = backbone(images).tokens, folded(images).tokens
    return folded if (after - before).abs().max() <= SAME * before.abs().max() else backbone


def followed(backbone: Backbone, images: Float[Tensor, "B 3 H W"]) -> list[tuple[nn.Conv2d, str]]:
    """Each convolution whose output goes into a batch norm, and that norm's name."""
    producers: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # holds the outputs too, so that no two have the same id
    pairs: list[tuple[nn.Conv2d, str]] = []

    def keep(conv: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        producers[id(output)] = conv, output

    hooks = [m.register_forward_hook(keep) for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    for name, norm in backbone.named_modules():
        if isinstance(norm, nn.BatchNorm2d):

            def pair(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                if id(inputs[0]) in producers:
                    pairs.append((producers.pop(id(inputs[0]))[0], name))

            hooks.append(norm.register_forward_pre_hook(pair))
    backbone(images)
    for hook in hooks:
        hook.remove()
    return pairs
