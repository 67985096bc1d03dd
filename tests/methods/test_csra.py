"""CSRA: the formula of its paper literally, its limits, and that it learns."""

import math

import pytest
import torch
import torch.nn.functional as F

from ctran.errors import UserError
from ctran.methods.csra import TEMPERATURES, Config
from tests.methods.learning import LABELS, learned_map, model_of, random_features
from tests.methods.training import LargestTensor

NOTHING_KNOWN = torch.zeros(3, LABELS, dtype=torch.long)


@torch.no_grad()
def logits_of(model, features):
    return model.predict_labels(features, NOTHING_KNOWN)


@pytest.mark.parametrize("heads", TEMPERATURES)
def test_logits_are_the_formula_place_by_place(heads):
    model = model_of("csra", f"num_heads={heads}", "attention_weight=0.3")
    features = random_features(model, 3, (2, 3))
    expected = torch.zeros(3, LABELS)
    for image in range(3):
        for label in range(LABELS):
            for head, temperature in enumerate(TEMPERATURES[heads]):
                w = model.weight[label, head].detach()
                s = [float(z @ w) / float(w.square().sum()) ** 0.5 for z in features.tokens[image]]
                if temperature == math.inf:
                    high = max(s)
                else:
                    shares = [math.exp(temperature * each) for each in s]
                    high = sum(share * each for share, each in zip(shares, s, strict=True)) / sum(shares)
                expected[image, label] += sum(s) / len(s) + 0.3 * high
    assert torch.allclose(logits_of(model, features), expected, atol=1e-4)


def test_one_head_without_attention_is_average_pooling_with_weights_of_length_1():
    model = model_of("csra", "num_heads=1", "attention_weight=0")
    features = random_features(model, 3)
    linear = F.linear(features.tokens.mean(dim=1), F.normalize(model.weight[:, 0], dim=1))
    assert torch.allclose(logits_of(model, features), linear, atol=1e-5)


def test_the_length_of_a_weight_vector_does_not_matter():
    model = model_of("csra")
    features = random_features(model, 3)
    before = logits_of(model, features)
    model.weight.data *= torch.rand(LABELS, 4, 1) + 0.5
    assert torch.allclose(logits_of(model, features), before, atol=1e-4)


def test_the_greatest_score_is_the_limit_of_high_temperatures(monkeypatch):
    model = model_of("csra", "num_heads=2")
    features = random_features(model, 3)
    greatest = logits_of(model, features)
    monkeypatch.setattr(model, "temperatures", (1.0, 1e5))
    assert torch.allclose(logits_of(model, features), greatest, atol=1e-4)


def test_it_learns_32_pictures_by_heart():
    model = model_of("csra")
    assert learned_map(model, random_features(model, 32), steps=100) > 0.99


def test_no_tensor_has_places_labels_and_channels_together():
    model = model_of("csra", labels=500)
    features = random_features(model, 2, (18, 18))
    with LargestTensor() as largest, torch.no_grad():
        model.predict_labels(features, torch.zeros(2, 500, dtype=torch.long))
    assert largest.elements == 2 * 324 * 500 * 4  # scores of four heads


def test_other_numbers_of_heads_are_refused():
    with pytest.raises(UserError, match=r"model.num_heads must be one of 1, 2, 4, 6, 8, got 3"):
        Config(num_heads=3)
