"""Lists of what is present that nobody completed: ``data.absent: unlisted``."""

import contextlib
import dataclasses
import io
import json

import pytest
import torch

from ctran import losses, registry
from ctran.analysis.predict_table import predict_table
from ctran.cli.main import main
from ctran.data.sources import csv, imagefolder
from ctran.data.table import DataError
from ctran.labels import LabelState
from ctran.masking import EvalSetting
from ctran.training.pipeline import prepare
from ctran.training.recipe import read_recipe
from ctran.training.unlisted import able
from tests.conftest import TOY
from tests.methods.test_statistics import FLAGS


def recipe_of(folder, absent, *flags):
    return read_recipe(None, [*FLAGS, "--source", "imagefolder", "--root", str(folder), "--absent", absent, *flags])


def test_a_recipe_that_names_no_loss_takes_one_that_learns_from_unlisted_labels(folder, tmp_path):
    recipe = recipe_of(folder, "unlisted")
    assert recipe.training.loss == losses.UNLISTED in able()
    recipe.save(tmp_path / "r.yaml")
    assert read_recipe(tmp_path / "r.yaml") == recipe
    (tmp_path / "mine.yaml").write_text("source: imagefolder\ndata:\n  absent: unlisted\nloss:\n  label_smoothing: 0.1\n")
    assert read_recipe(tmp_path / "mine.yaml", ["--root", str(folder)]).training.loss == losses.UNLISTED
    assert recipe_of(folder, "unlisted", "--training.loss", "hill").training.loss == "hill"
    assert recipe_of(folder, "unknown").training.loss == recipe_of(folder, "negative").training.loss == losses.DEFAULT


def test_a_loss_that_leaves_unknown_labels_out_is_refused_with_those_that_do_not(folder):
    for loss in set(registry.names(losses)) - set(able()):
        with pytest.raises(DataError, match=rf"training\.loss {loss} leaves labels.*assume_negative \| .*hill.*weak_negatives"):
            prepare(recipe_of(folder, "unlisted", "--training.loss", loss))


def test_a_method_with_a_loss_of_its_own_is_refused_unless_something_is_known_to_be_absent(folder):
    with pytest.raises(DataError, match=r"method 'cnn_rnn' has a loss of its own.*choose another method"):
        prepare(recipe_of(folder, "unlisted", "--method", "cnn_rnn"))


def test_a_fit_in_one_step_counts_unlisted_labels_as_absent_and_never_as_known(folder):
    flags = ["--method", "pairwise", "--training.epochs", "0", "--training.feature_views", "1"]
    flags += ["--training.augmentation", "none", "--model.image_l2", "0.1", "--model.label_l2", "0.1"]
    flags += ["--training.backbone_learning_rate", "0", "--training.learning_rate", "1e-5", "--training.batch_size", "16"]
    listed, complete = (prepare(recipe_of(folder, absent, *flags)).tagger.model for absent in ("unlisted", "negative"))
    assert torch.equal(listed.weight, complete.weight) and torch.equal(listed.prevalence, complete.prevalence)
    present, absent = listed.point[:4], listed.point[4:8]
    assert present.abs().sum() > 0.1 and absent.abs().sum() < 1e-6 and complete.point[4:8].abs().sum() > 0.1


def test_frequencies_count_unlisted_labels_as_absent(folder):
    flags = ["--method", "linear", "--training.prior_bias", "true"]
    biases = [prepare(recipe_of(folder, absent, *flags)).tagger.model.classifier.bias for absent in ("unlisted", "negative")]
    assert torch.equal(*biases)


def test_metrics_count_what_known_labels_leave_out(folder):
    parts = prepare(recipe_of(folder, "unlisted"))
    complete = prepare(recipe_of(folder, "negative")).tables["test"]
    truth, (nothing, all_known) = predict_table(parts.tagger, parts.tables["test"], [EvalSetting(), EvalSetting(share=1)])
    assert torch.equal(truth, complete.truth.dense())
    assert (nothing.states == LabelState.UNKNOWN).all()
    assert torch.equal(all_known.states == LabelState.POSITIVE, truth == LabelState.POSITIVE)
    assert not (all_known.states == LabelState.NEGATIVE).any()


def test_a_folder_of_positive_lists_trains_evaluates_and_predicts(folder, tmp_path, capsys, unrendered):
    run, source = tmp_path / "run", ["--source", "imagefolder", "--root", str(folder), "--absent", "unlisted"]
    assert main(["train", "--method", "ctran", *source, *TOY, "--training.epochs", "1", "--output", str(run)]) == 0
    printed = capsys.readouterr()
    assert "labels that are not listed are unknown to the model" in printed.err
    assert "nobody checked them" in " ".join(printed.out.split())
    assert main(["evaluate", str(run), "--output", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["unlisted_count_as_absent"] and found["coverage"]["measured"] == 4
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["evaluate", str(run), "--absent", "negative", "--output", str(tmp_path / "full.json")]) == 0
    full = json.loads((tmp_path / "full.json").read_text())
    assert not full["unlisted_count_as_absent"] and full["settings"][0]["hidden"] == found["settings"][0]["hidden"]
    assert main(["predict", str(run), str(folder / "00.png"), "--known", "red=yes"]) == 0


def test_a_conversion_keeps_what_was_not_listed(folder, tmp_path):
    from ctran.data import conversion

    lists = conversion.read(imagefolder, imagefolder.Config(folder, absent="unlisted"))
    for target in (imagefolder, csv):
        options = conversion.write(target, lists, tmp_path / target.__name__)
        assert options["absent"] == "unlisted"
        again = conversion.read(target, target.Config(**options))
        assert [row.positives for row in again.rows] == [tuple(sorted(row.positives)) for row in lists.rows]
        assert again.absent == "unlisted" and not any(row.negatives for row in again.rows)
    assert dataclasses.replace(lists, absent="unknown").rest == "unknown"
