"""ML-Decoder: its formula literally, groups of labels, and that it learns."""

import pytest
import torch
import torch.nn.functional as F

from ctran.errors import UserError
from ctran.methods.ml_decoder import Config
from ctran.model import Features
from tests.conftest import stirred_module
from tests.methods import by_hand
from tests.methods.learning import LABELS, learned_map, model_of, random_features
from tests.methods.training import LargestTensor

SMALL = ("token_dim=16", "num_heads=2", "hidden_dim=24")


def decoder(*options, labels=LABELS):
    return stirred_module(model_of("ml_decoder", *SMALL, *options, labels=labels)).eval()


@torch.no_grad()
def logits_of(model, features):
    return model.predict_labels(features, torch.zeros(len(features), len(model.bias), dtype=torch.long))


@torch.no_grad()
def literal(model, tokens, label):
    """Logit of one label of one picture."""
    x = F.relu(F.linear(tokens, model.narrow.weight, model.narrow.bias))
    t = by_hand.norm(model.norm_query, model.queries[label // model.group][None])
    t = by_hand.norm(model.norm_attention, t + by_hand.attention(model.cross, t, x, x))
    first, last = model.network[0], model.network[3]
    h = by_hand.norm(model.norm_network, t + last(F.relu(first(t))))
    return float(h[0] @ model.weight[label] + model.bias[label])


@pytest.mark.parametrize("groups", [100, 2])
def test_logits_are_the_formula_label_by_label(groups):
    model = decoder(f"num_groups={groups}")
    features = random_features(model, 2, (2, 3))
    expected = torch.tensor([[literal(model, tokens, label) for label in range(LABELS)] for tokens in features.tokens])
    assert torch.allclose(logits_of(model, features), expected, atol=1e-4)


def test_the_order_of_the_tokens_does_not_matter():
    model = decoder()
    features = random_features(model, 3)
    mixed = Features(features.tokens[:, torch.randperm(9)], features.grid)
    assert torch.allclose(logits_of(model, mixed), logits_of(model, features), atol=1e-5)


@pytest.mark.parametrize(("labels", "groups", "size"), [(5, 100, 1), (5, 2, 3), (7, 3, 3), (1002, 1001, 2)])
def test_groups_are_as_large_as_all_labels_need(labels, groups, size):
    model = decoder(f"num_groups={groups}", labels=labels)
    assert model.group == size and len(model.queries) == min(labels, groups)
    assert model.label_equivariant == (labels <= groups)
    assert logits_of(model, random_features(model, 2)).shape == (2, labels)


def test_labels_of_one_group_share_a_query_and_others_do_not():
    model = decoder("num_groups=2")  # labels 0 to 2, and 3 and 4
    features = random_features(model, 1)
    before = logits_of(model, features)
    model.queries[1] += torch.randn(16)
    assert ((logits_of(model, features) - before).abs()[0] > 1e-4).tolist() == [False, False, False, True, True]


def test_queries_are_not_trained_and_dropout_makes_them_noisy_in_training_alone():
    model = decoder("dropout=0.5")
    assert "queries" not in dict(model.named_parameters()) and "queries" in model.state_dict()
    features = random_features(model, 1)
    assert torch.equal(logits_of(model, features), logits_of(model, features))
    model.train()
    assert not torch.equal(logits_of(model, features), logits_of(model, features))


def test_it_learns_32_pictures_by_heart():
    model = model_of("ml_decoder", *SMALL)
    assert learned_map(model, random_features(model, 32), steps=100) > 0.99


def test_no_tensor_has_places_labels_and_channels_together():
    model = decoder(labels=500)
    features = random_features(model, 2, (18, 18))
    with LargestTensor() as largest:
        logits_of(model, features)
    assert largest.elements == features.tokens.numel() == 2 * 324 * 96  # with places and labels: 324,000


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(UserError, match=r"model.num_heads must divide model.token_dim, got 5 heads and 768 channels"):
        Config(num_heads=5)
