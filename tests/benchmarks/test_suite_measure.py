"""Figures of methods on the suite: what is measured again, and what the page says of the rows."""

import json

import pytest

from benchmarks.suite import __main__ as program
from benchmarks.suite import build, page
from benchmarks.suite.measure import METHODS, Job, measure, source_of
from ctran.errors import UserError
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe
from tests.benchmarks import packages


def row(name, method, seed, first):
    """Of a set with figures that rise by 10 from share to share."""
    figures = [first + 10 * i for i in range(4)]
    return {"set": name, "method": method, "seed": seed, "labels": 20, "mAP": figures, "log_loss": [0.1] * 4, "ECE": [1.0] * 4}


ROWS = [
    *(row("lucide", "linear", seed, 30 + seed) for seed in range(2)),
    *(row("lucide", "pairwise", seed, 32 + seed) for seed in range(2)),
    *(row("lucide", "auto", seed, 35 + seed) for seed in range(2)),
    row("mdi", "pairwise", 0, 20),
    row("mdi", "auto", 0, 21),
]


def test_the_lead_is_over_the_best_simple_method_of_a_set_in_the_mean_of_its_seeds():
    assert page.lead(ROWS, "lucide") == pytest.approx([3, 3, 3, 3]) and page.lead(ROWS, "mdi") == pytest.approx([1] * 4)
    assert page.lead(ROWS[:2], "lucide") == []


def test_the_page_has_a_line_for_each_set_and_method_and_an_interval_over_the_sets():
    text = page.page(ROWS)
    assert "| lucide | **auto** | 2 | 35.5 | 45.5 | 55.5 | 65.5 | 0.1000 |" in text and "| mdi | pairwise | 1 | 20.0 |" in text
    assert "| lucide | +3.0 |" in text and "| mean over the sets | +2.0 ± 12.7 |" in text  # t of one degree of freedom
    assert "fontawesome" in text  # the held-out sets are named


def test_log_loss_is_compared_with_the_least_of_the_simple_methods():
    rows = [
        dict(each, log_loss=[loss] * 4) for each, loss in zip(ROWS, (0.2, 0.2, 0.25, 0.25, 0.15, 0.17, 0.1, 0.1), strict=True)
    ]
    assert page.less_loss(rows, "lucide") == pytest.approx([-20.0] * 4) and page.less_loss(rows[:2], "lucide") == []
    assert "| lucide | -20.0 | -20.0 |" in page.page(rows)


def test_calibration_errors_and_whole_sets_are_compared_too():
    rows = [dict(each, ECE=[1.0, 1, 2, 2], log_loss=[0.1, 0.2, 0.3, 0.4]) for each in ROWS[:4]] + ROWS[4:]
    assert page.more_error(rows, "lucide") == pytest.approx([0, 0, -1, -1]) and page.more_error(rows[:2], "lucide") == []
    assert page.whole_sets(rows, "lucide") == ["lucide", "5.00", "", "", "5.00", "", "2.00"]  # 20 labels, 0.25 and 0.1 each
    assert "| lucide | 5.00 |  |  | 5.00 |  | 2.00 |" in page.page(rows)


def test_small_subsets_are_compared_with_the_linear_layer_and_are_not_in_the_mean_of_the_sets():
    small = [row("mdi-5", method, 0, first) for method, first in (("linear", 20), ("pairwise", 24), ("auto", 22))]
    text = page.page([*ROWS, *small])
    assert "| mdi-5 | +2.0 |" in text and "| mean over the sets | +2.0 ± 12.7 |" in text and "| mdi-5 | linear |" in text
    assert "Not measured yet." in page.page(ROWS) and "Not measured yet." not in text


def test_rows_that_are_there_are_not_measured_again(tmp_path):
    results = tmp_path / "suite.json"
    results.write_text(json.dumps(ROWS))
    assert measure([Job("lucide", "auto", 1), Job("mdi", "pairwise", 0)], tmp_path, tmp_path, results) == ROWS


def test_a_set_that_is_not_built_is_named_with_the_command_that_builds_it(tmp_path, capsys):
    with pytest.raises(UserError, match=r"lucide is not a built set: python -m benchmarks.suite build lucide --output"):
        source_of("lucide", tmp_path)
    assert source_of("openclipart", tmp_path) == ["--source", "openclipart"]
    assert program.main(["measure", "--sets", "lucide", "--folder", str(tmp_path)]) == 1
    assert "is not a built set" in capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_recipe_with_the_same_image_features(method, tmp_path):
    (tmp_path / "lucide").mkdir()
    (tmp_path / "lucide" / "build.json").write_text(
        json.dumps({"train": "ctran train --source imagefolder --data.root FOLDER --data.absent negative"})
    )
    job = Job("lucide", method, 3)
    recipe = read_recipe(find_recipe(METHODS[method][0]), job.flags(tmp_path))
    assert recipe.seed == 3 and recipe.data.root == tmp_path / "lucide" and recipe.data.absent == "negative"
    model, training = recipe.model, recipe.training
    found = (model.backbone, model.inner_maps, model.pooling, training.feature_views, training.augmentation)
    assert found == ("tf_efficientnet_lite0", True, "mean_max", 3, "clipart")


@pytest.mark.slow
def test_a_built_set_is_measured(tmp_path):
    archives = packages.lucide()
    label_set = build.propose("lucide", build.collect("lucide", archives))
    build.write(label_set, tmp_path / "lucide", archives)
    rows = measure([Job("lucide", "linear", 0)], tmp_path, tmp_path / "runs", tmp_path / "suite.json")
    assert len(rows[0]["mAP"]) == 4 and rows[0]["labels"] == len(label_set.labels)
    assert all(0 < each < 3 for each in rows[0]["log_loss"]) and json.loads((tmp_path / "suite.json").read_text()) == rows
