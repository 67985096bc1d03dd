"""``ctran table``: run folders as training writes them, with figures chosen here."""

import csv
import io
from dataclasses import fields

import pytest

from ctran.cli.main import main
from ctran.evaluation.report import Report, Setting
from ctran.masking import EvalSetting
from ctran.metrics import Table
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.run_folder import write_metrics

SHARES = (0.0, 0.25, 0.5, 0.75)


def table_of(mAP: float, **others: float) -> Table:
    return Table(**({f.name: 50.0 for f in fields(Table)} | {"mAP": mAP} | others))


def settings_of(maps: dict[EvalSetting, float], preset: bool = True, **others: float) -> list[Setting]:
    """As the preset counts ``maps``; a point less by our own definitions."""
    return [
        Setting(
            evidence,
            table_of(value - 1),
            table_of(0.0),
            {},
            0.0,
            {"species": value},
            {"ctran": table_of(value, **others)} if preset else {},
        )
        for evidence, value in maps.items()
    ]


def partial(*maps: float) -> dict[EvalSetting, float]:
    return {EvalSetting(share): value for share, value in zip(SHARES, maps, strict=True)}


@pytest.fixture
def make(tmp_path):
    """Write a run folder of a recipe; without settings it is not finished."""

    def write(name: str, recipe: str, settings: list[Setting] | None, *flags: str, split: str = "test"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        read_recipe(find_recipe(recipe), ["--data.root", str(tmp_path / "data"), *flags]).save(folder / "recipe.yaml")
        if settings is not None:
            write_metrics(Report(10, tuple(settings), split=split), folder / "metrics")
        return folder

    return write


def shown(capsys, *arguments: str) -> str:
    assert main(["table", *arguments]) == 0
    return capsys.readouterr().out


def rows(capsys, *arguments: str) -> dict[tuple[str, str], dict[str, str]]:
    """(system, what) -> column -> cell, from CSV."""
    lines = csv.DictReader(io.StringIO(shown(capsys, *arguments, "--csv")))
    return {(line.pop("system"), line.pop("what")): {k: v for k, v in line.items() if v} for line in lines}


def test_without_runs_the_table_stands_as_printed_with_its_doubts_and_the_command_of_each_row(capsys):
    out = shown(capsys, "1")
    assert "| C-Tran | 85.1 | 86.3 | 74.3 | 79.9 | 87.7 | 76.5 | 81.7 |" in out
    assert "Not consistent: the harmonic mean of OP 92.1 and OR 71.4 is 80.4" in out
    assert "    ctran train paper/coco80 --root FOLDER" in out and "ours" not in out
    out = shown(capsys, "5")
    named = [line.split()[2] for line in out.splitlines() if line.startswith("    ctran train")]
    assert len(named) == len(set(named)) == 12 and "paper/news500-no-lmt" in named


def test_a_mark_stands_at_the_doubtful_figure_and_before_its_reason(capsys):
    out = shown(capsys, "1")
    mark = out.partition("| 92.1 | 71.4")[2].partition(" ")[0]
    assert mark and f"- {mark} Not consistent" in out


def test_a_run_stands_beside_its_row_with_the_difference_in_points(capsys, make, tmp_path):
    make("a", "paper/coco80", settings_of(partial(84.0, 85.0, 86.0, 87.5)))
    found = rows(capsys, "3", "--runs", str(tmp_path / "runs"))
    columns = [f"COCO-80 {percent} %" for percent in (0, 25, 50, 75)]
    assert found["C-Tran", "ours"] == dict(zip(columns, ("84.0", "85.0", "86.0", "87.5"), strict=True))
    assert found["C-Tran", "difference"] == dict(zip(columns, ("-1.1", "-0.2", "0.4", "1.5"), strict=True))
    assert ("C-Tran", "spread") not in found and len(found) == 4
    out = shown(capsys, "3", "--runs", str(tmp_path / "runs"))
    assert "|   difference | -1.1 | -0.2 | +0.4 | +1.5 |" in out
    assert "paper/coco80 " not in out and "ctran train paper/vg500 " in out  # only what is missing


def test_all_metrics_of_the_preset_find_their_columns(capsys, make, tmp_path):
    figures = {"CF1": 61.0, "OR": 62.0, "top3_CP": 63.0, "top3_OF1": 64.0}
    make("a", "paper/vg500", settings_of(partial(38.0, 1, 1, 1), **figures))
    ours = rows(capsys, "2", "--runs", str(tmp_path / "runs"))["C-Tran", "ours"]
    assert (ours["All CF1"], ours["All OR"], ours["Top 3 CP"], ours["Top 3 OF1"]) == ("61.0", "62.0", "63.0", "64.0")
    assert ours["All mAP"] == "38.0" and len(ours) == 13


def test_seeds_of_one_recipe_become_mean_and_spread(capsys, make, tmp_path):
    for seed, value in enumerate((84.0, 85.0, 86.0)):
        make(f"deep/{seed}", "paper/coco80", settings_of(partial(value, 1, 1, 1)), "--seed", str(seed))
    where = ("layers", "--runs", str(tmp_path / "runs"))
    found = rows(capsys, *where)
    column = "COCO-80 mAP"
    three = "C-Tran (3 layers)"
    assert (found[three, "ours"][column], found[three, "spread"][column]) == ("85.0", "1.0")
    assert found[three, "difference"][column] == "-0.1"
    assert "coco80, n = 3: " in (out := shown(capsys, *where)) and "(seed 2)" in out


def test_runs_of_other_data_sets_share_the_row_of_one_recipe(capsys, make, tmp_path):
    make("a", "paper/coco80", settings_of(partial(84.0, 1, 1, 1)))
    make("b", "paper/vg500", settings_of(partial(37.0, 1, 1, 1)))
    ours = rows(capsys, "3", "--runs", str(tmp_path / "runs"))["C-Tran", "ours"]
    assert (ours["COCO-80 0 %"], ours["VG-500 0 %"], len(ours)) == ("84.0", "37.0", 8)


@pytest.mark.parametrize("table", ["5", "layers"])
@pytest.mark.parametrize(
    ("recipe", "row"),
    [
        ("paper/coco80-no-image", "C-Tran (no image)"),
        ("paper/coco80-no-lmt", "C-Tran (no LMT)"),
        ("paper/coco80-layers2", "C-Tran (2 layers)"),
        ("paper/coco80-layers4", "C-Tran (4 layers)"),
    ],
)
def test_an_ablation_finds_its_own_row_and_no_other(capsys, make, tmp_path, table, recipe, row):
    make("a", recipe, settings_of(partial(33.0, 1, 44.0, 1)))
    found = rows(capsys, table, "--runs", str(tmp_path / "runs"))
    assert {system for system, what in found if what == "ours"} == ({row} if (row, "published") in found else set())


def test_accuracy_by_groups_known_is_table_4(capsys, make, tmp_path):
    groups = {EvalSetting(groups=n): value for n, value in ((0, 80.0), (10, 90.0), (15, 95.0), (20, 99.0))}
    make("a", "paper/cub312", settings_of(groups, preset=False))
    out = shown(capsys, "4", "--runs", str(tmp_path / "runs"))
    assert (
        "|   ours" in out and "| 80.0 | 90.0 | 95.0 | 99.0 |" in out and "|   difference | -3.8 | +0.0 | -2.0 | +1.0 |" in out
    )
    assert "definitions" not in out  # accuracy has but one


def test_a_run_without_the_papers_definitions_says_so_and_shows_our_own(capsys, make, tmp_path):
    make("a", "paper/coco80", settings_of(partial(84.0, 1, 1, 1), preset=False))
    out = shown(capsys, "layers", "--runs", str(tmp_path / "runs"))
    assert "| 83.0 |" in out and "by this library's definitions (ctran evaluate RUN --preset ctran" in out


def test_a_run_in_another_setting_is_a_separate_row_that_names_every_difference(capsys, make, tmp_path):
    make("a", "paper/coco80", settings_of(partial(84.0, 1, 1, 1)), "--training.workers", "4")
    make("b", "paper/coco80", settings_of(partial(86.0, 1, 1, 1)), "--data.select_on", "test", "--training.batch_size", "32")
    out = shown(capsys, "layers", "--runs", str(tmp_path / "runs"))
    first, second = (line for line in out.splitlines() if line.startswith("|   ours"))
    assert "84.0" in first and "86.0" in second
    assert "data.select_on test instead of val; training.batch_size 32 instead of 16." in out and "workers" not in out


def test_modern_runs_are_named_as_not_the_papers(capsys, make, tmp_path):
    make("a", "modern/coco80", settings_of(partial(90.0, 1, 1, 1)))
    out = shown(capsys, "1", "--runs", str(tmp_path / "runs"))
    assert "| 90.0 |" in out and "training.loss asl instead of bce" in out and "model.token_dim 512 instead of null" in out


def test_known_labels_that_are_chosen_otherwise_are_no_partial_labels_of_the_paper(capsys, make, tmp_path):
    positives = {EvalSetting(share, reveal="positives"): 90.0 for share in SHARES}
    make("a", "paper/coco80", settings_of(positives))
    ours = rows(capsys, "3", "--runs", str(tmp_path / "runs"))["C-Tran", "ours"]
    assert ours == {"COCO-80 0 %": "90.0"}  # nothing is told, whatever comes first


def test_what_is_left_out_is_named_with_the_reason(capsys, make, tmp_path):
    runs = tmp_path / "runs"
    make("half", "paper/coco80", None)
    make("other", "paper/voc2007", settings_of(partial(1, 1, 1, 1)))
    make("val", "paper/coco80", settings_of(partial(1, 1, 1, 1)), split="val")
    broken = make("broken", "paper/coco80", settings_of(partial(1, 1, 1, 1)))
    (broken / "metrics.json").write_text('{"split": "test"}')
    old = make("old", "paper/coco80", settings_of(partial(1, 1, 1, 1)))
    (old / "recipe.yaml").write_text("source: coco80\ndata:\n  root: x\ntraining:\n  epocs: 3\n")
    out = shown(capsys, "1", "--runs", str(runs))
    assert f"- {runs}/half is not finished (ctran train --resume {runs}/half)" in out
    assert f"- {runs}/other (voc2007, ctran, 3 layers) is not a row of this table" in out
    assert f"- {runs}/val/metrics.json is of val, not of test (ctran evaluate {runs}/val)" in out
    assert f"- {runs}/broken cannot be read: Object missing required field `settings`" in out
    assert f"- {runs}/old cannot be read: {runs}/old/recipe.yaml: unknown recipe key 'training.epocs'" in out
    assert f"No finished run of this table is below {runs}." in out and "ctran train paper/coco80 --root" in out


def test_a_figure_that_no_label_admits_stays_empty(capsys, make, tmp_path):
    make("a", "paper/coco80", settings_of(partial(84.0, 1, 1, float("nan"))))
    ours = rows(capsys, "3", "--runs", str(tmp_path / "runs"))["C-Tran", "ours"]
    assert "COCO-80 75 %" not in ours and ours["COCO-80 50 %"] == "1.0"


def test_on_a_terminal_no_figure_is_cut_off(capsys, monkeypatch, make, tmp_path):
    """80 columns, the narrowest that is usual, and Table 1, the widest."""
    make("a", "paper/coco80", settings_of(partial(84.0, 1, 1, 1), OR=71.25))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    out = shown(capsys, "1", "--runs", str(tmp_path / "runs"))
    assert "…" not in out and "\x1b[" in out and "77.6" in out and "71.2" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["7"], "no table '7' (there are: 1, 2, 3, 4, 5, layers, voc2007)"),
        (["1", "--runs", "/no/where"], "--runs /no/where: there is no such folder"),
    ],
)
def test_errors_are_one_line(capsys, arguments, message):
    assert main(["table", *arguments]) == 1
    err = capsys.readouterr().err
    assert err == f"ctran table: {message}\n"
