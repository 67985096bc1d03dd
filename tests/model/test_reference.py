"""The paper's formulas on one page compute what the library computes."""

import pytest
import torch

from benchmarks.models import Literal, head_model, reference_weights
from ctran.labels import LabelState
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.methods._anchored import Anchored
from ctran.model import Backbone, CTran, Features, reference


@pytest.fixture
def states() -> torch.Tensor:
    return torch.tensor([[0, 1, 2, 0, 1, 2, 0], [2, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0]])


def small(**options) -> CTran:
    return CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, **options)


def test_logits_are_those_of_the_library(model: CTran, images: torch.Tensor, states: torch.Tensor):
    torch.testing.assert_close(Literal(model).eval()(images, states), model(images, states), atol=1e-4, rtol=0)


def test_gradients_are_those_of_the_library(images: torch.Tensor, states: torch.Tensor):
    ours = small(dropout=0.0).train()
    theirs = Literal(ours).train()
    truth = torch.ones_like(states) + (torch.rand(states.shape) < 0.5)
    for model in (ours, theirs):
        LabelLoss(BCE(), reduction="sum")(model(images, states), truth, states).backward()
    for parameter in ours.parameters():
        assert parameter.grad is not None
        parameter.data = parameter.grad  # so that the gradients get the names of the reference
    expected = reference_weights(ours)
    expected["state.weight"][0] = 0
    for name, parameter in theirs.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(
            parameter.grad, expected[name], atol=1e-4, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}"
        )


def test_the_loss_is_that_of_the_library(states: torch.Tensor):
    logits, truth = torch.randn(3, 7), torch.randint(1, 3, (3, 7))
    torch.testing.assert_close(reference.loss(logits, truth, states), LabelLoss(BCE())(logits, truth, states))


def test_label_masks_hide_a_quarter_to_all_of_the_labels_and_show_the_truth_of_the_others():
    truth = torch.randint(1, 3, (4000, 7))
    states = reference.mask_labels(truth, torch.Generator().manual_seed(0))
    hidden = states == LabelState.UNKNOWN
    assert torch.equal(states[~hidden], truth[~hidden])
    counts = hidden.sum(dim=1).bincount(minlength=8) / 4000
    assert not counts[:2].any()  # two of seven are the first whole number above a quarter
    torch.testing.assert_close(counts[2:], torch.full((6,), 1 / 6), atol=0.03, rtol=0)
    torch.testing.assert_close(hidden.float().mean(dim=0), torch.full((7,), 4.5 / 7), atol=0.03, rtol=0)


def test_a_change_of_the_reference_leaves_the_library_s_weights_alone(model: CTran, images: torch.Tensor, states: torch.Tensor):
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
    ("option", "value"), [("positions", "sine"), ("use_states", False), ("use_image", False), ("attention", "image_first")]
)
def test_ablations_and_other_attention_are_refused(option: str, value: object):
    name = "scheme" if option == "attention" else option
    with pytest.raises(ValueError, match=f"the reference is the paper's model: {name} must be .* got {value!r}"):
        Literal(small(**{option: value}))


def test_a_model_beyond_the_paper_is_refused():
    with pytest.raises(ValueError, match="the reference is the paper's model, got Anchored"):
        Literal(Anchored(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2))
