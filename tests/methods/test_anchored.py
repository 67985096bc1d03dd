"""C-Tran with an anchor and other changes beyond the paper."""

from dataclasses import replace

import pytest
import torch

from ctran.labels import LabelState
from ctran.methods._anchored import Anchored
from ctran.methods._encoder_options import Layer
from ctran.model import Backbone, CTran, Features
from tests.model.test_ctran import check_that_hiding_the_image_equals_the_model_without_image

STATES = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)


def small(**options) -> Anchored:
    return Anchored(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, **options).eval()


def with_anchor(features: Features, logits: torch.Tensor) -> Features:
    """Features for which the anchor's logits are given."""
    return replace(features, image_cache={"anchor": logits})


def test_without_its_options_it_is_the_papers_model(images):
    torch.manual_seed(3)
    theirs = CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2).eval()
    torch.manual_seed(3)
    ours = small(anchor=False)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert torch.equal(ours(images, STATES), theirs(images, STATES))


def test_an_anchored_model_is_a_linear_layer_and_what_the_encoder_changes(images):
    model = small()
    features, nothing = model.encode_images(images), torch.zeros(1, 7, dtype=torch.long)
    memory = model.prepare(features).image_cache
    change = model.encode_labels(memory, STATES) - model.encode_labels(None, nothing)
    expected = model.anchor(features.tokens.mean(1)) + change
    assert torch.allclose(model.predict_labels(features, STATES), expected, atol=1e-5)


def test_an_anchored_model_shown_and_told_nothing_says_its_bias(images):
    model = small(soft_states=True)
    torch.nn.init.normal_(model.classifier.bias)
    hide = torch.ones(3, dtype=torch.bool)
    logits = model.predict_labels(model.encode_images(images), torch.zeros_like(STATES), hide_image=hide)
    assert torch.allclose(logits, model.classifier.bias.expand(3, -1), atol=1e-6)


def test_hiding_the_image_of_an_anchored_model_equals_the_model_without_image(images):
    check_that_hiding_the_image_equals_the_model_without_image(small(), images)


def test_a_soft_state_of_probability_one_is_a_known_positive_label(images):
    model = small(soft_states=True, positive_bias=3.0)
    features, sure = model.encode_images(images), torch.full((3, 7), -100.0)
    sure[:, 4] = 100.0
    unknown, told = STATES.clone(), STATES.clone()
    told[:, 4] = LabelState.POSITIVE
    soft = model.predict_labels(with_anchor(features, sure), unknown)
    assert torch.allclose(soft, model.predict_labels(with_anchor(features, sure), told), atol=1e-5)
    assert not torch.allclose(
        soft, model.predict_labels(with_anchor(features, torch.full((3, 7), -100.0)), unknown) + 200 * (sure > 0)
    )


def test_soft_states_are_the_anchors_own_where_none_are_given(images):
    model = small(soft_states=True)
    features = model.encode_images(images)
    given = model.predict_labels(with_anchor(features, model.pooled_logits(features)), STATES)
    assert torch.equal(model.predict_labels(features, STATES), given)


def test_attention_maps_are_of_what_the_model_looks_at(images):
    blind = small(use_image=False, soft_states=True)
    features = blind.encode_images(images)
    assert [m.shape for m in blind.attention(features, STATES)] == [(3, 2, 7, 7)] * 3
    deaf = small(use_states=False)
    nothing = torch.zeros_like(STATES)
    for one, other in zip(deaf.attention(features, STATES), deaf.attention(features, nothing), strict=True):
        assert torch.equal(one, other)


def test_soft_states_without_an_anchor_are_refused():
    with pytest.raises(ValueError, match="soft_states needs an anchor"):
        small(anchor=False, soft_states=True)


def test_attention_leans_towards_known_positive_labels_in_half_of_the_heads(images):
    plain, leaning = small(anchor=False), small(anchor=False, positive_bias=3.0)
    leaning.load_state_dict(plain.state_dict())
    features = plain.encode_images(images)
    positive = features.tokens.shape[1] + (STATES[0] == LabelState.POSITIVE).nonzero()[:, 0]
    before, after = (m.attention(features, STATES)[0] for m in (plain, leaning))
    assert (after[:, 0][..., positive] > before[:, 0][..., positive]).all()
    assert torch.equal(after[:, 1], before[:, 1])
    nothing = torch.zeros_like(STATES)
    assert torch.allclose(leaning.predict_labels(features, nothing), plain.predict_labels(features, nothing), atol=1e-6)


def test_attention_leans_away_from_image_tokens(images):
    plain, leaning = small(anchor=False), small(anchor=False, image_bias=-2.0)
    leaning.load_state_dict(plain.state_dict())
    features = plain.encode_images(images)
    before, after = (m.attention(features, STATES)[0][..., : features.tokens.shape[1]] for m in (plain, leaning))
    assert (after < before).all()
    assert torch.allclose(leaning.encode_labels(None, STATES), plain.encode_labels(None, STATES), atol=1e-6)


def test_token_dropout_takes_whole_channels_and_only_in_training(images):
    model = small(anchor=False, token_dropout=0.5)
    features = model.encode_images(images)
    model.narrow = torch.nn.Identity()
    assert model.image_tokens(features) is features.tokens
    dropped = model.train().image_tokens(features)
    gone = (dropped == 0).all(dim=1)
    assert 0.3 < gone.float().mean() < 0.7
    kept = ~gone[:, None].expand_as(dropped)
    assert torch.allclose(dropped[kept], 2 * features.tokens[kept])


def test_orthogonal_attention_starts_orthogonal():
    layer = Layer(dim=16, num_heads=4, dropout=0.0, attention_dropout=True, orthogonal=True)
    for square in (*layer.qkv.weight.chunk(3), layer.out.weight):
        assert torch.allclose(square @ square.T, torch.eye(16), atol=1e-5)


def test_every_parameter_but_unused_ones_gets_a_gradient(images):
    model = small().train()
    model(images, torch.randint(0, 3, (3, 7))).pow(2).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
