"""The part ``loss`` of a recipe: options of the loss that ``training.loss`` names."""

import dataclasses

import pytest

from ctran import losses, registry
from ctran.errors import UserError
from ctran.losses import asl, bce
from ctran.training.recipe import RecipeError, read_recipe


@pytest.mark.parametrize("name", registry.names(losses))
def test_a_recipe_has_the_options_of_its_loss_and_keeps_them(tmp_path, name):
    recipe = read_recipe(None, ["--training.loss", name])
    assert recipe.loss == registry.find(losses, name).Config()
    recipe.save(tmp_path / "r.yaml")
    assert read_recipe(tmp_path / "r.yaml") == recipe


def test_options_of_a_loss_are_read_from_file_and_flags(tmp_path):
    (tmp_path / "r.yaml").write_text("training:\n  loss: asl\nloss:\n  gamma_negative: 3\n")
    assert read_recipe(tmp_path / "r.yaml").loss == asl.Config(gamma_negative=3)
    flags = ["--loss.margin", "0.1", "--loss.gamma_negative", "2"]
    assert read_recipe(tmp_path / "r.yaml", flags).loss == asl.Config(gamma_negative=2, margin=0.1)
    assert read_recipe(None, ["--loss.label_smoothing", "0.1"]).loss == bce.Config(0.1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--training.loss", "asl", "--loss.label_smoothing", "0"],
            "a key of loss assume_negative, bce, and this recipe has loss asl: leave it",
        ),
        (["--training.loss", "asl", "--loss.gama_negative", "2"], "unknown recipe key .*did you mean 'loss.gamma_negative'"),
        (["--loss.label_smoothing", "2"], "loss.label_smoothing must lie between 0 and 1, got 2"),
        (["--training.label_smoothing", "0.1"], "did you mean 'loss.label_smoothing'"),
        (["--training.loss", "ce"], "training.loss: unknown loss 'ce'.*there are: asl, assume_negative, bce,"),
        (["--method", "linear", "--model.num_layers", "3"], "a key of method .*ctran.*, and this recipe has method linear"),
        (["--source", "openclipart", "--data.absent", "negative"], "a key of source .*csv.*this recipe has source openclipart"),
    ],
)
def test_a_key_without_effect_is_refused_with_what_has_it(flags, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(None, flags)


def test_a_recipe_with_the_options_of_another_loss_is_refused():
    recipe = read_recipe(None)
    with pytest.raises(UserError, match=r"training\.loss is asl, but the options in loss are those of another loss"):
        dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, loss="asl"))
