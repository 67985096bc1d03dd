"""ML-ZSL: its formulas as a loop over labels and relations, labels that were never trained, and where relations come from."""

import pytest
import torch

from ctran.errors import UserError
from ctran.methods.ml_zsl import Config
from ctran.training.pipeline import prepare
from tests.conftest import stirred_module
from tests.methods.learning import LABELS, learned_map, model_of, random_features
from tests.methods.storage import LargestStorage
from tests.methods.test_statistics import recipe_of
from tests.methods.test_wordnet import folder as wordnet  # noqa: F401

SMALL = ("word_vectors=random", "word_dim=6", "hidden_dim=16", "wordnet=labels", "state_dim=3")


def zsl(*options, labels=LABELS, share=0.4):
    """A model with word vectors, and with each relation for a share of the pairs."""
    model = stirred_module(model_of("ml_zsl", *SMALL, *options, labels=labels), scale=0.1)
    draw = torch.Generator().manual_seed(3)
    model.words.vectors.copy_(torch.randn(labels, 6, generator=draw))
    model.relations.copy_(torch.rand(4, labels, labels, generator=draw) < share)
    return model.eval()


def states(pictures, labels=LABELS):
    return torch.zeros(pictures, labels, dtype=torch.long)


@torch.no_grad()
def test_logits_are_those_of_a_literal_loop():
    model = zsl()
    features, words = random_features(model, 2), model.words.vectors
    found = model.predict_labels(features, states(2))
    for picture, tokens in enumerate(features.tokens):
        first = [model.start(torch.cat([tokens.mean(dim=0), word])) for word in words]
        h = first
        for _ in range(5):
            new = []
            for v in range(LABELS):
                message = torch.zeros(3)
                for network, related in zip(model.messages, model.relations, strict=True):
                    for u in range(LABELS):
                        if related[v, u]:
                            message = message + network(torch.cat([words[u], words[v]])).reshape(3, 3) @ h[u]
                new.append(model.update(message[None], h[v][None])[0])
            h = new
        expected = torch.cat([model.output(torch.cat([h[v], first[v]])) for v in range(LABELS)])
        assert torch.allclose(found[picture], expected, atol=1e-4)


@torch.no_grad()
def test_labels_are_reached_over_as_many_relations_as_there_are_steps():
    one, two = zsl("graph_steps=1", share=0), zsl("graph_steps=2", share=0)
    for model in (one, two):
        model.relations[2, 1, 0] = model.relations[0, 2, 1] = True  # 0 sends to 1, 1 to 2
        before = model.predict_labels(random_features(model, 1), states(1))
        model.words.vectors[0] += 5
        moved = (model.predict_labels(random_features(model, 1), states(1)) - before)[0].abs() > 1e-6
        assert moved.tolist() == [True, True, model is two, False, False]


@torch.no_grad()
def test_a_label_that_was_never_trained_has_logits_and_changes_no_other_s():
    model, more = zsl(), zsl(labels=LABELS + 1)
    own = {name: value for name, value in model.state_dict().items() if name not in ("words.vectors", "relations")}
    more.load_state_dict(own, strict=False)
    more.words.vectors[:LABELS] = model.words.vectors
    more.relations.zero_()
    more.relations[:, :LABELS, :LABELS] = model.relations
    more.relations[:, LABELS, :2] = True  # the new label receives and does not send
    features = random_features(model, 2)
    found = more.predict_labels(features, states(2, LABELS + 1))
    assert torch.allclose(found[:, :LABELS], model.predict_labels(features, states(2)), atol=1e-5)


def test_every_relation_has_a_network_that_trains():
    model = zsl().train()
    model.predict_labels(random_features(model, 2), states(2)).square().sum().backward()
    assert all(network[0].weight.grad.any() for network in model.messages)


@torch.no_grad()
def test_precomputed_messages_and_stored_features_give_the_same_logits():
    model, quick = zsl(), zsl()
    features = random_features(model, 3)
    quick.precompute()
    for network in quick.messages:
        network[0].weight.fill_(float("nan"))  # not used any more
    found = quick.predict_labels(quick.stored(features), states(3))
    assert torch.allclose(found, model.predict_labels(features, states(3)), atol=1e-6)


def test_memory_grows_with_relations_and_not_with_pairs_of_labels_and_width():
    model = zsl(labels=300, share=0.002).train()
    with LargestStorage() as found:
        model.predict_labels(random_features(model, 2), states(2, 300)).sum().backward()
    assert found.largest <= (300 * 3) ** 2 < 300 * 300 * 16


def test_32_pictures_are_learned_by_heart():
    model = model_of("ml_zsl", *SMALL, "state_dim=8", "graph_steps=2")
    draw = torch.Generator().manual_seed(3)
    model.words.vectors.copy_(torch.randn(LABELS, 6, generator=draw))
    model.relations.copy_(torch.rand(4, LABELS, LABELS, generator=draw) < 0.2)
    assert learned_map(model, random_features(model, 32), steps=150) > 0.99


def test_relations_come_from_wordnet_by_name(folder, wordnet):  # noqa: F811
    options = [f"--model.{option}" for option in SMALL if not option.startswith("wordnet")]
    named = ["--model.synsets", "[red=dog.n.01,blue=animal,green=none,warm=hot dog]", "--model.wordnet", str(wordnet)]
    model = prepare(recipe_of("ml_zsl", folder, *options, *named)).tagger.model  # blue, green, red, warm
    assert model.relations[0].nonzero().tolist() == [[2, 0]] and not model.relations[:, 1].any()
    with pytest.raises(UserError, match=r"WordNet has no noun for blue, green, red, warm\."):
        prepare(recipe_of("ml_zsl", folder, *options, "--model.wordnet", str(wordnet)))
    with pytest.raises(UserError, match=r"model.wordnet: the method needs the folder of WordNet's files: /usr/share/wordnet"):
        prepare(recipe_of("ml_zsl", folder, *options))


def test_a_matrix_of_messages_larger_than_the_model_is_not_exported():
    assert model_of("ml_zsl", *SMALL).export_obstacle == ""
    assert model_of("ml_zsl", *SMALL, labels=200).export_obstacle == "it has too many labels for that"


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ({"positive_similarity": 0.0}, "model.positive_similarity must"),
        ({"negative_similarity": 1.5}, "model.negative_similarity must"),
        ({"state_dim": 0}, "model.state_dim must"),
        ({"synsets": ("stop.n.05",)}, "model.synsets: expected LABEL=TEXT, such as 'stop sign=stop.n.05', got 'stop.n.05'"),
    ],
)
def test_wrong_options_are_refused(option, why):
    with pytest.raises(UserError, match=why):
        Config(**option)
