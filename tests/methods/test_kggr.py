"""KGGR: classifiers that exchange messages, on SSGRL's features."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ctran.methods import _semantic
from tests.conftest import stirred_module
from tests.methods.learning import LABELS, learned_map, model_of, random_features
from tests.methods.storage import LargestStorage

SMALL = ("word_vectors=random", "word_dim=6", "attention_dim=16", "output_dim=16")


def kggr(*options, labels=LABELS):
    """A model with word vectors and a graph that are neither 0 nor 1."""
    model = stirred_module(model_of("kggr", *SMALL, *options, labels=labels), scale=0.1)
    draw = torch.Generator().manual_seed(3)
    model.words.vectors.copy_(torch.randn(labels, 6, generator=draw))
    model.shares.copy_(torch.rand(labels, labels, generator=draw))
    return model.eval()


def states(pictures, labels=LABELS):
    return torch.zeros(pictures, labels, dtype=torch.long)


@torch.no_grad()
@pytest.mark.parametrize("gate", ["paper", "released"])
def test_logits_are_products_of_features_and_classifiers_of_the_same_graph(gate):
    model = kggr(f"gate={gate}")
    features = random_features(model, 2)
    first = model.classifier.weight
    last = model.weight_graph(first[None], model.shares)[0]
    found, outputs = model.predict_labels(features, states(2)), model.outputs(features)
    for c in range(LABELS):
        weight = model.weight_output.weight @ torch.cat([last[c], first[c]]) + model.weight_output.bias
        for b in range(2):
            assert torch.allclose(found[b, c], outputs[b, c] @ weight + model.classifier.bias[c], atol=1e-4)


@torch.no_grad()
def test_a_label_s_classifier_depends_on_those_of_labels_that_occur_with_it():
    model = kggr()
    model.shares.copy_(torch.eye(LABELS))
    model.shares[0, 1] = 0.5  # p(1 | 0): messages go both ways, by P and by its transpose
    before = model.classifiers()
    model.classifier.weight[0] += 1
    moved = (model.classifiers() - before).abs().amax(dim=1) > 1e-6
    assert moved.tolist() == [True, True, False, False, False]


@torch.no_grad()
def test_precomputed_classifiers_give_the_same_logits_with_fewer_operations():
    model, quick = kggr(), kggr()
    quick.precompute()
    features, counted = random_features(model, 1), []
    for each in (model, quick):
        with FlopCounterMode(display=False) as counter:
            logits = each.predict_labels(features, states(1))
        counted.append(counter.get_total_flops())
        assert torch.allclose(logits, model.predict_labels(features, states(1)), atol=1e-5)
    assert counted[1] < counted[0]


def test_memory_has_no_tensor_of_places_labels_and_channels(monkeypatch):
    model = kggr(labels=500).train()
    features = random_features(model, 1, (18, 18))
    monkeypatch.setattr(_semantic, "AT_ONCE", 2**16)
    with LargestStorage() as found:
        model.predict_labels(features, states(1, 500)).sum().backward()
    assert found.largest <= max(500 * 3 * 96, 500 * 500) < 81 * 500 * 96


def test_32_pictures_are_learned_by_heart():
    model = model_of("kggr", *SMALL)
    model.words.vectors.copy_(torch.randn(LABELS, 6, generator=torch.Generator().manual_seed(3)))
    model.shares.copy_(torch.eye(LABELS) * 0.8 + 0.2)
    assert learned_map(model, random_features(model, 32, (4, 4)), steps=60) > 0.99
