"""ADD-GCN: its formulas literally, its batch norm, and that it learns."""

import pytest
import torch
import torch.nn.functional as F

from tests.conftest import stirred_module
from tests.methods.learning import LABELS, learned_map, model_of, random_features
from tests.methods.training import LargestTensor


def network(*options, labels=LABELS):
    return stirred_module(model_of("add_gcn", "token_dim=16", *options, labels=labels)).eval()


@torch.no_grad()
def logits_of(model, features):
    return model.predict_labels(features, torch.zeros(len(features), len(model.classifier.bias), dtype=torch.long))


@torch.no_grad()
def literal(model, tokens):
    """Logits of one picture in evaluation mode: sums over places, labels and neighbours one by one."""
    graph, leaky = model.graph, lambda values: F.leaky_relu(values, 0.2)
    maps = [[float(a @ z) for z in tokens] for a in model.maps.weight]
    v = [sum(torch.sigmoid(torch.tensor(m)) * model.narrow(z) for m, z in zip(places, tokens, strict=True)) for places in maps]
    x = []
    for i in range(LABELS):
        neighbours = leaky(sum(graph.adjacency.weight[i, k] * v[k] for k in range(LABELS)))
        x.append(v[i] + leaky(graph.static(neighbours)))
    mean = graph.of_picture.context(sum(x) / LABELS)
    norm = graph.of_picture.norm
    g = leaky((mean - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias)
    logits = []
    for i in range(LABELS):
        of_others = [torch.sigmoid(graph.of_picture.pairs(torch.cat([g, x[i]]))[k]) * x[k] for k in range(LABELS)]
        z = v[i] + leaky(graph.dynamic(leaky(sum(of_others))))
        logits.append((max(maps[i]) + model.classifier.weight[i] @ z + model.classifier.bias[i]) / 2)
    return torch.stack(logits)


def test_logits_are_the_formulas_place_by_place_and_label_by_label():
    model = network()
    model.graph.of_picture.norm.running_mean.normal_()
    model.graph.of_picture.norm.running_var.uniform_(0.5, 2)
    features = random_features(model, 3, (2, 3))
    expected = torch.stack([literal(model, tokens) for tokens in features.tokens])
    assert torch.allclose(logits_of(model, features), expected, atol=1e-3, rtol=1e-4)


def test_without_graph_and_vectors_it_is_half_the_greatest_activation():
    model = network()
    model.narrow.weight.data.zero_()
    model.narrow.bias.data.zero_()
    model.classifier.weight.data.zero_()
    model.classifier.bias.data.zero_()
    features = random_features(model, 3)
    assert torch.allclose(logits_of(model, features), model.maps(features.tokens).amax(dim=1) / 2, atol=1e-5)


def test_the_graph_of_a_picture_depends_on_the_picture_and_is_between_0_and_1():
    model = network()
    v = torch.randn(2, LABELS, 16)
    of_both = model.graph.of_picture(v.mean(dim=1), v)
    assert of_both.shape == (2, LABELS, LABELS) and (of_both > 0).all() and (of_both < 1).all()
    assert not torch.allclose(of_both[0], of_both[1], atol=1e-3)


def test_a_batch_of_one_picture_trains_and_leaves_the_running_statistics():
    model = network().train()
    before = model.graph.of_picture.norm.running_mean.clone()
    logits = model.predict_labels(random_features(model, 1), torch.zeros(1, LABELS, dtype=torch.long))
    logits.sum().backward()
    assert model.graph.of_picture.context.weight.grad.any() and torch.equal(model.graph.of_picture.norm.running_mean, before)
    model.predict_labels(random_features(model, 2), torch.zeros(2, LABELS, dtype=torch.long))
    assert not torch.equal(model.graph.of_picture.norm.running_mean, before)


def test_it_learns_32_pictures_by_heart():
    model = model_of("add_gcn", "token_dim=16")
    assert learned_map(model, random_features(model, 32), steps=100) > 0.99


@pytest.mark.parametrize("labels", [5, 500])
def test_no_tensor_has_places_labels_and_channels_together(labels):
    model = network(labels=labels)
    features = random_features(model, 2, (18, 18))
    with LargestTensor() as largest:
        logits_of(model, features)
    assert largest.elements == max(2 * 324 * 96, 2 * 324 * labels, 2 * labels * labels)
