"""Networks that are built for one image size: supported sizes, and resampling of weights to another size."""

import functools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ctran.errors import UserError
from ctran.model.backbone import Backbone
from ctran.model.networks import timm

_REFUSED = (RuntimeError, AssertionError, ValueError, LookupError, ArithmeticError)
"""Exceptions that networks raise for unsupported sizes."""

_STEP = 32
"""Total stride of most networks, in pixels."""


def check_image_size(name: str, side: int) -> None:
    """Refuse a size that a network does not support, before training starts.

    Tried on PyTorch's meta device, without computation; only if that fails, with an image of zeros.

    Args:
        name: of the network.
        side: of the images, in pixels.

    Raises:
        UserError: names the key, and sizes that work.
    """
    if _takes(name, side):
        return
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            Backbone(name, side).eval()(torch.zeros(1, 3, side, side))
    except UserError:
        raise
    except _REFUSED as error:
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        built_for = timm.get_pretrained_cfg(name)
        lower = side // _STEP * _STEP
        near = sorted({lower, lower + _STEP, built_for.input_size[-1] if built_for else lower} - {0, side})
        fitting = [str(n) for n in near if _takes(name, n)]
        what = f"; set it to {' or '.join(fitting)}" if fitting else ""
        raise UserError(
            f"model.image_size {side}: {name} does not take pictures of {side} x {side} pixels ({why}){what}"
        ) from None


@functools.cache
def _takes(name: str, side: int) -> bool:
    """Whether a network can be built for a size and run at it, tried on the meta device."""
    try:
        with torch.device("meta"), torch.no_grad():
            Backbone(name, side).eval()(torch.zeros(1, 3, side, side))
    except Exception:  # networks raise many kinds, and some need real values
        return False
    return True


def at_this_size(network: nn.Module, weights: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """``weights`` with the position embedding of a vision transformer resampled to the grid of ``network``.

    Bicubic, as timm does with its own weights; everything else stays as it is.

    Args:
        prefix: of the network's names in ``weights``.
    """
    found, key = dict(weights), f"{prefix}pos_embed"
    own, other = getattr(network, "pos_embed", None), found.get(key)
    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    if not isinstance(own, Tensor) or other is None or grid is None or own.shape == other.shape:
        return found
    if own.ndim != 3 or other.ndim != 3 or own.shape[-1] != other.shape[-1]:
        return found
    before = own.shape[1] - grid[0] * grid[1]  # class and register tokens
    side = round(max(0, other.shape[1] - before) ** 0.5)
    if before >= 0 and side and side * side == other.shape[1] - before:
        found[key] = timm.layers.resample_abs_pos_embed(other, list(grid), [side, side], num_prefix_tokens=before)
    return found
