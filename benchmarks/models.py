"""Models that are measured: the paper's, by the library and literally (:mod:`ctran.model.reference`), with the same weights."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ctran.model import Backbone, CTran, Features
from ctran.model.reference import Reference

PAPER = {"positions": "none", "use_image": True, "use_states": True, "scheme": "full"}
"""Options of :class:`~ctran.model.CTran` that change the formulas, and what they are in the paper's model."""


class Maps(nn.Module):
    """The network of a :class:`~ctran.model.Backbone`, its maps as they come."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.network = copy.deepcopy(backbone.network).to(memory_format=torch.contiguous_format)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` -> maps ``[B, C, h, w]``, in NCHW order."""
        return self.network.forward_features(images.contiguous())


class Literal(Reference):
    """The yardstick: the paper's formulas with stock modules, and copies of the weights of ``model``.

    Args:
        model: the paper's; of its other options ``token_dim`` and the layers' ``attention_dropout`` are followed.

    Raises:
        ValueError: ``model`` computes something else.
    """

    def __init__(self, model: CTran) -> None:
        if type(model) is not CTran:
            raise ValueError(f"the reference is the paper's model, got {type(model).__name__}")
        for name, paper in PAPER.items():
            if getattr(model, name) != paper:
                raise ValueError(f"the reference is the paper's model: {name} must be {paper!r}, got {getattr(model, name)!r}")
        stack, (num_labels, dim) = model.encoder.stack, model.classifier.weight.shape
        super().__init__(
            Maps(model.backbone),
            model.backbone.channels,
            num_labels,
            dim=dim,
            num_layers=len(stack),
            num_heads=model.encoder.num_heads,
            dropout=stack[0].dropout,
        )
        for mine, theirs in zip(self.layers, stack, strict=True):
            attention: Any = mine.get_submodule("attention")
            attention.dropout = theirs.attention_dropout
        self.load_state_dict(reference_weights(model))

    def predict_labels(self, tokens: Features | Tensor, states: Tensor) -> Tensor:
        """Also from the library's features."""
        return super().predict_labels(tokens.tokens if isinstance(tokens, Features) else tokens, states)


def reference_weights(model: CTran) -> dict[str, Tensor]:
    """The weights of the library's model by the names of the reference's."""
    starts = {
        "backbone.": "backbone.",
        "narrow.": "shrink.",
        "classifier.": "readout.",
        "labels.label.": "label.",
        "encoder.": "",
    }
    inner = {".qkv.": ".attention.in_proj_", ".out.": ".attention.out_proj."}
    found = {"state.weight": torch.cat([model.labels.unknown, model.labels.known_state.detach()])}
    for name, tensor in model.state_dict().items():
        for old, new in starts.items():
            if name.startswith(old):
                key = new + name.removeprefix(old)
                for part, stock in inner.items():
                    key = key.replace(part, stock) if key.startswith("layers.") else key
                found[key] = tensor
    return found


def paper_model(*, num_labels: int, tiny: bool, attention_dropout: bool = True, **options: Any) -> CTran:
    """The paper's model (ResNet-101, three layers of width 2,048) with random weights in evaluation mode; ``tiny``: a toy.

    Args:
        attention_dropout: False keeps dropout out of the attention weights, as some recipes do.
    """
    torch.manual_seed(0)
    small: dict[str, Any] = {"token_dim": 16, "num_heads": 2} if tiny else {}
    model = CTran(Backbone("test_resnet" if tiny else "resnet101"), num_labels=num_labels, **small, **options).eval()
    return model if attention_dropout else without_attention_dropout(model)


def head_model(*, num_labels: int, dim: int, attention_dropout: bool = True, **options: Any) -> CTran:
    """A model without a backbone, for what follows the image tokens ``[B, P, D]``, which are as wide as its own tokens."""
    torch.manual_seed(0)
    backbone = Backbone("test_resnet")
    backbone.network, backbone.channels = nn.Identity(), dim
    model = CTran(backbone, num_labels=num_labels, **options).eval()
    return model if attention_dropout else without_attention_dropout(model)


def without_attention_dropout(model: CTran) -> CTran:
    """The model, with no dropout of attention weights any more."""
    for layer in model.encoder.stack:
        layer.attention_dropout = 0.0
    return model
