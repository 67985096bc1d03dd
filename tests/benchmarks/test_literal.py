"""The yardstick computes what the library computes, or every ratio to it would be of different things."""

from typing import Any

import pytest
import torch

from benchmarks.literal import Literal, head_model
from ctran.losses.label_loss import label_loss
from ctran.model import Backbone, CTran, Features


@pytest.fixture
def states() -> torch.Tensor:
    return torch.tensor([[0, 1, 2, 0, 1, 2, 0], [2, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0]])


def renamed(ours: CTran) -> dict[str, torch.Tensor]:
    """The library's gradients by the names of the literal model."""
    parts = {"narrow.": "shrink.", "classifier.": "readout.", "labels.label.": "label.", "encoder.": ""}
    inner = {".qkv.": ".attention.in_proj_", ".out.": ".attention.out_proj."}
    found = {}
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None, name
        for old, new in parts.items():
            if name.startswith(old):
                name = new + name.removeprefix(old)
                break
        for old, new in inner.items():
            name = name.replace(old, new) if name.startswith("layers.") else name
        found[name] = parameter.grad
    return found


def test_logits_are_those_of_the_library(model: CTran, images: torch.Tensor, states: torch.Tensor):
    torch.testing.assert_close(Literal(model).eval()(images, states), model(images, states), atol=1e-4, rtol=0)


def test_gradients_are_those_of_the_library(images: torch.Tensor, states: torch.Tensor):
    ours = CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, dropout=0.0).train()
    literal = Literal(ours).train()
    truth = torch.ones_like(states) + (torch.rand(states.shape) < 0.5)
    for model in (ours, literal):
        label_loss(model(images, states), truth, states, reduction="sum").backward()
    theirs = {name: p.grad for name, p in literal.named_parameters()}
    state = theirs.pop("state.weight")
    expected = renamed(ours)
    known = expected.pop("labels.known_state")
    assert state is not None
    torch.testing.assert_close(state, torch.cat([torch.zeros(1, 16), known]), atol=1e-4, rtol=1e-3)
    assert theirs.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(theirs[name], gradient, atol=1e-4, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


def test_a_change_of_the_literal_model_leaves_the_library_s_alone(model: CTran, images: torch.Tensor, states: torch.Tensor):
    before = model(images, states)
    with torch.no_grad():
        for parameter in Literal(model).parameters():
            parameter.zero_()
    torch.testing.assert_close(model(images, states), before)


@pytest.mark.parametrize("attention_dropout", [True, False])
def test_dropout_falls_on_attention_weights_where_the_library_s_does(attention_dropout: bool):
    ours = head_model(num_labels=7, dim=16, dropout=0.5, attention_dropout=attention_dropout)
    literal = Literal(ours).train()
    for module in literal.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    features, states = Features(torch.randn(1, 4, 16), (2, 2)), torch.zeros(1, 7, dtype=torch.long)
    same = torch.equal(literal.predict_labels(features, states), literal.predict_labels(features, states))
    assert same == (not attention_dropout)


@pytest.mark.parametrize(
    ("option", "value"), [("positions", "sine"), ("use_states", False), ("image_bias", -2.0), ("attention", "image_first")]
)
def test_options_beyond_the_paper_are_refused(option: str, value: Any):
    ours = CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, **{option: value})
    with pytest.raises(ValueError, match=f"the literal model is the paper's: {option} must be .* got {value!r}"):
        Literal(ours)
