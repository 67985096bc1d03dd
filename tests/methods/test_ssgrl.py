"""SSGRL: its formulas, both reset gates, its memory, and how its parts follow from the training table."""

import pytest
import torch

from ctran.errors import UserError
from ctran.methods import _semantic
from ctran.methods._gated_graph import GatedGraph
from ctran.methods._semantic import SemanticDecoupling, pooled_cells
from ctran.methods.ssgrl import Config
from ctran.training.pipeline import prepare
from tests.conftest import stirred_module
from tests.methods.learning import LABELS, learned_map, model_of, random_features
from tests.methods.storage import LargestStorage
from tests.methods.test_statistics import recipe_of, shares

SMALL = ("word_vectors=random", "word_dim=6", "attention_dim=16", "output_dim=16")


def ssgrl(*options, labels=LABELS):
    """A model with word vectors and a graph that are neither 0 nor 1."""
    model = stirred_module(model_of("ssgrl", *SMALL, *options, labels=labels), scale=0.1)
    draw = torch.Generator().manual_seed(3)
    model.words.vectors.copy_(torch.randn(labels, 6, generator=draw))
    model.shares.copy_(torch.rand(labels, labels, generator=draw))
    return model.eval()


@torch.no_grad()
def test_features_of_a_label_are_the_tokens_weighted_by_a_softmax_over_two_linear_layers():
    part = SemanticDecoupling(channels=10, word_dim=6, dim=4)
    first, second = torch.randn(4, 4), torch.randn(4)  # the published layers, the second after the first
    bias, constant = torch.randn(4), torch.randn(())
    part.score.copy_(second @ first)
    tokens, words = torch.randn(2, 9, 10), torch.randn(3, 6)
    found = part(tokens, words)
    for b in range(2):
        for c in range(3):
            compared = [torch.tanh((part.image.weight @ f) * (part.word.weight @ words[c])) for f in tokens[b]]
            scores = torch.stack([second @ (first @ each + bias) + constant for each in compared])
            expected = sum(share * f for share, f in zip(scores.softmax(dim=0), tokens[b], strict=True))
            assert torch.allclose(found[b, c], expected, atol=1e-5)


@torch.no_grad()
def test_the_vector_of_scores_starts_with_the_spread_of_the_layers_that_it_replaces():
    product = torch.nn.Linear(1024, 1).weight @ torch.nn.Linear(1024, 1024).weight
    score = SemanticDecoupling(channels=8, word_dim=6, dim=1024).score
    assert score.std() == pytest.approx(float(product.std()), rel=0.15)


@torch.no_grad()
@pytest.mark.parametrize("gate", ["paper", "released"])
def test_the_graph_network_is_a_literal_loop_over_labels(gate):
    graph, nodes, share = GatedGraph(dim=5, steps=3, gate=gate), torch.randn(2, 4, 5), torch.rand(4, 4)
    w_z, w_r, w_h = graph.messages.weight.chunk(3)
    b_z, b_r, b_h = graph.messages.bias.chunk(3)
    u_z, c_z = graph.gates.weight[:5], graph.gates.bias[:5]
    u_r, c_r = (u_z, c_z) if gate == "released" else (graph.gates.weight[5:], graph.gates.bias[5:])
    for picture, start in zip(graph(nodes, share), nodes, strict=True):
        h = list(start)
        for _ in range(3):
            new = []
            for i in range(4):
                a = torch.cat([sum(share[i, j] * h[j] for j in range(4)), sum(share[j, i] * h[j] for j in range(4))])
                z = torch.sigmoid(w_z @ a + b_z + u_z @ h[i] + c_z)
                r = torch.sigmoid(w_r @ a + b_r + u_r @ h[i] + c_r)
                candidate = torch.tanh(w_h @ a + b_h + graph.candidate(r * h[i]))
                new.append((1 - z) * h[i] + z * candidate)
            h = new
        assert torch.allclose(picture, torch.stack(h), atol=1e-5)


def test_every_weight_of_the_reset_gate_trains_where_it_has_its_own():
    graph, nodes = GatedGraph(dim=5, steps=2, gate="paper"), torch.randn(1, 3, 5)
    graph(nodes, torch.rand(3, 3)).square().sum().backward()
    assert graph.gates.weight.grad[5:].abs().min() > 0  # the released code's are never used
    assert GatedGraph(dim=5, steps=2, gate="released").gates.weight.shape == (5, 5)


@torch.no_grad()
@pytest.mark.parametrize("width", [96, 12])
def test_logits_are_made_of_the_parts(width):
    model = ssgrl(f"token_dim={width}")
    assert model.graph.candidate.weight.shape == (width, width) and isinstance(model.narrow, torch.nn.Linear) == (width == 12)
    features = random_features(model, 2, (4, 6))
    cells = torch.nn.functional.avg_pool2d(features.tokens.transpose(1, 2).reshape(2, 96, 4, 6), 2).flatten(2).transpose(1, 2)
    first = model.decoupling(model.narrow(cells), model.words.vectors)
    last = model.graph(first, model.shares)
    logits = model.predict_labels(features, torch.zeros(2, LABELS, dtype=torch.long))
    for b in range(2):
        for c in range(LABELS):
            hidden = torch.tanh(model.output(torch.cat([last[b, c], first[b, c]])))
            expected = model.classifier.weight[c] @ hidden + model.classifier.bias[c]
            assert torch.allclose(logits[b, c], expected, atol=1e-4)


def test_an_odd_row_or_column_is_averaged_over_the_cells_that_it_has():
    tokens = torch.arange(6.0)[None, :, None]  # 0 1 2 / 3 4 5
    assert pooled_cells(tokens, (2, 3)).flatten().tolist() == [2.0, 3.5]
    assert pooled_cells(tokens, (1, 6)).flatten().tolist() == [0.5, 2.5, 4.5]
    assert pooled_cells(tokens[:, :1], (1, 1)).flatten().tolist() == [0.0]


@pytest.mark.parametrize("checkpointed", [False, True])
def test_memory_has_no_tensor_of_places_labels_and_channels(monkeypatch, checkpointed):
    """Forward and backward, for 500 labels on 9 x 9 places and 96 channels."""
    model = ssgrl(labels=500).train()
    features = random_features(model, 1, (18, 18))
    monkeypatch.setattr(_semantic, "AT_ONCE", 2**16)  # of 648,000 values
    if checkpointed:
        model.checkpoint_activations()
    with LargestStorage() as found:
        model.predict_labels(features, torch.zeros(1, 500, dtype=torch.long)).sum().backward()
    widest = max(500 * 3 * 96, 500 * 500)  # messages of the graph, its matrix
    assert 2**16 < found.largest <= widest < 81 * 500 * 16 < 81 * 500 * 96


def test_parts_of_the_labels_and_checkpoints_change_neither_logits_nor_gradients(monkeypatch):
    model = ssgrl().train()
    features, states = random_features(model, 2), torch.zeros(2, LABELS, dtype=torch.long)

    def run():
        model.zero_grad()
        logits = model.predict_labels(features, states)
        logits.square().sum().backward()
        return logits.detach(), model.decoupling.word.weight.grad.clone()

    whole = run()
    monkeypatch.setattr(_semantic, "AT_ONCE", 2 * 4 * 16)  # two labels at once, on 2 x 2 places
    parts = run()
    model.checkpoint_activations()
    for found in (parts, run()):
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, whole, strict=True))


def test_32_pictures_are_learned_by_heart():
    model = model_of("ssgrl", *SMALL)
    model.words.vectors.copy_(torch.randn(LABELS, 6, generator=torch.Generator().manual_seed(3)))
    model.shares.copy_(torch.eye(LABELS) * 0.8 + 0.2)
    assert learned_map(model, random_features(model, 32, (4, 4)), steps=60) > 0.99


def test_the_graph_is_that_of_the_training_table(folder):
    parts = prepare(recipe_of("ssgrl", folder, *(f"--model.{option}" for option in SMALL)))
    expected = shares(parts.tables["train"]).T  # P(column | row)
    assert torch.allclose(parts.tagger.model.shares, expected) and not (expected == torch.eye(4)).all()


@pytest.mark.parametrize("option", [{"attention_dim": 0}, {"graph_steps": 0}, {"output_dim": 0}, {"token_dim": 0}])
def test_options_out_of_bounds_are_refused(option):
    with pytest.raises(UserError, match=f"model.{next(iter(option))} must"):
        Config(**option)
