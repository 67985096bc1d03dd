"""The released code's models, stated anew from its formulas with stock modules: the oracle of the conversion."""

from collections import OrderedDict
from functools import cache

import numpy as np
import torch
import torchvision
from torch import nn

NUM_LABELS, DIM = 5, 2048
SIZE = {"coco": 64, "cub": 107}  # 2 x 2 image tokens either way


class ReleasedLayer(nn.Module):
    """Self-attention and a network as wide as the tokens, each followed by residual sum and LayerNorm; tokens first."""

    def __init__(self, heads):
        super().__init__()
        inner = self.transformer_layer = nn.Module()
        inner.self_attn = nn.MultiheadAttention(DIM, heads)
        inner.linear1, inner.linear2 = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)
        inner.norm1, inner.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)

    def forward(self, h):
        inner = self.transformer_layer
        h = inner.norm1(h + inner.self_attn(h, h, h)[0])
        return inner.norm2(h + inner.linear2(inner.linear1(h).relu()))


class ReleasedModel(nn.Module):
    """Both released models at test time (no dropout), with the released names. ``mask``: -1 unknown, 0 absent, 1 present."""

    def __init__(self, kind, num_labels=NUM_LABELS, num_layers=1, heads=4):
        super().__init__()
        self.kind = kind
        self.backbone = nn.Module()
        if kind == "coco":
            self.backbone.base_network = torchvision.models.resnet101(weights=None)
        else:
            network = torchvision.models.inception_v3(weights=None, num_classes=312, init_weights=False)
            del network.fc
            self.backbone.base_network = network
            self.type_lt = nn.Embedding(2, DIM)
        self.label_lt = nn.Embedding(num_labels, DIM)
        self.known_label_lt = nn.Embedding(3, DIM, padding_idx=0)
        self.self_attn_layers = nn.ModuleList(ReleasedLayer(heads) for _ in range(num_layers))
        self.output_linear = nn.Linear(DIM, num_labels)
        self.LayerNorm = nn.LayerNorm(DIM)

    def features(self, images):
        n = self.backbone.base_network
        if self.kind == "coco":
            x = n.maxpool(n.bn1(n.conv1(images)).relu())
            return n.layer4(n.layer3(n.layer2(n.layer1(x))))
        x = nn.functional.max_pool2d(n.Conv2d_2b_3x3(n.Conv2d_2a_3x3(n.Conv2d_1a_3x3(images))), 3, 2)
        x = nn.functional.max_pool2d(n.Conv2d_4a_3x3(n.Conv2d_3b_1x1(x)), 3, 2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = getattr(n, f"Mixed_{name}")(x)
        return x

    def forward(self, images, mask, use_lmt=True):
        z = self.features(images).flatten(2).transpose(1, 2)
        labels = self.label_lt.weight.expand(len(images), -1, -1)
        if use_lmt:
            rows = torch.empty_like(mask).masked_fill(mask == -1, 0).masked_fill(mask == 0, 1).masked_fill(mask == 1, 2)
            labels = labels + self.known_label_lt(rows)
        h = self.LayerNorm(torch.cat([z, labels], dim=1)).transpose(0, 1)
        for layer in self.self_attn_layers:
            h = layer(h)
        every = self.output_linear(h.transpose(0, 1)[:, -mask.shape[1] :])  # each token against each label's weights
        return every.diagonal(dim1=1, dim2=2)


def randomised(module, generator):
    """Every tensor random, norms too."""
    for name, tensor in module.state_dict().items():
        low, high = -0.1, 0.1
        if tensor.ndim == 1 and name.endswith("weight"):
            low, high = 0.4, 1.0
        elif tensor.ndim > 1:
            high = (6 / tensor[0].numel()) ** 0.5 if tensor.ndim == 4 else (3 / tensor.shape[1]) ** 0.5
            low = -high
        if tensor.is_floating_point():
            tensor.uniform_(low, high, generator=generator)
        else:
            tensor.fill_(7)
    return module


def released(kind, **options):
    """A released model at test time, random. Its running statistics are those of a random batch, so that tokens depend on the
    image after a hundred layers; variances a fifth larger, so that these layers do not blow up rounding as trained ones do not
    either. It is made on the meta device: nothing is drawn twice."""
    generator = torch.Generator().manual_seed(1)
    with torch.device("meta"):
        module = ReleasedModel(kind, **options)
    module = randomised(module.to_empty(device="cpu"), generator)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        module.train().features(torch.randn(8, 3, SIZE[kind], SIZE[kind], generator=generator))
        for norm in norms:
            norm.running_var *= 1.2
    return module.eval()


def flat(kind, **options):
    """A state dict of the right names and shapes that takes no memory."""
    return {name: torch.zeros((), dtype=t.dtype).expand(t.shape) for name, t in shapes(kind, **options).items()}


@cache
def shapes(kind, **options):
    """A state dict on the meta device."""
    with torch.device("meta"):
        return ReleasedModel(kind, **options).state_dict()


def logged(weights):
    """What the released logger saves: the weights beside figures of the run, some of them NumPy's."""
    map_ = np.float64(0.5)
    beside = {"valid_mAP": map_, "test_mAP": map_, "valid_loss": 1.5, "test_loss": 1.5}
    return {"epoch": 3, "state_dict": OrderedDict(weights), **beside}


def assert_same_logits(ours, theirs, tolerance=1e-4):
    """Relative to the largest logit."""
    assert theirs.isfinite().all() and theirs.std(0).min() > 0.01 * theirs.abs().max(), "the oracle must tell inputs apart"
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()
