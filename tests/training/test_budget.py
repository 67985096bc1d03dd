"""Epochs that fit into a time."""

import dataclasses
import json

import pytest

from ctran.cli.main import main
from ctran.errors import UserError
from ctran.training.budget import within_budget
from ctran.training.fit import fit
from ctran.training.pipeline import build_tables, prepare
from ctran.training.recipe import read_recipe
from tests.conftest import TOY

FLAGS = ["--method", "residual", "--model.token_dim", "16", "--model.num_heads", "2", "--model.image_l2", "0.1"]
FLAGS += ["--model.label_l2", "0.001", "--training.feature_views", "2", "--training.backbone_learning_rate", "0"]


@pytest.fixture
def recipe(folder):
    """Of a toy with two stages, on a folder of pictures."""
    toy = dict(zip(TOY[::2], TOY[1::2], strict=True)) | {"--training.epochs": "12", "--training.augmentation": "flip"}
    given = [word for pair in toy.items() for word in pair if pair[0] not in FLAGS]
    return read_recipe(None, [*given, *FLAGS, "--source", "imagefolder", "--root", str(folder), "--absent", "negative"])


def test_a_budget_lowers_the_epochs_in_the_recipe_of_the_run_and_never_raises_them(recipe, tmp_path, capsys):
    parts = prepare(recipe, build_tables(recipe))
    recipe.save(tmp_path / "recipe.yaml")
    assert within_budget(recipe, parts, 3600, tmp_path) is recipe
    assert "12 of 12 epochs" in capsys.readouterr().err
    short = within_budget(recipe, parts, 1e-3, tmp_path)
    assert short.training.epochs == 3 == read_recipe(tmp_path / "recipe.yaml").training.epochs  # two are of the weights
    assert "3 of 12 epochs" in (err := capsys.readouterr().err) and "fewer than 3 are not possible" in err
    assert within_budget(recipe, parts, -90.0, tmp_path).training.epochs == 3  # the fits took longer
    assert "in a budget that the fits have used up; fewer than 3" in capsys.readouterr().err
    expected = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, epochs=3))
    assert short == expected


def test_timing_a_step_uses_up_no_random_numbers_and_no_weights(recipe, tmp_path):
    import torch

    parts = prepare(recipe, build_tables(recipe))
    recipe.save(tmp_path / "recipe.yaml")
    before = torch.get_rng_state(), [p.clone() for p in parts.tagger.model.parameters()]
    within_budget(recipe, parts, 1e-3, tmp_path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert all(torch.equal(p, q) and p.grad is None for p, q in zip(parts.tagger.model.parameters(), before[1], strict=True))


def test_several_devices_would_have_to_agree(recipe, tmp_path):
    two = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, devices=2))
    with pytest.raises(UserError, match=r"--budget works on one device; with several, set --training.epochs"):
        within_budget(two, prepare(recipe, build_tables(recipe)), 60, tmp_path)


@pytest.mark.parametrize("text", ["0m", "5", "m", "-1s", "1d", "nan s"])
def test_a_time_without_unit_or_not_above_zero_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--root", "pictures", f"--budget={text}"])
    assert "expected a time above 0 such as 90s, 5m or 1h" in capsys.readouterr().err


def test_a_training_in_a_budget_runs_through_all_its_stages(recipe, tmp_path):
    """Of a method that the recipe auto has too: its stages freeze modules and single parameters."""
    fit(recipe, tmp_path / "run", budget=1e-3)
    assert json.loads((tmp_path / "run" / "finished.json").read_text())["epochs"] == 3
