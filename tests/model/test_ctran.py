"""Oracles and invariances of the model."""

import pytest
import torch

from ctran.labels import LabelState
from ctran.model import Backbone, CTran, Features
from ctran.model.attention import Source, weights
from ctran.model.embeddings import LabelTokens
from ctran.model.encoder import EncoderLayer
from ctran.model.schemes.full import FullEncoder


@pytest.fixture
def tokens() -> LabelTokens:
    return LabelTokens(num_labels=5, dim=8)


def test_encoder_layer_computes_what_torchs_does():
    ours = EncoderLayer(dim=16, num_heads=4, dropout=0.1).eval()
    theirs = torch.nn.TransformerEncoderLayer(16, 4, 16, dropout=0.1, activation="relu", batch_first=True).eval()
    pairs = {
        "self_attn.in_proj_weight": ours.qkv.weight,
        "self_attn.in_proj_bias": ours.qkv.bias,
        "self_attn.out_proj.weight": ours.out.weight,
        "self_attn.out_proj.bias": ours.out.bias,
        "linear1.weight": ours.wide.weight,
        "linear1.bias": ours.wide.bias,
        "linear2.weight": ours.narrow.weight,
        "linear2.bias": ours.narrow.bias,
        "norm1.weight": ours.norm_attention.weight,
        "norm1.bias": ours.norm_attention.bias,
        "norm2.weight": ours.norm_network.weight,
        "norm2.bias": ours.norm_network.bias,
    }
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    theirs.load_state_dict(pairs)
    h = torch.randn(3, 11, 16)
    # a fresh tensor in training mode keeps torch off its fused inference path
    assert torch.allclose(ours(h), theirs.train(False)(h.requires_grad_()), atol=1e-5)


def test_attention_maps_are_those_of_multi_head_attention():
    layer = EncoderLayer(dim=16, num_heads=4, dropout=0.0).eval()
    oracle = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    oracle.load_state_dict(
        {
            "in_proj_weight": layer.qkv.weight,
            "in_proj_bias": layer.qkv.bias,
            "out_proj.weight": layer.out.weight,
            "out_proj.bias": layer.out.bias,
        }
    )
    h = torch.randn(2, 6, 16)
    _, maps = oracle(h, h, h, average_attn_weights=False)
    q, k, v = layer.project(h)
    assert torch.allclose(weights(q, [Source(k, v)]), maps, atol=1e-6)


def test_attention_does_not_change_what_is_predicted(model, images):
    states = torch.zeros(3, 7, dtype=torch.long)
    features = model.encode_images(images)
    before = model.predict_labels(features, states)
    maps = model.attention(features, states)
    assert torch.equal(model.predict_labels(features, states), before)
    n = features.tokens.shape[1] + 7
    assert [m.shape for m in maps] == [(3, 2, n, n)] * 3
    assert torch.allclose(maps[0].sum(-1), torch.ones(3, 2, n), atol=1e-5)


def test_unknown_state_is_zero_and_stays_zero(tokens):
    optimizer = torch.optim.SGD(tokens.parameters(), lr=1.0)
    tokens(torch.tensor([[0, 1, 2, 0, 0]])).pow(2).sum().backward()
    optimizer.step()
    assert (tokens.unknown == 0).all()
    assert torch.equal(tokens(torch.zeros(1, 5, dtype=torch.long))[0], tokens.label.weight)


def test_showing_one_label_moves_only_its_own_token(tokens):
    hidden = torch.zeros(1, 5, dtype=torch.long)
    shown = hidden.clone()
    shown[0, 2] = LabelState.POSITIVE
    moved = (tokens(hidden) != tokens(shown)).any(-1)[0]
    assert moved.tolist() == [False, False, True, False, False]
    assert torch.allclose(tokens(shown)[0, 2], tokens.label.weight[2] + tokens.known_state[1])


def test_states_of_another_label_space_are_refused(tokens):
    with pytest.raises(ValueError, match="expected states of 5 labels, got 4"):
        tokens(torch.zeros(1, 4, dtype=torch.long))


def test_logits_follow_a_permutation_of_the_labels(model, images):
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    states = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)
    before = model(images, states)
    for parameter in (model.labels.label.weight, model.classifier.weight, model.classifier.bias):
        parameter.data = parameter.data[order]
    assert torch.allclose(model(images, states[:, order]), before[:, order], atol=1e-5)


def test_logits_do_not_depend_on_the_order_of_image_tokens(model, images):
    states = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)
    features = model.encode_images(images)
    order = torch.randperm(features.tokens.shape[1])
    moved = Features(features.tokens[:, order], features.grid)
    assert torch.allclose(model.predict_labels(moved, states), model.predict_labels(features, states), atol=1e-5)


def test_an_image_does_not_see_its_neighbours_in_the_batch(model, images):
    states = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)
    assert torch.allclose(model(images, states)[1:2], model(images[1:2], states[1:2]), atol=1e-5)


def test_two_calls_equal_one(model, images):
    states = torch.tensor([[0, 0, 2, 0, 1, 0, 0]] * 3)
    assert torch.equal(model(images, states), model.predict_labels(model.encode_images(images), states))


def test_without_image_the_picture_does_not_matter(images):
    blind = CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, use_image=False).eval()
    states = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)
    logits = blind(images, states)
    assert torch.equal(logits[0], logits[1])


def test_hiding_the_image_equals_the_model_without_image(images):
    model = CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2).eval()
    check_that_hiding_the_image_equals_the_model_without_image(model, images)


def check_that_hiding_the_image_equals_the_model_without_image(model, images):
    states = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)
    features = model.encode_images(images)
    shown = model.predict_labels(features, states)
    hide = torch.tensor([True, False, True])
    mixed = model.predict_labels(features, states, hide_image=hide)
    model.use_image = False
    hidden = model.predict_labels(features, states)
    assert torch.allclose(mixed[hide], hidden[hide], atol=1e-6)
    assert torch.allclose(mixed[~hide], shown[~hide], atol=1e-6)
    assert not torch.allclose(shown, hidden)


# ---------------------------------------------------------------------------------------------------------- ablations


def small(**options) -> CTran:
    return CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, **options).eval()


STATES = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)


def test_a_bias_means_the_same_to_the_fused_kernel_and_to_the_maps():
    layer, h = EncoderLayer(dim=16, num_heads=4, dropout=0.0).eval(), torch.randn(2, 6, 16)
    bias = torch.randn(2, 4, 1, 6)
    q, k, v = layer.project(h)
    mixed = layer.out((weights(q, [Source(k, v, bias)]) @ v).transpose(1, 2).flatten(2))
    after = layer.norm_attention(h + mixed)
    expected = layer.norm_network(after + layer.narrow(torch.relu(layer.wide(after))))
    assert torch.allclose(layer(h, bias), expected, atol=1e-5)


def test_a_model_without_states_ignores_known_labels(images):
    model = small(use_states=False)
    assert torch.equal(model(images, STATES), model(images, torch.zeros_like(STATES)))


def test_the_papers_defaults():
    with torch.device("meta"):
        model = CTran(Backbone("resnet101"), num_labels=80)
    assert isinstance(model.narrow, torch.nn.Identity)
    assert len(model.encoder.layers) == 3
    layer = model.encoder.layers[0]
    assert (layer.num_heads, layer.dropout, layer.wide.weight.shape) == (4, 0.1, (2048, 2048))
    assert model.labels.label.weight.shape == (80, 2048)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of the number of heads, got 3"):
        FullEncoder(dim=16, num_layers=1, num_heads=3, dropout=0.0)


def test_model_runs_under_bf16_autocast(model, images):
    states = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model(images, states)
    assert torch.allclose(low.float(), model(images, states), atol=0.15)
