"""A key of a recipe that would have no effect is an error that names it."""

import dataclasses

import pytest

from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods._base import build
from ctran.training.options import Training
from ctran.training.pipeline import prepare
from ctran.training.recipe import read_recipe
from ctran.training.unused import RULES, STEPS, unused
from tests.conftest import TOY
from tests.methods.test_statistics import recipe_of

OTHER = {
    "optimizer": "sgd",
    "learning_rate": 0.5,
    "weight_decay": 0.1,
    "schedule": "cosine",
    "warmup": 0.2,
    "clip_norm": 1.0,
    "loss": "asl",
    "reduction": "sum",
    "exclusive": "softmax",
    "hide_image": 0.1,
    "ema": 0.9,
    "patience": 3,
    "trainable": ("classifier",),
    "activation_checkpointing": True,
    "prior_bias": True,
    "unknown_share": (0.5, 1.0),
    "all_unknown": 0.2,
    "mask_by": "groups",
    "mask_over": "extra",
}
"""A value beside the default, of keys that may stand alone."""
LABELS = LabelSpace(("a", "b", "c"))


def messages(method, *flags, labels=LABELS, **training):
    flags += ("--training.loss", training.get("loss", "bce"))  # with the options of that loss
    recipe = read_recipe(None, ["--method", method, "--model.backbone", "test_resnet", "--model.weights", "none", *flags])
    model = build(recipe.method, recipe.model, labels)
    recipe = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **training))
    return list(unused(recipe, model, labels))


@pytest.mark.parametrize("key", OTHER)
def test_no_key_of_gradient_steps_is_taken_by_a_method_that_is_fitted_in_one_step(key):
    (message, *_) = messages("pairwise", **{key: OTHER[key]}, epochs=0)
    assert message.startswith(f"training.{key} has no effect: method 'pairwise' is fitted in one step; leave it out")


def test_every_key_of_the_rules_exists_and_is_tried():
    fields = {field.name for field in dataclasses.fields(Training)}
    assert {key for rule in RULES for key in rule.keys} <= fields
    assert set(STEPS) == OTHER.keys() | {"momentum", "nesterov", "milestones", "factor"}  # these need another one beside them


@pytest.mark.parametrize("method", ["ctran", "linear", "pairwise"])
def test_the_defaults_are_never_refused(method):
    assert messages(method) == []


@pytest.mark.parametrize("key", ["unknown_share", "all_unknown", "mask_by", "mask_over"])
def test_masks_are_refused_where_known_labels_are_not_used(key):
    assert any(
        f"training.{key} has no effect: method 'linear' does not use" in m for m in messages("linear", **{key: OTHER[key]})
    )
    assert not any("does not use" in m for m in messages("ctran", **{key: OTHER[key]}))


def test_all_labels_unknown_may_be_said_of_a_method_that_does_so_anyway():
    assert messages("linear", unknown_share=(1.0, 1.0)) == []


def test_hidden_images_need_a_method_that_can_leave_them_out():
    (message,) = messages("linear", hide_image=0.3)
    assert message.startswith("training.hide_image has no effect: method 'linear' cannot leave images out")
    assert messages("ctran", hide_image=0.3) == []
    (message,) = messages("ctran", "--model.use_image", "false", hide_image=0.3)
    assert "method 'ctran' cannot leave images out" in message


def test_a_fitted_method_starts_from_no_other_model(tmp_path):
    (message,) = messages("knn", init_from=tmp_path, epochs=0)
    assert "training.init_from has no effect: method 'knn' is fitted to the training pictures alone" in message


def test_groups_must_exist():
    (message,) = messages("ctran", mask_by="groups")
    assert message.endswith("there are no groups of labels; leave it out, or set it to its default, labels")
    (message,) = messages("ctran", exclusive="softmax")
    assert "training.exclusive has no effect: there are no exclusive groups of labels" in message


def test_options_of_a_loss_are_refused_where_there_is_none():
    (message,) = messages("pairwise", "--loss.label_smoothing", "0.1", epochs=0)
    assert message.startswith("loss has options that have no effect: method 'pairwise'")


def test_preparing_a_training_refuses_it(folder):
    with pytest.raises(UserError, match=r"training.all_unknown has no effect: method 'linear' .* its default, 0.0$"):
        prepare(recipe_of("linear", folder, "--training.all_unknown", "0.5"))
    assert "--training.learning_rate" in TOY  # the toys set it, so a fitted method with their flags is refused
    with pytest.raises(UserError, match=r"training.learning_rate has no effect: method 'knn' is fitted in one step"):
        steps = ["--training.epochs", "0", "--training.feature_views", "1", "--training.backbone_learning_rate", "0"]
        prepare(recipe_of("knn", folder, *steps))
