"""``ctran compare``: every method of one recipe, trained once, measured once, and listed."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ctran import methods, registry
from ctran.analysis.compare import Comparison, Row, difference, load
from ctran.analysis.compare_page import header, lines, page
from ctran.cli.main import main
from ctran.data.loading import PictureSet
from ctran.errors import UserError
from ctran.evaluation.evaluate import report
from ctran.folders.tagger import Tagger
from ctran.training import compare as comparing
from ctran.training.pipeline import build_tables
from ctran.training.recipe import read_run
from tests.conftest import TOY, draw_folder, no_rendering
from tests.networks import SMALLEST

METHODS = ["linear", "sum", "ctran"]
STORED = ["--training.feature_views", "1", "--training.backbone_learning_rate", "0", "--training.augmentation", "none"]


def arguments(root, output, methods=METHODS):
    source = ["--source", "imagefolder", "--root", str(root / "pictures"), "--absent", "negative"]
    (root / "toy.yaml").write_text("method: csra\n")
    keys = [*TOY, *SMALLEST, *STORED, "--training.epochs", "1", "--evaluation.known_share", "[0, 0.5]"]
    return ["compare", str(root / "toy.yaml"), *source, *keys, "--output", str(output), "--methods", *methods]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("compare")
    draw_folder(root / "pictures")
    with no_rendering():
        assert main(arguments(root, root / "out", [*METHODS, "ssgrl"])) == 0
    return root


def rows(root):
    return json.loads((root / "out/comparison.json").read_text())["rows"]


def test_each_method_has_a_row_and_a_finished_run(finished):
    found = {row["method"]: row for row in rows(finished)}
    assert sorted(found) == sorted(METHODS)
    for name, row in found.items():
        assert (finished / f"out/{name}-0/metrics.json").exists() and (finished / f"out/{name}-0/model").is_dir()
        assert len(row["figures"]["mAP"]) == len(row["resampled"]) == 2 and len(row["resampled"][0]) == 200
        assert row["training_seconds"] > 0 and min(row["milliseconds"]) > 0 and row["parameters"] > 0


def test_figures_are_those_of_the_runs_own_evaluation_but_for_the_precision_of_stored_features(finished):
    run = finished / "out/ctran-0"
    recipe, tagger = read_run(run), Tagger.load(run, "cpu")
    test = PictureSet(build_tables(recipe)["test"], tagger.labels, tagger.preprocessing)
    truth, stored = comparing.test_outputs(recipe, tagger, test)
    direct = comparing.test_outputs(replace(recipe, training=replace(recipe.training, feature_views=0)), tagger, test)[1]
    for one, other in zip(stored, direct, strict=True):
        assert one.setting == other.setting and torch.equal(one.states, other.states)
        torch.testing.assert_close(one.logits, other.logits, atol=0.05, rtol=0)
    own = json.loads((run / "metrics.json").read_text())["settings"]
    shown = [setting.hidden.mAP for setting in report(truth, direct, tagger.labels).settings]
    assert shown == pytest.approx([each["hidden"]["mAP"] for each in own])
    (row,) = (row for row in rows(finished) if row["method"] == "ctran")
    assert row["figures"]["mAP"] == [setting.hidden.mAP for setting in report(truth, stored, tagger.labels).settings]


def test_a_method_fitted_in_one_step_has_no_epochs_and_others_have_the_recipes(finished):
    epochs = {name: json.loads((finished / f"out/{name}-0/finished.json").read_text())["planned_epochs"] for name in METHODS}
    assert epochs == {"linear": 1, "sum": 0, "ctran": 1}


def test_what_cannot_be_compared_is_listed_with_its_reason(finished):
    text = (finished / "out/comparison.md").read_text()
    reason = json.loads((finished / "out/comparison.json").read_text())["left_out"]["ssgrl"]
    assert "vectors" in reason and f"- ssgrl: {' '.join(reason.split())}" in text.partition("## Not compared")[2]


def test_page_and_csv_agree(finished):
    table = list(csv.DictReader((finished / "out/comparison.csv").read_text().splitlines()))
    text = (finished / "out/comparison.md").read_text().partition("## mAP\n")[2]
    assert [row["method"] for row in table] == [line.split("|")[1].strip() for line in text.splitlines()[3:6]]
    for row in table:
        shown = f"| {row['method']} | 1 | {float(row['mAP 0 %']):.1f} | {float(row['mAP 50 %']):.1f} |"
        assert shown in text


def test_rows_that_are_there_are_kept_and_finished_runs_are_not_trained_again(finished, monkeypatch, unrendered):
    document = json.loads((finished / "out/comparison.json").read_text())
    kept, lost = document["rows"][0], document["rows"][1]
    kept["parameters"] = 12345
    document["rows"] = [kept]
    (finished / "out/comparison.json").write_text(json.dumps(document))
    monkeypatch.setattr(comparing, "fit", None)
    assert main(arguments(finished, finished / "out", [kept["method"], lost["method"]])) == 0
    assert [row["parameters"] for row in rows(finished)] == [12345, lost["parameters"]]
    assert rows(finished)[1]["figures"] == lost["figures"] and rows(finished)[1]["training_seconds"] == lost["training_seconds"]
    assert "ssgrl" in (finished / "out/comparison.md").read_text(), "what was listed before stays"


def test_rows_of_another_recipe_are_refused(finished, capsys):
    assert main([*arguments(finished, finished / "out"), "--training.weight_decay", "0.5"]) == 1
    assert "training.weight_decay (was not set)" in capsys.readouterr().err


def test_an_unknown_method_names_the_nearest(finished, capsys):
    assert main(arguments(finished, finished / "none", ["linear", "pairwse"])) == 1
    assert "unknown method 'pairwse'; did you mean 'pairwise'?" in capsys.readouterr().err


def test_a_model_key_that_no_method_has_is_refused(finished, capsys):
    assert main([*arguments(finished, finished / "none"), "--model.tokendim", "3"]) == 1
    assert "model.token_dim" in capsys.readouterr().err


def test_an_interrupted_training_is_resumed(finished, tmp_path, monkeypatch, unrendered):
    fit, calls = comparing.fit, []

    def interrupted(recipe, run, *, resume, budget):
        calls.append(resume)
        if not resume:
            run.mkdir()
            recipe.save(run / "recipe.yaml")
            raise KeyboardInterrupt
        return fit(recipe, run, resume=resume, budget=budget)

    monkeypatch.setattr(comparing, "fit", interrupted)
    command = arguments(finished, tmp_path / "out", ["sum"])
    assert main(command) == 130
    assert main(command) == 0
    assert calls == [False, True]
    (row,) = json.loads((tmp_path / "out/comparison.json").read_text())["rows"]
    assert row["training_seconds"] > 0


def made(method, mAP, resampled, seed=0):
    figures = {name: [mAP] for name in ("mAP", "CF1", "OF1")}
    return Row(method, seed, figures, [resampled], 1, (1, 1), (1.0, 1.0), None)


def test_a_difference_that_every_resample_has_is_one_and_a_small_one_is_none(rng):
    pictures = rng.normal(0, 5, 200)
    rows = [
        made("best", 50.0, (50 + pictures).tolist()),
        made("worse", 48.0, (48 + pictures + rng.normal(0, 0.3, 200)).tolist()),
        made("alike", 49.8, (49.8 + pictures + rng.normal(0, 1, 200)).tolist()),
    ]
    comparison = Comparison({}, {"0 %": 0.0}, rows)
    worse, alike = (difference(comparison, name, "best", 0) for name in ("worse", "alike"))
    assert not worse.is_none and worse.value == pytest.approx(-2) and worse.low < -2 < worse.high
    assert worse.high - worse.low == pytest.approx(2 * 1.96 * 0.3, rel=0.2), "pictures that are hard for both cancel out"
    assert alike.is_none and "not different" in page(comparison, "ctran compare")
    assert comparison.ranking() == ["best", "alike", "worse"]


def test_seeds_that_differ_widen_the_interval():
    same = np.full(200, 50.0)
    one = [made("a", 50.0, same.tolist())]
    two = [made("b", value, (same + value - 50).tolist(), seed) for seed, value in enumerate((51.0, 55.0))]
    found = difference(Comparison({}, {"0 %": 0.0}, one + two), "b", "a")
    assert (found.value, found.low, found.high) == (3, 1, 5)
    assert difference(Comparison({}, {"0 %": 0.0}, one + two[:1]), "b", "a").low == 1


def test_figures_that_do_not_exist_survive_the_file_and_are_never_a_difference(tmp_path):
    comparison = Comparison({"seed": "0"}, {"0 %": 0.0}, [made("a", 50.0, [50.0] * 200), made("b", math.nan, [math.nan] * 200)])
    comparison.save(tmp_path / "comparison.json")
    again = load(tmp_path / "comparison.json", {"seed": "0"}, {"0 %": 0.0})
    assert again.ranking() == ["a", "b"] and difference(again, "b", "a").is_none
    assert again.rows[0].training_seconds is None and len(header(again)) == len(lines(again)[0])
    with pytest.raises(UserError, match=r"seed \(was 0\)"):
        load(tmp_path / "comparison.json", {"seed": "1"}, {"0 %": 0.0})


@pytest.mark.slow
def test_every_method_is_compared_or_listed_with_a_reason(finished, tmp_path):
    command = arguments(finished, tmp_path / "out")
    assert main(command[: command.index("--methods")]) == 0
    document = json.loads((tmp_path / "out/comparison.json").read_text())
    measured, listed = {row["method"] for row in document["rows"]}, set(document["left_out"])
    assert measured | listed == set(registry.names(methods)) and not measured & listed
    assert {"csra", "pairwise", "knn"} <= measured
    assert all(not (tmp_path / f"out/{name}-0").exists() for name in listed)
