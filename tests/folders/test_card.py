"""The model card of a saved folder: it describes the model, and its example runs."""

import re

import pytest
import torch
from huggingface_hub import ModelCard

import ctran
from ctran.data.loading import Batch
from ctran.evaluation.evaluate import predict, report
from ctran.folders.card import model_card
from ctran.labels import Group, LabelSpace
from ctran.masking import EvalSetting
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY, draw

NAMES = ('a "quoted" \\ label', "dog", "beach", "street")


@pytest.fixture
def tagger():
    labels = LabelSpace(NAMES, groups=(Group("place", ("beach", "street"), exclusive=True),))
    return build_tagger(read_recipe(None, TOY), labels)


def test_the_example_of_a_card_runs(tagger, tmp_path, monkeypatch, capsys):
    tagger.save(tmp_path / "path/of/this/folder")
    draw(tmp_path / "picture.png", ["red"])
    monkeypatch.chdir(tmp_path)
    text = (tmp_path / "path/of/this/folder/README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert NAMES[0] not in capsys.readouterr().out.partition("]")[2]  # a known label is not among the predicted ones


def test_the_hub_reads_the_head_with_the_metrics_at_each_known_share(tagger):
    truth = torch.tensor([[2, 1, 2, 1], [1, 2, 1, 2]] * 4)
    batches = [Batch(torch.rand(8, 3, 32, 32), truth, torch.arange(8))]
    settings = [EvalSetting(0.0), EvalSetting(0.5)]
    found = report(*predict(tagger.model, batches, list("abcdefgh"), tagger.labels, settings), tagger.labels)
    card = ModelCard(model_card(tagger, source="imagefolder", report=found, license="apache-2.0"))
    assert card.data.pipeline_tag == "image-classification" and card.data.license == "apache-2.0"
    assert [r.metric_name for r in card.data.eval_results] == [f"mAP, known labels: {s}" for s in settings]
    assert "beach, street (exactly one is present)" in card.text and "| mAP | CF1 | OF1 |" in card.text


def test_a_card_that_was_loaded_is_kept_when_the_model_is_saved_again(tagger, tmp_path):
    tagger.save(tmp_path / "one", card="# mine\n")
    ctran.load(tmp_path / "one").save(tmp_path / "two")
    assert (tmp_path / "two/README.md").read_text() == "# mine\n"
