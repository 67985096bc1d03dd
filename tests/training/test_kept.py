"""What a training keeps and reports: the best epoch's averaged weights, measured on the test pictures."""

import dataclasses
import json
import math

import lightning as L
import pytest
import torch
from safetensors.torch import load_file

from ctran.evaluation.report import Report, Setting, no_nan
from ctran.folders.tagger import Tagger
from ctran.labels import LabelSpace
from ctran.masking import EvalSetting
from ctran.metrics import Table
from ctran.training.evaluation import evaluate_run
from ctran.training.fit import fit
from ctran.training.pipeline import build_tables, build_tagger
from ctran.training.recipe import read_recipe
from ctran.training.run_folder import RunFolder, write_json
from ctran.training.task import LabelTask
from tests.conftest import TOY, draw_folder, no_rendering


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A recipe with averaged weights, and the run folder of its one epoch."""
    base = tmp_path_factory.mktemp("kept")
    flags = [*TOY, "--source", "imagefolder", "--root", str(draw_folder(base / "pictures")), "--absent", "negative"]
    recipe = read_recipe(None, [*flags, "--training.epochs", "1", "--training.ema", "0.9"])
    with pytest.MonkeyPatch.context() as patch, no_rendering():
        patch.setenv("CTRAN_CACHE", str(base / "cache"))
        fit(recipe, base / "run")
    return recipe, base / "run"


def as_written(report):
    return json.loads(json.dumps(no_nan(report.as_dict())))


def test_metrics_are_those_of_the_saved_model_on_the_test_pictures(finished):
    recipe, run = finished
    tables, tagger = build_tables(recipe), Tagger.load(run, "cpu")
    written = json.loads((run / "metrics.json").read_text())
    assert written == as_written(evaluate_run(tagger, tables["test"], recipe.evaluation))
    assert written["split"] == "test" and written["pictures"] == len(tables["test"])
    for other in ("train", "val"):
        elsewhere = as_written(evaluate_run(tagger, tables[other], recipe.evaluation))
        assert written["settings"] != elsewhere["settings"], other


def test_the_saved_weights_are_the_average_and_not_the_last(finished):
    _, run = finished
    saved = load_file(run / "model" / "model.safetensors")
    state = torch.load(run / "last.ckpt", weights_only=True)["state_dict"]
    parts = {part: {k: state[f"{part}.{k}"] for k in saved} for part in ("average.module", "model")}
    assert [k for k, v in saved.items() if not torch.equal(v, parts["average.module"][k])] == []
    changed = {k.split(".")[0] for k, v in saved.items() if not torch.equal(v, parts["model"][k])}
    assert changed >= {"backbone", "encoder", "labels", "classifier"}


NAN = math.nan


def scored(mean_ap):
    """A report of one setting."""
    table = Table(**{f.name: NAN for f in dataclasses.fields(Table)} | {"mAP": mean_ap})
    return Report(1, (Setting(EvalSetting(), table, table, {}, 0.0),))


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([10.0, 30.0, 20.0], 2),
        ([10.0, 20.0, 30.0], 3),
        ([30.0, 10.0, 20.0], 1),
        ([20.0, 20.0, 10.0], 1),  # of equal ones the first
        ([0.0, 5.0, 0.0], 2),
        ([NAN, NAN, NAN], 3),
    ],
)
def test_the_epoch_with_the_best_validation_score_is_kept(folder, tmp_path, scores, kept):
    recipe = read_recipe(None, [*TOY, "--source", "imagefolder", "--root", str(folder), "--absent", "negative"])
    labels = LabelSpace(("a", "b"))
    tagger = build_tagger(recipe, labels)
    task, run = LabelTask(tagger.model, labels, recipe, []), RunFolder(tmp_path, tagger)
    trainer = L.Trainer(accelerator="cpu", max_epochs=3, barebones=True)
    state = {}
    for epoch, score in enumerate(scores):
        torch.nn.init.constant_(task.model.get_parameter("classifier.bias"), epoch + 1)
        task.report = scored(score)
        if state:  # as after a resume
            run = RunFolder(tmp_path, tagger)
            run.load_state_dict(state)
        trainer.fit_loop.epoch_progress.current.processed = epoch
        run.on_validation_end(trainer, task)
        state = run.state_dict()
    bias = load_file(tmp_path / "model" / "model.safetensors")["classifier.bias"]
    assert bias.tolist() == [kept, kept]
    assert [row["val_score"] for row in json.loads((tmp_path / "history.json").read_text())] == no_nan(scores)


def test_undefined_figures_are_null_wherever_they_are(tmp_path):
    write_json(tmp_path / "found.json", [{"mAP": (math.nan, 50.0), "scores": {"F1": [math.inf]}}])
    assert json.loads((tmp_path / "found.json").read_text()) == [{"mAP": [None, 50.0], "scores": {"F1": [None]}}]
