"""Query2Label: its layers and position codes literally, who sees whom, and that it learns."""

import math

import pytest
import torch
import torch.nn.functional as F

from ctran.errors import UserError
from ctran.methods._detr import sine_positions
from ctran.model import Features
from tests.conftest import stirred_module
from tests.methods import by_hand
from tests.methods.learning import LABELS, learned_map, model_of, random_features
from tests.methods.training import LargestTensor

SMALL = ("token_dim=16", "num_heads=2", "hidden_dim=24")


def network(*options, labels=LABELS):
    return stirred_module(model_of("query2label", *SMALL, *options, labels=labels)).eval()


@torch.no_grad()
def logits_of(model, features):
    return model.predict_labels(features, torch.zeros(len(features), len(model.queries), dtype=torch.long))


def test_position_codes_are_detr_s_normalised_ones_place_by_place():
    height, width, dim = 3, 5, 16
    expected = torch.empty(height, width, dim)
    for y in range(height):
        for x in range(width):
            for channel in range(dim):
                at, length = (y, height) if channel < dim // 2 else (x, width)
                k = channel % (dim // 2)
                angle = 2 * math.pi * (at + 1) / length / 10000 ** (2 * (k // 2) / (dim // 2))
                expected[y, x, channel] = math.cos(angle) if k % 2 else math.sin(angle)
    assert torch.allclose(sine_positions((height, width), dim), expected.flatten(0, 1), atol=1e-5)


@torch.no_grad()
def literal(model, tokens, grid):
    """Logits of one picture by the attention of :mod:`tests.methods.by_hand`."""
    places = sine_positions(grid, 16)
    attend = lambda layer, x, code, others, codes: by_hand.norm(  # noqa: E731
        layer.norm, x + by_hand.attention(layer.mix, x + code, others + codes, others)
    )
    forward = lambda layer, x: by_hand.norm(layer.norm, x + layer.narrow(F.relu(layer.wide(x))))  # noqa: E731
    image = model.narrow(tokens)
    for layer in model.encoder:
        image = forward(layer.network, attend(layer.attention, image, places, image, places))
    x = torch.zeros(LABELS, 16)
    for layer in model.decoder:
        if layer.labels is not None:
            x = attend(layer.labels, x, model.queries, x, model.queries)
        x = forward(layer.network, attend(layer.image, x, model.queries, image, places))
    return (by_hand.norm(model.norm, x) * model.classifier.weight).sum(dim=1) + model.classifier.bias


@pytest.mark.parametrize("self_attention", ["false", "true"])
def test_logits_are_the_formulas_query_by_query(self_attention):
    model = network(f"self_attention={self_attention}")
    features = random_features(model, 2, (2, 3))
    expected = torch.stack([literal(model, tokens, (2, 3)) for tokens in features.tokens])
    assert torch.allclose(logits_of(model, features), expected, atol=1e-4)


@pytest.mark.parametrize(("self_attention", "others_move"), [("false", False), ("true", True)])
def test_labels_see_each_other_by_self_attention_alone(self_attention, others_move):
    model = network(f"self_attention={self_attention}")
    features = random_features(model, 2)
    before = logits_of(model, features)
    model.queries.data[1] += 1
    moved = (logits_of(model, features) - before).abs() > 1e-5
    assert moved[:, 1].all() and bool(moved[:, [0, 2, 3, 4]].any()) == others_move


def test_the_place_of_a_token_matters():
    model = network()
    features = random_features(model, 1)
    mixed = Features(features.tokens.flip(1), features.grid)
    assert not torch.allclose(logits_of(model, mixed), logits_of(model, features), atol=1e-4)


def test_pictures_of_other_sizes_are_taken():
    model = network()
    assert logits_of(model, random_features(model, 2, (4, 2))).shape == (2, LABELS)


def test_without_a_width_tokens_are_the_backbone_s():
    model = model_of("query2label", "hidden_dim=8")
    assert isinstance(model.narrow, torch.nn.Identity) and model.queries.shape == (LABELS, model.backbone.channels)


def test_it_learns_32_pictures_by_heart():
    model = model_of("query2label", *SMALL)
    assert learned_map(model, random_features(model, 32), steps=100) > 0.99


def test_no_tensor_has_places_labels_and_channels_together():
    model = network(labels=500)
    features = random_features(model, 2, (18, 18))
    with LargestTensor() as largest:
        logits_of(model, features)
    assert largest.elements <= 2 * 2 * 500 * 324  # attention of two heads


def test_a_width_that_does_not_divide_is_refused():
    with pytest.raises(UserError, match=r"token width 16 must be a multiple of 4 and of model.num_heads, got 3 heads"):
        model_of("query2label", "token_dim=16", "num_heads=3")
