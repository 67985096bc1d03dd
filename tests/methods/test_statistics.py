"""A method may see the training table once and keep what it needs of it in its weights; and it may not use known labels."""

import shutil
from dataclasses import replace

import pytest
import torch

import ctran
from ctran.data.loading import Batch
from ctran.training.fit import fit
from ctran.training.pipeline import prepare
from ctran.training.recipe import read_recipe
from ctran.training.task import LabelTask
from tests.conftest import TOY

FLAGS = [*TOY[:8], *TOY[14:]]
"""Those of the flags that every method has."""


def recipe_of(method, folder, *flags):
    source = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative"]
    return read_recipe(None, ["--method", method, *FLAGS, *source, *flags])


def shares(table):
    """P(row | column) from dense truth, entry by entry."""
    truth = (table.truth.dense() == 2).float()
    return torch.stack([torch.stack([truth[column == 1, row].mean() for column in truth.T]) for row in range(truth.shape[1])])


def test_a_method_sees_the_training_table_once_and_its_folder_loads_without_data(toys, folder, tmp_path):
    recipe = recipe_of("label_graph", folder, "--training.epochs", "1", "--training.ema", "0.9")
    parts = prepare(recipe)
    table = parts.tables["train"]
    assert torch.allclose(parts.tagger.model.graph, shares(table)) and not (parts.tagger.model.graph == torch.eye(4)).all()
    fit(recipe, tmp_path / "run")
    squares = [folder / "00.png", folder / "01.png"]
    before = [p.probabilities for p in ctran.load(tmp_path / "run").predict_all(squares)]
    kept = tmp_path / "pictures-kept"
    kept.mkdir()
    for square in squares:
        shutil.copy(square, kept)
    shutil.rmtree(folder)
    tagger = ctran.load(tmp_path / "run")
    assert torch.allclose(tagger.model.graph, shares(table)) and tagger.model.order.dtype == torch.long
    assert [p.probabilities for p in tagger.predict_all(sorted(kept.iterdir()))] == before


def test_fine_tuning_computes_statistics_for_its_labels_and_copies_rows_of_labels(toys, folder, tmp_path):
    first = prepare(recipe_of("label_graph", folder)).tagger
    first.model.vectors.fill_(7.0)
    first.model.graph.fill_(9.0)
    first.save(tmp_path / "first")
    (folder / "metadata.csv").write_text((folder / "metadata.csv").read_text().replace("warm", "hot"))
    parts = prepare(recipe_of("label_graph", folder, "--training.init_from", str(tmp_path / "first")))
    second = parts.tagger
    assert first.labels.names == ("blue", "green", "red", "warm") and second.labels.names == ("blue", "green", "hot", "red")
    assert torch.allclose(second.model.graph, shares(parts.tables["train"]))
    assert second.model.vectors.tolist() == [7, 7, 3, 7]
    assert torch.equal(second.model.classifier.weight[3], first.model.classifier.weight[2])


@pytest.mark.parametrize(("method", "trained"), [("linear", 4), ("label_graph", 4), ("ctran", 1)])
def test_a_method_that_ignores_states_trains_on_every_annotated_label(toys, folder, monkeypatch, method, trained):
    recipe = recipe_of(method, folder, *(["--model.token_dim", "16"] if method == "ctran" else []))
    parts = prepare(recipe)
    recipe = replace(recipe, training=replace(recipe.training, unknown_share=(0.25, 0.25)))  # prepare refuses it
    task = LabelTask(parts.tagger.model, parts.labels, recipe, parts.tables["val"].ids)
    if method == "label_graph":
        task.model.graph.copy_(torch.eye(4))
    monkeypatch.setattr(task, "log", lambda *args, **kwargs: None)
    monkeypatch.setattr(LabelTask, "current_epoch", 0)
    task.generator = torch.Generator().manual_seed(0)
    batch = next(iter(parts.train))
    one = Batch(batch.inputs[:1], batch.truth[:1], batch.index[:1], batch.preprocessing)
    task.eval().training_step(one, 0).backward()  # batch norms cannot take the mean of one picture
    assert int((task.model.classifier.bias.grad != 0).sum()) == trained
