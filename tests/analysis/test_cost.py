"""What a method costs, against counts by hand."""

import torch
from torch import nn

from ctran.analysis.cost import cost_of, multiply_adds
from ctran.labels import LabelSpace
from ctran.methods import ctran, linear
from ctran.methods._base import build
from ctran.model import Backbone
from tests.networks import toy_convnet

LABELS = LabelSpace(tuple("abcde"))


def test_multiply_adds_of_a_product_and_of_attention():
    layer, x = nn.Linear(8, 4), torch.zeros(3, 8)
    assert multiply_adds(lambda: layer(x)) == 3 * 8 * 4
    q = torch.zeros(1, 2, 5, 8)
    assert multiply_adds(lambda: nn.functional.scaled_dot_product_attention(q, q, q)) == 2 * (2 * 5 * 5 * 8)


def test_cost_of_a_linear_layer_is_its_weights_and_nothing_of_the_backbone():
    model = build("linear", linear.Config(backbone=toy_convnet.__name__, image_size=64), LABELS).eval()
    with torch.inference_mode():
        features = model.encode_images(torch.zeros(1, 3, 64, 64))
    cost, channels = cost_of(model, features, 5), model.backbone.channels
    assert (cost.parameters, cost.picture, cost.changed) == (5 * channels + 5, 5 * channels, 5 * channels)


def test_a_changed_label_costs_less_where_the_image_is_prepared():
    config = ctran.Config(backbone=toy_convnet.__name__, image_size=64, token_dim=16, attention="image_first")
    model = build("ctran", config, LABELS).eval()
    with torch.inference_mode():
        features = model.encode_images(torch.zeros(1, 3, 64, 64))
    cost = cost_of(model, features, 5)
    assert 0 < cost.changed < cost.picture


class Queries(linear.Linear):
    """A layer of it gets a parameter as its input."""

    def pooled(self, features):
        self.rows = nn.Linear(self.classifier.in_features, 4)
        return super().pooled(features) + self.rows(self.classifier.weight).sum()


def test_a_parameter_may_be_the_input_of_a_layer_and_trains_afterwards():
    model = Queries(Backbone(toy_convnet.__name__), num_labels=5).eval()
    model.backbone.requires_grad_(False)
    with torch.inference_mode():
        features = model.encode_images(torch.zeros(1, 3, 64, 64))
    channels = model.backbone.channels
    assert cost_of(model, features, 5).picture == 5 * channels * 4 + 5 * channels
    assert model.classifier.weight.requires_grad and not any(p.requires_grad for p in model.backbone.parameters())
