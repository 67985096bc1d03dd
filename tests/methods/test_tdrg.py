"""TDRG: its branches literally, places that attend to their own picture, the loss of each branch, and that it learns."""

import copy

import pytest
import torch
import torch.nn.functional as F

from ctran.errors import UserError
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.methods._detr import sine_positions
from ctran.methods.tdrg import Config, exchanged
from ctran.model import Features, TrainingStep
from tests.conftest import stirred_module
from tests.methods import by_hand
from tests.methods.learning import LABELS, learned_map, model_of, random_features, random_truth
from tests.methods.training import LargestTensor

SMALL = ("token_dim=8", "num_heads=2", "hidden_dim=12", "num_layers=1")


def network(*options, labels=LABELS):
    return stirred_module(model_of("tdrg", *SMALL, *options, labels=labels)).eval()


def features_of(model, pictures, grid=(3, 3), fine=(6, 6)):
    return random_features(model, pictures, grid, maps=[fine])


@torch.no_grad()
def literal(model, features):
    """Logits of one picture by its branches."""
    tokens, grid = features.tokens[0], features.grid
    fine = next(iter(features.maps.values()))
    last = tokens.T.unflatten(1, grid)[None]
    transformer = model.transformer
    scales = [transformer.fine(fine), transformer.last(last), transformer.coarse(last)]
    encoded = []
    for scale in exchanged(scales):
        x = scale[0].flatten(1).T
        codes = sine_positions(scale.shape[2:], 8)
        for layer in transformer.layers:
            mixed = by_hand.attention(layer.attention.mix, x + codes, x + codes, x)
            x = by_hand.norm(layer.attention.norm, x + mixed)
            x = by_hand.norm(layer.network.norm, x + layer.network.narrow(F.gelu(layer.network.wide(x))))
        encoded.append(x)
    of_scales = model.of_scales(torch.cat([x.amax(dim=0) for x in encoded]))
    maps = [[float(a @ z) for z in tokens] for a in model.constraint.weight]
    v = []
    for places in maps:
        shares = torch.tensor(places).sigmoid()
        of_tokens = sum(share * model.of_tokens(z) for share, z in zip(shares, tokens, strict=True))
        of_places = model.of_places(sum(share * f for share, f in zip(shares, encoded[1], strict=True)))
        v.append(torch.cat([of_tokens, of_places]))
    graph, norm = model.graph, model.graph.norm
    context = graph.context(torch.cat([x.mean(dim=0) for x in encoded]))
    g = F.leaky_relu((context - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias, 0.2)
    of_graph = []
    for i in range(LABELS):
        mixed = sum(torch.sigmoid(graph.pairs(torch.cat([g, v[i]]))[k]) * v[k] for k in range(LABELS))
        node = F.leaky_relu(model.mix(F.leaky_relu(mixed, 0.2)), 0.2) + v[i]
        of_graph.append(model.of_graph.weight[i] @ node + model.of_graph.bias[i])
    return of_scales, torch.stack(of_graph), torch.tensor([max(places) for places in maps])


@torch.no_grad()
def test_branches_are_the_formulas_place_by_place_and_label_by_label():
    model = network()
    features = features_of(model, 1, (3, 4), (6, 8))
    found = model.outputs(features)
    for each, expected in zip(found, literal(model, features), strict=True):
        assert torch.allclose(each[0], expected, atol=1e-3, rtol=1e-4)
    predicted = model.predict_labels(features, torch.zeros(1, LABELS, dtype=torch.long))
    assert torch.allclose(predicted, 0.7 * found.transformer + 0.3 * found.graph, atol=1e-5)


def test_scales_exchange_their_product_at_the_largest_size():
    fine, last, coarse = torch.rand(2, 3, 5, 5), torch.rand(2, 3, 3, 3), torch.rand(2, 3, 1, 1)
    large = F.interpolate(last, (5, 5), mode="bilinear", align_corners=True)
    product = fine * large * coarse  # the same everywhere, where there is one place
    found = exchanged([fine, last, coarse])
    assert torch.allclose(found[0], fine + product, atol=1e-6)
    assert torch.allclose(found[1], (large + product)[:, :, ::2, ::2], atol=1e-6)  # every second place of five is one of three
    assert torch.allclose(found[2], (coarse + product)[:, :, :1, :1], atol=1e-6)


@torch.no_grad()
def test_places_attend_to_places_of_their_own_picture_alone():
    """In the repository they attend to the same place of the other pictures."""
    model = network()
    scale = torch.randn(2, 8, 3, 3)
    before = model.transformer.encoded(scale)
    scale[0, :, 0, 0] += 1
    moved = (model.transformer.encoded(scale) - before).abs().amax(dim=2) > 1e-5
    assert moved[0].all() and not moved[1].any()


@torch.no_grad()
def test_places_are_known_by_their_codes_alone():
    scale, mixed = torch.randn(1, 8, 3, 3), torch.randperm(9)
    for positions, same in (("none", True), ("sine", False)):
        transformer = network(f"positions={positions}").transformer
        of_mixed = transformer.encoded(scale.flatten(2)[:, :, mixed].unflatten(2, (3, 3)))
        assert torch.allclose(of_mixed, transformer.encoded(scale)[:, mixed], atol=1e-4) == same


def test_gradients_of_attention_are_right_where_the_product_of_the_scales_is_huge():
    """With the fused kernel they are more than twice what they should be, and overflow for larger scores."""
    layer = network().train().transformer.layers[0].attention
    x, codes = 1e4 * torch.randn(2, 196, 8), torch.zeros(196, 8)
    gradients = []
    for exact in (layer, copy.deepcopy(layer).double()):
        exact.norm, dtype = torch.nn.Identity(), exact.mix.in_proj_weight.dtype
        exact(x.to(dtype), codes.to(dtype)).sum().backward()
        gradients.append(exact.mix.in_proj_weight.grad.double())
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-3 * float(gradients[1].abs().max()))


@torch.no_grad()
@pytest.mark.parametrize(("grid", "places"), [((3, 3), 1), ((14, 14), 10)])
def test_the_constraint_is_the_mean_of_the_greatest_twentieth_and_of_one_place_at_least(grid, places):
    model = network()
    features = features_of(model, 2, grid)
    maps = model.constraint(features.tokens).sort(dim=1, descending=True).values
    assert torch.allclose(model.outputs(features).constraint, maps[:, :places].mean(dim=1), atol=1e-5)


def test_the_graph_does_not_train_the_transformer():
    model = network().train()
    model.outputs(features_of(model, 3)).graph.sum().backward()
    assert all(p.grad is None for p in model.transformer.parameters())
    assert model.constraint.weight.grad.any() and model.graph.context.weight.grad.any()


@torch.no_grad()
def test_the_loss_is_that_of_the_prediction_and_of_each_branch():
    model, truth = network(), random_truth(4)
    features = features_of(model, 4)
    criterion = LabelLoss(BCE())
    states = torch.zeros_like(truth)
    losses = model.loss(TrainingStep(features, truth, states, torch.arange(4)), criterion)
    found = model.outputs(features)
    logits = [model.predict_labels(features, states), found.transformer, found.graph, found.constraint]
    expected = [float(criterion(each, truth, states)) for each in logits]
    assert list(losses) == ["labels", "transformer", "graph", "constraint"]
    assert [float(loss) for loss in losses.values()] == pytest.approx(expected, abs=1e-5)


def test_it_learns_32_pictures_by_heart():
    model = model_of("tdrg", *SMALL)
    assert learned_map(model, features_of(model, 32, fine=(4, 4)), steps=80) > 0.99


@torch.no_grad()
def test_no_tensor_has_places_labels_and_channels_together():
    model = network(labels=500)
    features = features_of(model, 2, (18, 18), (18, 18))
    with LargestTensor() as largest:
        model.predict_labels(features, torch.zeros(2, 500, dtype=torch.long))
    assert largest.elements == 2 * 500 * 500  # the graphs


def test_too_small_maps_and_widths_that_do_not_divide_are_refused():
    model = network()
    with pytest.raises(UserError, match=r"the coarse scale needs at least 3 x 3 image tokens, got 2 x 3; raise"):
        model.outputs(features_of(model, 1, (2, 3)))
    with pytest.raises(
        UserError, match=r"model.token_dim must be a multiple of 4 and of model.num_heads, got 512 channels and 3"
    ):
        Config(num_heads=3)


def test_features_have_the_map_of_stride_16():
    model = network()
    features = model.encode_images(torch.zeros(1, 3, 64, 64))
    assert isinstance(features, Features) and [tuple(m.shape[2:]) for m in features.maps.values()] == [(4, 4)]
