"""The yardstick: the paper's formulas with stock modules, as one would write them down at first.

Attention is :class:`torch.nn.MultiheadAttention` with its averaged weights returned, the readout is one linear layer from every
label token to all labels, of whose ``L x L`` values the diagonal is kept (as in the released code); float32, images in NCHW
order, all tokens through all layers, nothing cached. Weights are those of a :class:`ctran.model.CTran`, so logits are the same.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctran.model import Backbone, CTran, Features
from ctran.model.encoder import EncoderLayer

BEYOND = {
    "positions": "none",
    "use_image": True,
    "use_states": True,
    "anchored": False,
    "positive_bias": 0.0,
    "image_bias": 0.0,
    "token_dropout": 0.0,
}
"""Options of :class:`~ctran.model.CTran` that change the formulas, and what they are in the paper's model."""


class LiteralLayer(nn.Module):
    """Eq. 2 to 4 with residual connections, dropout and LayerNorm, post-norm; weights of ``layer``."""

    def __init__(self, layer: EncoderLayer) -> None:
        super().__init__()
        dim = layer.out.in_features
        self.attention = nn.MultiheadAttention(dim, layer.num_heads, dropout=layer.attention_dropout, batch_first=True)
        self.wide, self.narrow = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm_attention, self.norm_network = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropouts = nn.ModuleList(nn.Dropout(layer.dropout) for _ in range(3))
        names = {"qkv.": "attention.in_proj_", "out.": "attention.out_proj."}
        theirs = layer.state_dict()
        for ours, stock in names.items():
            theirs = {k.replace(ours, stock) if k.startswith(ours) else k: v for k, v in theirs.items()}
        self.load_state_dict(theirs)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens ``[B, N, D]`` -> updated tokens, and the weights averaged over the heads ``[B, N, N]``."""
        mixed, weights = self.attention(h, h, h, need_weights=True, average_attn_weights=True)
        h = self.norm_attention(h + self.dropouts[0](mixed))
        inner = self.dropouts[1](F.relu(self.wide(h)))
        return self.norm_network(h + self.dropouts[2](self.narrow(inner))), weights


class Literal(nn.Module):
    """The paper's model, written down literally, with copies of the weights of ``model``.

    Args:
        model: without options beyond the paper, except ``token_dim`` and ``attention_dropout``, which are followed.

    Raises:
        ValueError: ``model`` has such an option.
    """

    def __init__(self, model: CTran) -> None:
        super().__init__()
        given = {name: getattr(model, name) for name in BEYOND} | {"attention": model.encoder.scheme}
        for name, paper in (BEYOND | {"attention": "full"}).items():
            if given[name] != paper:
                raise ValueError(f"the literal model is the paper's: {name} must be {paper!r}, got {given[name]!r}")
        self.backbone = copy.deepcopy(model.backbone).to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
        self.shrink = copy.deepcopy(model.narrow)
        self.label = nn.Embedding.from_pretrained(model.labels.label.weight.detach().clone(), freeze=False)
        states = torch.cat([model.labels.unknown, model.labels.known_state]).detach()
        self.state = nn.Embedding.from_pretrained(states, freeze=False, padding_idx=0)  # the row of 'unknown' has no gradient
        self.norm = copy.deepcopy(model.encoder.norm)
        layers: Any = model.encoder.layers
        self.layers = nn.ModuleList(LiteralLayer(layer) for layer in layers)
        num_labels, dim = model.classifier.weight.shape
        self.readout = nn.Linear(dim, num_labels)
        self.readout.load_state_dict(model.classifier.state_dict())

    def encode_images(self, images: Tensor) -> Features:
        """Images ``[B, 3, H, W]`` -> image tokens ``[B, P, C]``."""
        return self.backbone(images.contiguous())

    def predict_labels(self, features: Features, states: Tensor) -> Tensor:
        """Image tokens and states ``[B, L]`` -> logits ``[B, L]``."""
        names = torch.arange(states.shape[1], device=states.device).expand_as(states)
        labels = self.label(names) + self.state(states)
        h = self.norm(torch.cat([self.shrink(features.tokens), labels], dim=1))
        maps = []  # returned by the released code, so they live until the end
        for layer in self.layers:
            h, weights = layer(h)
            maps.append(weights)
        everything = self.readout(h[:, -states.shape[1] :])  # (B, L, L)
        return everything.diagonal(dim1=1, dim2=2)

    def forward(self, images: Tensor, states: Tensor) -> Tensor:
        """All of it: logits ``[B, L]``."""
        return self.predict_labels(self.encode_images(images), states)


def paper_model(*, num_labels: int, tiny: bool, **options: Any) -> CTran:
    """The paper's model (ResNet-101, three layers of width 2,048) with random weights in evaluation mode; ``tiny``: a toy."""
    torch.manual_seed(0)
    small: dict[str, Any] = {"token_dim": 16, "num_heads": 2} if tiny else {}
    return CTran(Backbone("test_resnet" if tiny else "resnet101"), num_labels=num_labels, **small, **options).eval()


def head_model(*, num_labels: int, dim: int, **options: Any) -> CTran:
    """A model without a backbone, for what follows the image tokens ``[B, P, D]``, which are as wide as its own tokens."""
    torch.manual_seed(0)
    backbone = Backbone("test_resnet")
    backbone.network, backbone.channels = nn.Identity(), dim
    return CTran(backbone, num_labels=num_labels, **options).eval()
