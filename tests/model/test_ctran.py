"""Oracles and invariances of the model."""

import pytest
import torch

from ctran.labels import LabelState
from ctran.model import Backbone, CTran, Features
from ctran.model.attention import Source, weights
from ctran.model.embeddings import LabelTokens
from ctran.model.encoder import Encoder, EncoderLayer


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
    model = CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, anchored=True).eval()
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


# ------------------------------------------------------------------------------------------- options beyond the paper


def small(**options) -> CTran:
    return CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, **options).eval()


STATES = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)


def test_an_anchored_model_is_a_linear_layer_and_what_the_encoder_changes(images):
    model = small(anchored=True)
    features, nothing = model.encode_images(images), torch.zeros(1, 7, dtype=torch.long)
    memory = model.prepare(features).memory
    change = model.encode_labels(memory, STATES) - model.encode_labels(None, nothing)
    expected = model.anchor(features.tokens.mean(1)) + change
    assert torch.allclose(model.predict_labels(features, STATES), expected, atol=1e-5)


def test_an_anchored_model_shown_and_told_nothing_says_its_bias(images):
    model = small(anchored=True, soft_states=True)
    torch.nn.init.normal_(model.classifier.bias)
    hide = torch.ones(3, dtype=torch.bool)
    logits = model.predict_labels(model.encode_images(images), torch.zeros_like(STATES), hide_image=hide)
    assert torch.allclose(logits, model.classifier.bias.expand(3, -1), atol=1e-6)


def test_a_soft_state_of_probability_one_is_a_known_positive_label(images):
    model = small(anchored=True, soft_states=True, positive_bias=3.0)
    features, sure = model.encode_images(images), torch.full((3, 7), -100.0)
    sure[:, 4] = 100.0
    unknown, told = STATES.clone(), STATES.clone()
    told[:, 4] = LabelState.POSITIVE
    soft = model.predict_labels(features, unknown, anchor=sure)
    assert torch.allclose(soft, model.predict_labels(features, told, anchor=sure), atol=1e-5)
    assert not torch.allclose(
        soft, model.predict_labels(features, unknown, anchor=torch.full((3, 7), -100.0)) + 200 * (sure > 0)
    )


def test_soft_states_are_the_anchors_own_where_none_are_given(images):
    model = small(anchored=True, soft_states=True)
    features = model.encode_images(images)
    given = model.predict_labels(features, STATES, anchor=model.pooled_logits(features))
    assert torch.equal(model.predict_labels(features, STATES), given)


def test_attention_maps_are_of_what_the_model_looks_at(images):
    blind = small(use_image=False, anchored=True, soft_states=True)
    features = blind.encode_images(images)
    assert [m.shape for m in blind.attention(features, STATES)] == [(3, 2, 7, 7)] * 3
    deaf = small(use_states=False)
    nothing = torch.zeros_like(STATES)
    for one, other in zip(deaf.attention(features, STATES), deaf.attention(features, nothing), strict=True):
        assert torch.equal(one, other)


def test_soft_states_without_an_anchor_are_refused():
    with pytest.raises(ValueError, match="soft_states needs anchored"):
        small(soft_states=True)


def test_attention_leans_towards_known_positive_labels_in_half_of_the_heads(images):
    plain, leaning = small(), small(positive_bias=3.0)
    leaning.load_state_dict(plain.state_dict())
    features = plain.encode_images(images)
    positive = features.tokens.shape[1] + (STATES[0] == LabelState.POSITIVE).nonzero()[:, 0]
    before, after = (m.attention(features, STATES)[0] for m in (plain, leaning))
    assert (after[:, 0][..., positive] > before[:, 0][..., positive]).all()
    assert torch.equal(after[:, 1], before[:, 1])
    nothing = torch.zeros_like(STATES)
    assert torch.allclose(leaning.predict_labels(features, nothing), plain.predict_labels(features, nothing), atol=1e-6)


def test_attention_leans_away_from_image_tokens(images):
    plain, leaning = small(), small(image_bias=-2.0)
    leaning.load_state_dict(plain.state_dict())
    features = plain.encode_images(images)
    before, after = (m.attention(features, STATES)[0][..., : features.tokens.shape[1]] for m in (plain, leaning))
    assert (after < before).all()
    assert torch.allclose(leaning.encode_labels(None, STATES), plain.encode_labels(None, STATES), atol=1e-6)


def test_a_bias_means_the_same_to_the_fused_kernel_and_to_the_maps():
    layer, h = EncoderLayer(dim=16, num_heads=4, dropout=0.0).eval(), torch.randn(2, 6, 16)
    bias = torch.randn(2, 4, 1, 6)
    q, k, v = layer.project(h)
    mixed = layer.out((weights(q, [Source(k, v, bias)]) @ v).transpose(1, 2).flatten(2))
    after = layer.norm_attention(h + mixed)
    expected = layer.norm_network(after + layer.narrow(torch.relu(layer.wide(after))))
    assert torch.allclose(layer(h, bias), expected, atol=1e-5)


def test_token_dropout_takes_whole_channels_and_only_in_training(images):
    model = small(token_dropout=0.5)
    features = model.encode_images(images)
    model.narrow = torch.nn.Identity()
    assert model._image_tokens(features) is features.tokens
    dropped = model.train()._image_tokens(features)
    gone = (dropped == 0).all(dim=1)
    assert 0.3 < gone.float().mean() < 0.7
    kept = ~gone[:, None].expand_as(dropped)
    assert torch.allclose(dropped[kept], 2 * features.tokens[kept])


def test_a_model_without_states_ignores_what_it_is_told(images):
    model = small(use_states=False)
    assert torch.equal(model(images, STATES), model(images, torch.zeros_like(STATES)))


def test_orthogonal_attention_starts_orthogonal():
    layer = EncoderLayer(dim=16, num_heads=4, dropout=0.0, orthogonal=True)
    for square in (*layer.qkv.weight.chunk(3), layer.out.weight):
        assert torch.allclose(square @ square.T, torch.eye(16), atol=1e-5)


def test_the_papers_defaults():
    model = CTran(Backbone("resnet101"), num_labels=80)
    assert isinstance(model.narrow, torch.nn.Identity)
    assert len(model.encoder.layers) == 3
    layer = model.encoder.layers[0]
    assert (layer.num_heads, layer.dropout, layer.wide.weight.shape) == (4, 0.1, (2048, 2048))
    assert model.labels.label.weight.shape == (80, 2048) and model.anchor is None and not model.anchored


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of the number of heads, got 3"):
        Encoder(dim=16, num_layers=1, num_heads=3, dropout=0.0)


def test_every_parameter_but_unused_ones_gets_a_gradient(images):
    model = CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, anchored=True)
    model(images, torch.randint(0, 3, (3, 7))).pow(2).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_model_runs_under_bf16_autocast(model, images):
    states = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model(images, states)
    assert torch.allclose(low.float(), model(images, states), atol=0.15)
