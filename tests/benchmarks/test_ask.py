"""The study of what to ask: answers are the annotation's, gains are the enumerated ones, the page follows from the figures."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import ask_measure, ask_page
from benchmarks.ask_measure import POLICIES
from benchmarks.ask_planted import LIMIT, planted_gains
from ctran.data.sources import planted
from ctran.training.pipeline import build_tables, build_tagger
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe
from tests.conftest import TOY, stirred


@pytest.fixture
def small():
    """Three pictures of the planted world, and an untrained model."""
    recipe = read_recipe(find_recipe("planted"))
    recipe = replace(recipe, data=replace(recipe.data, train=1, val=1, test=3))
    table = build_tables(recipe)["test"]
    return recipe, stirred(build_tagger(read_recipe(None, TOY), table.labels)), table


@pytest.mark.parametrize("policy", POLICIES)
def test_each_step_adds_one_label_of_the_annotation(small, policy, monkeypatch):
    monkeypatch.setattr(ask_measure, "ANSWERS", 3)
    _, tagger, table = small
    (truth, *_) = table.truth.dense().long()
    said, told = ask_measure.walk(tagger.session(table.picture(0)), truth, policy, torch.Generator().manual_seed(0))
    assert (told != 0).sum(dim=1).tolist() == [0, 1, 2, 3]
    assert torch.equal(told[told != 0], truth.expand(4, -1)[told != 0])
    assert torch.equal(said[told != 0], (truth.expand(4, -1)[told != 0] == 2).float())


def test_gains_with_exact_conditionals_are_the_enumerated_ones(small):
    recipe, tagger, table = small
    found = planted_gains(tagger, table, planted.world(recipe.data), seed=0)
    labels = len(table.labels)
    assert found["questions"] == 3 * (labels + labels - 2)
    assert found["largest_relative_difference"] < LIMIT
    assert found["mean_joint"] < found["mean_summed"]


def test_the_page_has_the_figures_and_names_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(ask_page, "OUT", tmp_path / "ask.json")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    curve = {"mAP": [50.0 + n for n in range(21)], "right": [30.0] * 21, "wrong": [1.0] * 21}
    for policy in POLICIES:
        ask_page.keep(curve, "clipart", policy, "0")
    assert ask_page.done("clipart", "total", "0") and not ask_page.done("clipart", "total", "1")
    text = (tmp_path / "ask.md").read_text()
    assert "| total | 50.0 | 51.0 | 52.0 | 55.0 | 60.0 | 70.0 | 1 |" in text and "Not run yet." in text
    assert (tmp_path / "ask.png").stat().st_size > 1000
    assert json.loads((tmp_path / "ask.json").read_text())["clipart"]["random"]["0"] == curve
