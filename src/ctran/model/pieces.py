"""A network cut at one of its modules: what runs up to it, and what runs after it."""

import copy
from typing import Any

import torch
from torch import nn

from ctran.errors import UserError, nearest


def piece(network: nn.Module, after: str | None, until: str | None) -> Any:
    """The part of the network after the module ``after``, up to and including the module ``until``.

    It shares all modules with the network: what is left out is an identity in a copy of its parent module. Correct for networks
    that run their modules one after another, in the order of registration, as residual networks, EfficientNets and ConvNeXts
    do; :func:`check_pieces` checks it.
    """
    cut = network
    for name, keeps_later in ((after, True), (until, False)):
        if name is not None:
            cut = _cut(cut, name.split("."), keeps_later)
    return cut


def _cut(module: nn.Module, path: list[str], keeps_later: bool) -> nn.Module:
    """A shallow copy with identities for the module at ``path`` and all before it (``keeps_later``), or for all after it."""
    shallow = copy.copy(module)
    children, reached = dict[str, nn.Module | None](), False
    for name, child in module._modules.items():
        if name == path[0]:
            reached = True
            whole = nn.Identity() if keeps_later else child
            children[name] = whole if len(path) == 1 or child is None else _cut(child, path[1:], keeps_later)
        elif child is None or reached == keeps_later:
            children[name] = child
        else:
            children[name] = nn.Identity()
    shallow.__dict__["_modules"] = children
    return shallow


def check_pieces(network: nn.Module, names: tuple[str, ...], side: int, backbone: str) -> dict[str, int]:
    """Check that the modules exist and that the pieces together compute what the network does; returns the channels of the
    map at each name.

    Args:
        names: in the order in which they run.
        side: of the test image.
        backbone: name for errors.

    Raises:
        UserError: a module does not exist, or the network cannot be cut there.
    """
    known = [name for name, _ in network.named_modules() if name]
    for name in names:
        if name not in known:
            raise UserError(f"backbone {backbone} has no module {name!r}{nearest(name, known)}")
    at = [known.index(name) for name in names]
    if at != sorted(set(at)):
        raise UserError(f"inner maps must be named in the order in which they run, each once, got {', '.join(names)}")
    first = next(network.parameters())
    tried = copy.deepcopy(network).eval()
    image = torch.linspace(-1, 1, 3 * side * side, device=first.device, dtype=first.dtype).reshape(1, 3, side, side)
    with torch.no_grad():
        whole = tried.forward_features(image)  # pyright: ignore[reportCallIssue]  (of timm)
        value, channels = image, dict[str, int]()
        for after, until in zip((None, *names), (*names, None), strict=True):
            try:
                value = piece(tried, after, until).forward_features(value)
            except (RuntimeError, ValueError, TypeError, AssertionError, AttributeError, IndexError):
                value = None
            if not isinstance(value, torch.Tensor) or (until is not None and value.ndim != 4):
                raise UserError(f"backbone {backbone} cannot be cut at {until or after!r}: it gives no map there")
            if until is not None:
                channels[until] = value.shape[1]
    if value.shape != whole.shape or not (first.is_meta or torch.allclose(value, whole, rtol=1e-4, atol=1e-5)):
        raise UserError(
            f"backbone {backbone} cannot be cut at {', '.join(names)}: it does not run its modules one after another"
        )
    return channels
