"""Who attends to whom, and many questions about one image."""

import dataclasses

import pytest
import torch
from torch import nn

from ctran.labels import LabelSpace, LabelState
from ctran.methods import linear
from ctran.methods._anchored import Anchored
from ctran.methods._encoder_options import Layer
from ctran.model import Backbone, CTran, Method
from ctran.model.attention import Source, attend, repeat_rows
from ctran.model.encoder import Encoder, EncoderLayer
from ctran.model.schemes import ENCODERS

LABELS = LabelSpace(tuple("abcdefg"))
SCHEMES = ("full", "image_first", "latent")
STATES = torch.tensor([[0, 1, 2, 0, 0, 2, 0], [0, 0, 0, 0, 0, 0, 0], [2, 1, 0, 0, 1, 2, 0]])
OPTIONS = {
    "plain": {},
    "anchored": {"anchor": True, "soft_states": True, "positive_bias": 2.0, "image_bias": -1.0},
    "one layer": {"num_layers": 1, "anchor": False, "image_bias": -1.0},
    "no image": {"use_image": False, "anchor": True},
    "no states": {"use_states": False},
}


def small(**options) -> CTran:
    """The paper's model; with an ``anchor``, true or false, the one beyond it."""
    kind = Anchored if "anchor" in options else CTran
    model = kind(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, num_latents=3, **options).eval()
    for parameter in model.encoder.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.4)  # large enough that everything matters
    return model


def encoder(scheme: str, **options) -> tuple[Encoder, torch.Tensor, torch.Tensor]:
    """With image tokens of two images, and labels of two."""
    own = {"num_latents": 5} if scheme == "latent" else {}
    made = ENCODERS[scheme](dim=16, num_layers=3, num_heads=4, dropout=0.0, **own, **options).eval()
    for parameter in made.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.4)
    return made, torch.randn(2, 6, 16), torch.randn(2, 9, 16)


# ------------------------------------------------------------------------------------------------------------ who to whom


def test_full_attention_is_a_stack_of_layers_over_all_tokens():
    model, tokens, labels = encoder("full")
    h = model.norm(torch.cat([tokens, labels], dim=1))
    for layer in model.layers:
        h = layer(h)
    assert torch.allclose(model(model.start(labels), model.cache_image(tokens)), h[:, 6:], atol=1e-5)


def test_image_first_is_full_attention_that_hides_labels_from_image_tokens():
    model, tokens, labels = encoder("image_first")
    hidden = torch.zeros(15, 15)
    hidden[:6, 6:] = float("-inf")
    bias = 3.0 * torch.rand(2, 4, 1, 9)
    towards = torch.cat([torch.full((2, 4, 1, 6), -2.0), bias], dim=3) + hidden
    h = model.norm(torch.cat([tokens, labels], dim=1))
    for layer in model.layers:
        h = layer(h, towards)
    assert torch.allclose(model(model.start(labels), model.cache_image(tokens), bias, -2.0), h[:, 6:], atol=1e-5)


def test_latents_attend_to_labels_and_labels_to_image_tokens_and_latents():
    model, tokens, labels = encoder("latent")
    x, y = model.norm(tokens), model.norm(labels)
    z = model.norm(model.latents).expand(2, -1, -1)

    def step(layer, queries, context):
        mixed, _ = nn.functional.multi_head_attention_forward(
            *(t.transpose(0, 1) for t in (queries, context, context)),
            embed_dim_to_check=16,
            num_heads=4,
            in_proj_weight=layer.qkv.weight,
            in_proj_bias=layer.qkv.bias,
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=layer.out.weight,
            out_proj_bias=layer.out.bias,
        )
        h = layer.norm_attention(queries + mixed.transpose(0, 1))
        return layer.norm_network(h + layer.narrow(torch.relu(layer.wide(h))))

    for layer in model.layers:
        z = step(layer, z, y)
        y, x = step(layer, y, torch.cat([x, z], dim=1)), step(layer, x, x)
    assert torch.allclose(model(model.start(labels), model.cache_image(tokens)), y, atol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_lets_a_label_and_an_image_token_move_the_other_labels(scheme):
    model, tokens, labels = encoder(scheme)
    before = model(model.start(labels), model.cache_image(tokens))
    moved = labels.clone()
    moved[0, 2] += torch.randn(16)
    changed = (model(model.start(moved), model.cache_image(tokens)) - before).abs().amax(2) > 1e-5
    assert changed[0].all() and not changed[1].any()
    seen = tokens.clone()
    seen[1, 3] += torch.randn(16)
    changed = (model(model.start(labels), model.cache_image(seen)) - before).abs().amax(2) > 1e-5
    assert changed[1].all() and not changed[0].any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_follows_a_permutation_of_the_labels(scheme):
    model, tokens, labels = encoder(scheme)
    order, memory = torch.randperm(9), model.cache_image(tokens)
    assert torch.allclose(model(model.start(labels[:, order]), memory), model(model.start(labels), memory)[:, order], atol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_attention_maps_are_distributions(images, scheme, options):
    model = small(attention=scheme, **options)
    features = model.encode_images(images)
    places = features.tokens.shape[1] if model.use_image else 0
    maps = model.attention(features, STATES)
    assert [m.shape for m in maps] == [(3, 2, places + 7, places + 7)] * len(model.encoder.layers)
    assert all(torch.allclose(m.sum(3), torch.ones(()), atol=1e-5) for m in maps)
    if scheme != "full":
        assert all((m[:, :, :places, places:] == 0).all() for m in maps)


@pytest.mark.parametrize("scheme", ("full", "image_first"))  # maps of latent are products; its oracle stands above
def test_the_first_map_times_the_values_is_what_the_first_layer_mixes(scheme):
    model, tokens, labels = encoder(scheme)
    first = model.attention(model.start(labels), tokens)[0]
    model.layers = model.layers[:1]
    mixed, layer = [], model.layers[0]
    layer.out.register_forward_pre_hook(lambda _, inputs: mixed.append(inputs[0]))
    model(model.start(labels), model.cache_image(tokens))
    _, _, v = layer.project(model.norm(torch.cat([tokens, labels], dim=1)))
    assert torch.allclose((first @ v).transpose(1, 2).flatten(2)[:, 6:], mixed[-1], atol=1e-5)


# -------------------------------------------------------------------------------------------- many questions, one image


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@torch.no_grad()
def test_many_states_of_an_image_are_predicted_as_one_by_one(images, scheme, options, monkeypatch):
    model = small(attention=scheme, **options)
    states = torch.randint(0, 3, (3 * 4, 7))
    raw = model.encode_images(images)
    features = model.prepare(raw)
    expected = torch.cat([model.predict_labels(raw[i // 4 : i // 4 + 1], states[i : i + 1]) for i in range(12)])
    assert torch.allclose(model.predict_labels(features, states), expected, atol=1e-5)
    assert torch.allclose(model.predict_labels(raw, states), expected, atol=1e-5)
    assert torch.allclose(model.predict_labels(features[1:2], states[4:8]), expected[4:8], atol=1e-5)
    for at_once in (40, 100, 200):  # now in parts: a row or a few of one image, or all rows of two images
        monkeypatch.setattr(Encoder, "tokens_at_once", at_once)
        assert torch.allclose(model.predict_labels(features, states), expected, atol=1e-5)


@pytest.mark.parametrize("at_once", [40, 4096])
@torch.no_grad()
def test_logits_given_for_the_anchor_replace_it_in_parts_too(images, at_once, monkeypatch):
    model = small(anchor=True, soft_states=True)
    states, anchor = torch.randint(0, 3, (3 * 4, 7)), torch.randn(3, 7)
    given = dataclasses.replace(model.encode_images(images), image_cache={"anchor": anchor})
    expected = torch.cat([model.predict_labels(given[i // 4 : i // 4 + 1], states[i : i + 1]) for i in range(12)])
    own = model.predict_labels(model.encode_images(images), states)
    assert not torch.allclose(expected, own, atol=0.1)
    monkeypatch.setattr(Encoder, "tokens_at_once", at_once)
    for features in (given, model.prepare(given)):
        assert torch.allclose(model.predict_labels(features, states), expected, atol=1e-5)


@torch.no_grad()
def test_every_method_predicts_many_states_of_an_image(images):
    model = linear.build(linear.Config("test_resnet", image_size=64), LABELS)
    features = model.prepare(model.encode_images(images))
    assert torch.equal(model.predict_labels(features, STATES.repeat(2, 1))[::2], model.predict_labels(features, STATES))


def test_rows_that_the_images_do_not_divide_are_refused(images):
    for model in (small(), linear.build(linear.Config("test_resnet", image_size=64), LABELS)):
        with pytest.raises(ValueError, match="same number of rows for each of 3 images, got 4 rows"):
            model.predict_labels(model.encode_images(images), torch.zeros(4, 7, dtype=torch.long))


def projections(model: Method, run) -> int:
    """Rows of tokens that go through the attention's and the network's matrices while ``run`` runs."""
    rows = []
    hooks = [
        layer.wide.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].shape[:2].numel()))
        for layer in model.encoder.layers
    ]
    run()
    for hook in hooks:
        hook.remove()
    return sum(rows)


@torch.no_grad()
def test_a_what_if_costs_the_labels_alone_when_the_image_comes_first(images):
    states = torch.randint(0, 3, (10, 7))
    model = small(attention="image_first", num_layers=3)
    places = model.encode_images(images[:1]).tokens.shape[1]
    features = model.prepare(model.encode_images(images[:1]))
    assert projections(model, lambda: model.predict_labels(features, states)) == 3 * 10 * 7
    full = small(num_layers=3)
    features = full.prepare(full.encode_images(images[:1]))
    assert projections(full, lambda: full.predict_labels(features, states)) == 10 * (2 * (places + 7) + 7)


@torch.no_grad()
def test_the_backbone_does_not_run_for_a_question(images):
    model = small(attention="image_first")
    features = model.prepare(model.encode_images(images))
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    model.predict_labels(features, STATES)
    model.predict_labels(features, STATES.repeat_interleave(5, 0))
    assert not calls


def test_shared_keys_give_what_copies_of_them_give():
    q, own, shared = torch.randn(6, 2, 4, 8), torch.randn(2, 6, 2, 3, 8), torch.randn(2, 2, 2, 5, 8)
    bias = torch.randn(6, 2, 1, 3)
    once = attend(q, [Source(*shared, -1.5, shared=True), Source(*own, bias)])
    copied = attend(q, [Source(*(repeat_rows(t, 6) for t in shared), -1.5), Source(*own, bias)])
    assert torch.allclose(once, copied, atol=1e-5)


# ----------------------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_parameter_gets_a_gradient(images, scheme):
    model = small(attention=scheme).train()
    model(images, STATES).pow(2).sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(n.startswith("backbone.") for n in without)  # residual branches that timm starts at zero


@pytest.mark.parametrize("scheme", ("image_first", "latent"))
def test_nothing_of_an_image_depends_on_the_states(images, scheme):
    model = small(attention=scheme)
    features = model.encode_images(images)
    places = features.tokens.shape[1]
    given, unknown = model.attention(features, STATES), model.attention(features, torch.zeros_like(STATES))
    for one, other in zip(given, unknown, strict=True):
        assert torch.equal(one[:, :, :places], other[:, :, :places])


def test_a_latent_model_learns_from_other_labels_through_its_latents():
    """Label 1 is label 0, which only the latents can tell it: the model has no image."""
    model = small(attention="latent", use_image=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    image = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        features = model.encode_images(image)[torch.zeros(64, dtype=torch.long)]
    generator = torch.Generator().manual_seed(0)
    loss = torch.tensor(1.0)
    for _ in range(50):
        truth = torch.randint(1, 3, (64, 7), generator=generator)
        states = truth.clone()
        states[:, 1] = LabelState.UNKNOWN
        target = (truth[:, 0] == LabelState.POSITIVE).float()
        logits = model.predict_labels(features, states)[:, 1]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


# ------------------------------------------------------------------------------------------------------------------- memory


def kept_bytes(run) -> int:
    """Size of all that ``run`` keeps for the backward, each storage once."""
    sizes = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        kept = run()
    assert kept.requires_grad
    return sum(sizes.values())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_layers_that_are_done_again_give_the_same_gradients_from_less(images, scheme):
    model = small(attention=scheme, anchor=False, dropout=0.2, attention_dropout=False).train()
    model.backbone.eval().requires_grad_(False)
    features, found = model.encode_images(images), []
    for again in (False, True):
        model.encoder.activation_checkpointing = again
        model.zero_grad()
        torch.manual_seed(3)
        size = kept_bytes(lambda: model.predict_labels(features, STATES))
        torch.manual_seed(3)
        model.predict_labels(features, STATES).pow(2).sum().backward()
        found.append((size, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    (size, expected), (less, gradients) = found
    assert less < 0.7 * size
    assert gradients.keys() == expected.keys()
    assert all(torch.allclose(gradients[n], expected[n], atol=1e-5, rtol=1e-4) for n in expected)


def test_dropout_drops_its_share_and_keeps_the_mean():
    layer = EncoderLayer(dim=16, num_heads=2, dropout=0.25)
    values = torch.ones(4, 1000, 16)
    dropped = layer._drop(values)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (dropped == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(layer.eval()._drop(values), values)


def test_dropout_of_the_network_before_or_after_its_relu_is_the_same():
    layer = Layer(dim=16, num_heads=2, dropout=0.5, attention_dropout=False, orthogonal=False)
    h = torch.randn(2, 5, 16)
    torch.manual_seed(1)
    ours = layer(h)
    torch.manual_seed(1)
    q, k, v = layer.project(h)
    a = layer.norm_attention(h + layer._drop(layer.out(layer.attend(q, [Source(k, v)]).transpose(1, 2).flatten(2))))
    theirs = layer.norm_network(a + layer._drop(layer.narrow(layer._drop(layer.wide(a).relu()))))
    assert torch.allclose(ours, theirs, atol=1e-6)
