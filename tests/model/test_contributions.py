"""Contributions of image tokens explain a logit: they add up to it, and are exact where the logit is linear in the tokens."""

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ctran.errors import UserTypeError
from ctran.methods._anchored import Anchored
from ctran.methods.linear import Linear
from ctran.model import Backbone, CTran, Features
from ctran.model.contributions import contributions
from ctran.model.fast import fast
from tests.conftest import stirred_module

STATES = torch.tensor([[0, 2, 0, 1, 0], [0, 0, 0, 0, 0], [2, 0, 1, 0, 0]])
VARIANTS = {
    "the paper": {},
    "narrow": {"token_dim": 16},
    "anchored": {"token_dim": 16, "anchor": True},
    "soft states": {"token_dim": 16, "anchor": True, "soft_states": True, "positive_bias": 5.0, "image_bias": -2.0},
    "image first": {"token_dim": 16, "attention": "image_first", "positions": "sine"},
    "latent": {"token_dim": 16, "attention": "latent", "num_latents": 3, "anchor": True},
    "no states": {"token_dim": 16, "use_states": False},
}


def build(**options):
    kind = Anchored if "anchor" in options else CTran
    return stirred_module(kind(Backbone("test_resnet"), num_labels=5, num_heads=2, num_layers=2, **options), 0.1).eval()


@cache
def soft():
    """One model for all examples of a property."""
    return build(token_dim=16, anchor=True, soft_states=True)


@pytest.fixture
def features(generator):
    return Features(torch.rand(3, 6, 96, generator=generator), (2, 3))  # as after a ReLU


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_contributions_sum_to_the_logit_less_that_of_no_picture(options, features):
    model = build(**options)
    states = STATES if model.use_states else torch.zeros_like(STATES)
    with torch.no_grad():
        logits = model.predict_labels(features, states)
        blank = model.predict_labels(features, states, hide_image=torch.ones(3, dtype=torch.bool))
    for label in range(5):
        found = model.contributions(features, STATES, label)
        torch.testing.assert_close(found.sum(dim=1), (logits - blank)[:, label], atol=1e-4, rtol=1e-4)
        assert found.abs().max() > 1e-3


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_a_few_points_of_the_integral_are_enough(options, features):
    model = build(**options)
    few, many = (
        contributions(
            lambda z: model.predict_labels(Features(z, (2, 3)), STATES)[:, 1], features.tokens, torch.zeros(3), steps=n
        )
        for n in (8, 40)
    )
    assert (few - many).abs().max() < 0.15 * many.abs().max()


def test_contributions_to_a_linear_layer_are_its_class_activation_map(features):
    model = stirred_module(Linear(Backbone("test_resnet"), num_labels=5)).eval()
    with torch.no_grad():
        logits = model.predict_labels(features, STATES)
    for label in range(5):
        found = model.contributions(features, STATES, label)
        torch.testing.assert_close(found, features.tokens @ model.classifier.weight[label] / 6, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.sum(dim=1) + model.classifier.bias[label], logits[:, label], atol=1e-5, rtol=1e-4)


def test_contributions_to_an_anchor_without_an_encoder_are_its_class_activation_map(features):
    model = build(token_dim=16, anchor=True)
    with torch.no_grad():
        model.classifier.weight.zero_()  # the encoder's part is constant
    found = model.contributions(features, STATES, 1)
    torch.testing.assert_close(
        found,
        features.tokens @ model.anchor.weight[1] / 6 + (model.anchor.bias - model.classifier.bias)[1] / 6,
        atol=1e-5,
        rtol=1e-4,
    )


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(6)), label=st.integers(0, 4), seed=st.integers(0, 99))
def test_contributions_move_with_the_tokens_and_do_not_depend_on_other_pictures(order, label, seed):
    """Without positions the places have no order, so a mirrored grid of tokens has the mirrored map."""
    model = soft()
    tokens = torch.randn(3, 6, 96, generator=torch.Generator().manual_seed(seed))
    found = model.contributions(Features(tokens, (2, 3)), STATES, label)
    moved = model.contributions(Features(tokens[:, order], (2, 3)), STATES, label)
    torch.testing.assert_close(moved, found[:, order], atol=1e-4, rtol=1e-3)
    alone = model.contributions(Features(tokens[1:2], (2, 3)), STATES[1:2], label)
    torch.testing.assert_close(alone, found[1:2], atol=1e-4, rtol=1e-3)


def test_contributions_rank_places_as_leaving_one_out_does():
    """Leave-one-out: the logit less that with one token replaced by the average of the picture."""
    torch.manual_seed(3)
    model = build(token_dim=16, anchor=True, soft_states=True)
    tokens = torch.randn(1, 12, 96)
    with torch.no_grad():
        logit = model.predict_labels(Features(tokens, (3, 4)), STATES[:1])[0, 4]
        without = tokens.repeat(12, 1, 1)
        without[range(12), range(12)] = tokens.mean(dim=1)
        left_out = logit - model.predict_labels(Features(without, (3, 4)), STATES[:1].expand(12, -1))[:, 4]
    found = model.contributions(Features(tokens, (3, 4)), STATES[:1], 4)[0]
    assert torch.corrcoef(torch.stack([found, left_out]))[0, 1] > 0.9


def test_known_labels_change_the_contributions(features):
    model = build(token_dim=16)
    one, other = (model.contributions(features, states, 4) for states in (STATES, torch.zeros_like(STATES)))
    assert (one[0] - other[0]).abs().max() > 1e-3
    torch.testing.assert_close(one[1], other[1])


def test_a_fast_model_has_the_same_map_up_to_rounding(images):
    model = stirred_module(Anchored(Backbone("test_resnet"), num_labels=5, token_dim=16, num_heads=2)).eval()
    quick = fast(model)
    with torch.inference_mode():  # as a predictor calls it
        exact, rounded = (m.contributions(m.encode_images(images), STATES, 2) for m in (model, quick))
    torch.testing.assert_close(rounded, exact, atol=0.05 * float(exact.abs().max()), rtol=0.1)


def test_a_model_without_image_refuses(features):
    model = build(token_dim=16, use_image=False)
    assert not model.has_contributions and not model.has_attention
    with pytest.raises(UserTypeError, match="cannot show"):
        model.contributions(features, STATES, 0)


def test_the_integral_of_a_polynomial_is_exact(generator):
    """f(z) = (sum z)^3: the parts are those of the definition, worked out by hand."""
    tokens = torch.randn(2, 4, 3, generator=generator).double()
    found = contributions(lambda z: z.sum(dim=(1, 2)) ** 3, tokens, torch.zeros(2))
    total = tokens.sum(dim=(1, 2))
    own = (tokens - tokens.mean(dim=1, keepdim=True)).sum(dim=2)
    expected = total[:, None] ** 3 / 4 + own * 3 * total[:, None] ** 2  # the sum does not change along the path
    torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=1e-4)
