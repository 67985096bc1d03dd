"""ML-GCN: its formula, what is left of it for one label, and the faults of the public code."""

import numpy as np
import pytest
import torch

from ctran.errors import UserError
from ctran.methods.ml_gcn import Config
from ctran.model import Features
from ctran.training.pipeline import prepare
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe, shipped
from tests.conftest import stirred_module
from tests.methods.learning import LABELS, learned_map, model_of, random_features
from tests.methods.test_statistics import recipe_of, shares

OPTIONS = ("word_vectors=random", "word_dim=6", "hidden_dim=16")


def gcn(labels=LABELS):
    """A model with word vectors and a graph that are neither 0 nor 1."""
    model = stirred_module(model_of("ml_gcn", *OPTIONS, labels=labels))
    draw = torch.Generator().manual_seed(3)
    model.words.vectors.copy_(torch.randn(labels, 6, generator=draw))
    if labels > 1:
        model.adjacency.copy_(torch.rand(labels, labels, generator=draw))
    return model.eval()


def states(pictures, labels=LABELS):
    return torch.zeros(pictures, labels, dtype=torch.long)


@torch.no_grad()
def test_logits_are_those_of_a_literal_loop():
    model, graph = gcn(), None
    features = random_features(model, 3)
    graph, words, first, second = (
        t.double().numpy() for t in (model.adjacency, model.words.vectors, model.first, model.second)
    )
    hidden = [sum(graph[i, j] * words[j] @ first for j in range(LABELS)) for i in range(LABELS)]
    hidden = [np.where(h > 0, h, 0.2 * h) for h in hidden]
    classifiers = [sum(graph[i, j] * hidden[j] @ second for j in range(LABELS)) for i in range(LABELS)]
    for picture, tokens in enumerate(features.tokens.double().numpy()):
        expected = [classifier @ tokens.max(axis=0) for classifier in classifiers]
        found = model.predict_labels(features, states(3))[picture]
        assert np.allclose(found.numpy(), expected, rtol=1e-4, atol=1e-3)
    assert np.allclose(model.label_embeddings().numpy(), classifiers, rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_one_label_is_a_linear_layer():
    model = gcn(labels=1)
    weight = torch.nn.functional.leaky_relu(model.words.vectors @ model.first, 0.2) @ model.second
    features = random_features(model, 4)
    expected = features.tokens.amax(dim=1) @ weight.T
    assert torch.allclose(model.predict_labels(features, states(4, 1)), expected, rtol=1e-4, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("grid", [(3, 3), (14, 14), (15, 20)])
def test_the_last_cell_counts_on_any_grid(grid):
    model = gcn()
    features = random_features(model, 2, grid)
    raised = features.tokens.clone()
    raised[:, -1] += 10
    moved = model.predict_labels(Features(raised, grid), states(2)) - model.predict_labels(features, states(2))
    assert moved.abs().min() > 1e-3


def test_32_pictures_are_learned_by_heart():
    model = model_of("ml_gcn", "word_vectors=random", "word_dim=16", "hidden_dim=16")
    model.words.vectors.copy_(torch.randn(LABELS, 16, generator=torch.Generator().manual_seed(3)))
    model.adjacency.copy_(0.8 * torch.eye(LABELS) + 0.1)
    assert learned_map(model, random_features(model, 32), steps=150) > 0.99


@torch.no_grad()
def test_precomputed_classifiers_give_the_same_logits_without_the_graph():
    model, quick = gcn(), gcn()
    quick.precompute()
    features = random_features(model, 3)
    assert torch.equal(quick.predict_labels(features, states(3)), model.predict_labels(features, states(3)))
    quick.first.fill_(float("nan"))  # not used any more
    assert quick.predict_labels(features, states(3)).isfinite().all() and "fixed" not in quick.state_dict()


def test_stored_features_give_the_same_logits():
    model = gcn()
    features = random_features(model, 3)
    assert torch.equal(model.predict_labels(model.stored(features), states(3)), model.predict_labels(features, states(3)))


def test_fine_tuning_keeps_vectors_of_known_labels_and_computes_the_graph_again(folder, tmp_path):
    words = "\n".join(f"{word} {i} 1" for i, word in enumerate(("blue", "green", "red", "warm")))
    (tmp_path / "words.txt").write_text(words)
    options = ["--model.word_dim", "2", "--model.hidden_dim", "8"]
    vectors = ["--model.word_vectors", f"file:{tmp_path / 'words.txt'}"]
    parts = prepare(recipe_of("ml_gcn", folder, *options, *vectors, "--model.threshold", "0.5"))
    first = parts.tagger
    assert first.model.words.vectors.tolist() == [[0, 1], [1, 1], [2, 1], [3, 1]]
    edges = (first.model.adjacency > 0).fill_diagonal_(False)
    assert torch.equal(edges, (shares(parts.tables["train"]) >= 0.5).fill_diagonal_(False)) and edges.any()  # p(row | column)
    first.model.adjacency.fill_(9)
    first.save(tmp_path / "first")
    (folder / "metadata.csv").write_text((folder / "metadata.csv").read_text().replace("warm", "hot"))
    (tmp_path / "words.txt").write_text("hot 5 5\n")  # the others are read from the model folder
    again = [*options, *vectors, "--model.threshold", "0.5", "--training.init_from", str(tmp_path / "first")]
    second = prepare(recipe_of("ml_gcn", folder, *again)).tagger
    assert second.labels.names == ("blue", "green", "hot", "red")
    assert second.model.words.vectors.tolist() == [[0, 1], [1, 1], [5, 5], [2, 1]]
    assert torch.equal(second.model.first, first.model.first) and second.model.adjacency.max() < 9


def test_training_without_word_vectors_is_refused_with_what_to_give(folder):
    with pytest.raises(UserError, match=r"needs vectors of the label names: give file:PATH .* package:NAME .* or random"):
        prepare(recipe_of("ml_gcn", folder))


@pytest.mark.parametrize("option", [{"threshold": 0.0}, {"threshold": 1.1}, {"neighbour_weight": 1.0}, {"hidden_dim": 0}])
def test_options_out_of_bounds_are_refused(option):
    with pytest.raises(UserError, match=f"model.{next(iter(option))} must"):
        Config(**option)


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("compared/ml_gcn")])
def test_recipes_start_from_a_pretrained_backbone_and_have_its_optimizer(name):
    recipe = read_recipe(find_recipe(name), ["--data.root", "."])
    assert recipe.method == "ml_gcn" and recipe.model.weights == "hub"  # the public scripts build it without
    options = recipe.training
    assert (options.optimizer, options.learning_rate, options.backbone_learning_rate) == ("sgd", 0.1, 0.01)
    assert (options.weight_decay, options.clip_norm) == (1e-4, 10)
