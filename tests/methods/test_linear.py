"""The linear layer on pooled features: its poolings, and that it learns."""

import pytest
import torch
from torch import nn

from ctran.model import Features
from tests.methods.learning import LABELS, learned_map, model_of, random_features

POOLINGS = {"mean": [nn.AdaptiveAvgPool2d(1)], "max": [nn.AdaptiveMaxPool2d(1)]}
POOLINGS["mean_max"] = POOLINGS["mean"] + POOLINGS["max"]


@torch.no_grad()
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_pooling_is_torch_s_own_of_the_map_before_the_linear_layer(pooling):
    model = model_of("linear", f"pooling={pooling}")
    features = random_features(model, 4, (2, 3))
    maps = features.tokens.transpose(1, 2).unflatten(2, features.grid)
    pooled = torch.cat([each(maps).flatten(1) for each in POOLINGS[pooling]], dim=1)
    found = model.predict_labels(features, torch.zeros(4, LABELS, dtype=torch.long))
    assert torch.allclose(found, model.classifier(pooled), atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_it_learns_32_pictures_by_heart(pooling):
    model = model_of("linear", f"pooling={pooling}")
    assert learned_map(model, random_features(model, 32), steps=100) > 0.99


def test_the_maximum_passes_its_gradient_to_the_greatest_cell_alone():
    model = model_of("linear", "pooling=max")
    tokens = random_features(model, 1).tokens.add(torch.rand(1, 9, 1)).requires_grad_()
    model.predict_labels(Features(tokens, (3, 3)), torch.zeros(1, LABELS, dtype=torch.long)).sum().backward()
    reached = tokens.grad != 0
    assert torch.equal(reached, tokens == tokens.amax(dim=1, keepdim=True))
