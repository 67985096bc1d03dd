"""``ctran plot``: the numbers beside the pictures against what model and evaluation say; what is refused."""

import csv

import numpy as np
import pytest
import torch

from ctran.analysis.calibrate import write_calibration
from ctran.cli.main import main
from ctran.constraints.calibration import Calibration
from ctran.folders.tagger import Tagger
from ctran.images.transforms import open_image
from ctran.masking import EvalSetting, known_labels
from ctran.training.pipeline import build_tables, build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY, draw_folder

GROUPS = "{shades: {labels: [blue, green]}, heat: {labels: [warm]}}"


def make_run(run, pictures, *flags):
    """A run folder with an untrained model: pictures of it need no training."""
    recipe = read_recipe(None, ["--source", "imagefolder", "--root", str(pictures), "--absent", "negative", *TOY, *flags])
    run.mkdir()
    recipe.save(run / "recipe.yaml")
    torch.manual_seed(1)
    tagger = build_tagger(recipe, build_tables(recipe)["train"].labels)
    tagger.save(run / "model")
    return run


@pytest.fixture
def run(folder, tmp_path):
    return make_run(tmp_path / "run", folder, "--labels.groups", GROUPS)


@pytest.fixture
def extra_run(folder, tmp_path):
    return make_run(tmp_path / "extra", folder, "--labels.groups", GROUPS, "--labels.extra", "[shades]")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_maps_of_two_runs_stand_in_one_picture_and_one_file(run, extra_run, tmp_path, capsys):
    assert main(["plot", "embeddings", str(run), str(extra_run), "--output", str(tmp_path / "map")]) == 0
    rows = read(tmp_path / "map.csv")
    assert [(r["run"], r["label"]) for r in rows] == [
        (n, x) for n in ("run", "extra") for x in ("blue", "green", "red", "warm")
    ]
    assert [r["group"] for r in rows[:4]] == ["shades", "shades", "", "heat"]
    width, height = open_image(tmp_path / "map.png").size
    assert width > 1.8 * height
    out = capsys.readouterr().out
    assert out.count("nearest label of the same group") == 2 and str(tmp_path / "map.png") in out


def test_the_nearest_label_is_the_models(run, unrendered):
    assert main(["plot", "embeddings", str(run)]) == 0
    tagger = Tagger.load(run)
    vectors = torch.nn.functional.normalize(tagger.model.labels.label.weight)
    nearest = (vectors @ vectors.T).fill_diagonal_(-2).argmax(dim=1)
    assert [r["nearest"] for r in read(run / "embeddings.csv")] == [tagger.labels.names[i] for i in nearest]


def test_the_map_of_a_model_folder_stands_beside_it(run, unrendered):
    assert main(["plot", "embeddings", str(run / "model")]) == 0
    assert (run / "embeddings.csv").is_file() and not list((run / "model").glob("embeddings*"))


def test_runs_of_one_name_go_by_their_path(folder, tmp_path, unrendered):
    runs = []
    for parent in ("a", "b"):
        (tmp_path / parent).mkdir()
        runs.append(str(make_run(tmp_path / parent / "run", folder)))
    assert main(["plot", "embeddings", *runs, "--output", str(tmp_path / "map")]) == 0
    assert {r["run"] for r in read(tmp_path / "map.csv")} == set(runs)


def split_of(run, split="test"):
    return build_tables(read_recipe(run / "recipe.yaml"))[split]


@pytest.mark.parametrize("flags", [[], ["--reveal", "positives", "--seed", "3"], ["--known-share", "0"]])
def test_examples_are_the_known_labels_of_the_evaluation_and_the_predictions_given_them(run, flags, unrendered):
    assert main(["plot", "examples", str(run), "--count", "3", *flags]) == 0
    tagger, table = Tagger.load(run), split_of(run)
    seed, reveal = (3, "positives") if "--seed" in flags else (0, "random")
    eval_setting = EvalSetting(0.0 if "0" in flags else 0.5, reveal=reveal)
    rows = read(run / "examples.csv")
    ids = list(dict.fromkeys(r["picture"] for r in rows))
    assert len(ids) == 3 and len(rows) == 3 * 2 * 4
    for name in ids:
        at = table.ids.index(name)
        truth = table.truth.rows([at]).long()
        told = known_labels(eval_setting, truth, [name], table.labels, seed=seed)[0]
        known = {label: bool(truth[0, i] == 2) for i, label in enumerate(table.labels.names) if told[i]}
        for setting, facts in (("regular", {}), (str(eval_setting), known)):
            mine = [r for r in rows if r["picture"] == name][: 4 if setting == "regular" else None][-4:]
            assert {r["setting"] for r in mine} == {setting}
            said = tagger.predict(table.picture(at), facts).probabilities
            assert {r["label"]: float(r["probability"]) for r in mine if r["probability"]} == pytest.approx(said, abs=1e-4)
            states = {r["label"]: r["state"] for r in mine if r["state"] != "unknown"}
            assert states == {label: "positive" if yes else "negative" for label, yes in facts.items()}
            assert [r["truth"] for r in mine] == [("unknown", "negative", "positive")[c] for c in truth[0].tolist()]


def test_examples_of_a_calibrated_model_are_what_it_predicts(run, unrendered):
    write_calibration(Calibration((0.0, 0.5), (3.0, 0.5)), run)
    assert main(["plot", "examples", str(run), "--count", "2"]) == 0
    tagger, table, rows = Tagger.load(run), split_of(run), read(run / "examples.csv")
    for name in dict.fromkeys(r["picture"] for r in rows):
        mine = {r["label"]: float(r["probability"]) for r in rows if r["picture"] == name and r["setting"] == "regular"}
        assert mine == pytest.approx(tagger.predict(table.picture(table.ids.index(name))).probabilities, abs=1e-4)


def test_groups_of_extra_labels_are_known_and_never_predicted(extra_run, unrendered):
    assert main(["plot", "examples", str(extra_run), "--known-groups", "1", "--count", "2"]) == 0
    rows = read(extra_run / "examples.csv")
    known = [r for r in rows if r["setting"] == "1 groups" and r["state"] != "unknown"]
    assert {r["label"] for r in known} == {"blue", "green"} and all(r["state"] == r["truth"] for r in known)
    assert all(bool(r["probability"]) == (r["label"] in ("red", "warm")) for r in rows)


def test_the_seed_draws_the_pictures_and_ids_name_them(run, unrendered):
    ids = split_of(run).ids[1::-1]
    drawn = []
    for flags in (["--seed", "0", "--count", "3"], ["--seed", "1", "--count", "3"], ["--ids", *ids]):
        assert main(["plot", "examples", str(run), *flags]) == 0
        drawn.append(list(dict.fromkeys(r["picture"] for r in read(run / "examples.csv"))))
    assert len(drawn[0]) == 3 and drawn[0] != drawn[1] and drawn[2] == ids


def test_a_picture_stands_beside_the_numbers_a_row_an_example(run):
    heights = []
    for count in ("1", "3"):
        assert main(["plot", "examples", str(run), "--count", count]) == 0
        heights.append(open_image(run / "examples.png").size[1])
    assert heights[1] > 2 * heights[0]
    assert np.asarray(open_image(run / "examples.png")).std() > 5


def test_data_that_have_moved_are_found_at_their_new_root(run, folder, capsys, unrendered):
    folder.rename(folder.with_name("moved"))
    assert main(["plot", "examples", str(run)]) == 1
    assert main(["plot", "examples", str(run), "--root", str(folder.with_name("moved"))]) == 0


def test_other_data_than_the_runs_are_warned_of(run, tmp_path, capsys, unrendered):
    assert main(["plot", "examples", str(run)]) == 0
    assert not capsys.readouterr().err
    other = draw_folder(tmp_path / "other")
    (other / "metadata.csv").write_text((other / "metadata.csv").read_text().replace('"green', '"warm,green'))
    assert main(["plot", "examples", str(run), "--root", str(other)]) == 0
    assert "warning: pictures, labels or splits are not those" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["examples", "{run}", "--ids", "00.pgn"], "test has no picture '00.pgn'"),
        (
            ["examples", "{run}", "--known-groups", "9"],
            "9 known groups asked for, the label space has 0 groups of extra labels",
        ),
        (["examples", "/no/where"], "/no/where: no such folder, expected a run folder"),
        (["examples", "{run}", "--output", "/no/where/x"], "there is no folder /no/where"),
        (["embeddings", "/no/where"], "/no/where: no such folder, expected a model or run folder"),
        (["embeddings", "{run}", "--output", "/no/where/x"], "there is no folder /no/where"),
    ],
)
def test_errors_are_one_line(run, capsys, arguments, message):
    assert main(["plot", *(a.format(run=run) for a in arguments)]) == 1
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--known-share", "0.5"], "Did you mean 50?"),
        (["--known-share", "120"], "from 0 to 100, got 120"),
        (["--count", "0"], "expected at least 1, got 0"),
        (["--known-share", "5", "--known-groups", "2"], "not allowed with"),
    ],
)
def test_values_out_of_range_are_wrong_usage(capsys, flags, message):
    with pytest.raises(SystemExit) as stop:
        main(["plot", "examples", "run", *flags])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_a_method_without_label_embeddings_is_refused(folder, tmp_path, capsys):
    flags = ("--source", "imagefolder", "--root", str(folder), "--absent", "negative", "--method", "linear")
    recipe = read_recipe(None, [*flags, "--model.backbone", "test_resnet", "--model.weights", "none"])
    build_tagger(recipe, build_tables(recipe)["train"].labels).save(tmp_path / "linear")
    assert main(["plot", "embeddings", str(tmp_path / "linear")]) == 1
    assert "method 'linear' has no label embeddings" in capsys.readouterr().err


def test_influence_is_a_map_and_a_table_of_all_pairs(run, tmp_path, capsys):
    assert main(["plot", "influence", str(run), "--count", "2", "--output", str(tmp_path / "i")]) == 0
    rows = read(tmp_path / "i.csv")
    assert len(rows) == 4 * 3 and {r["known"] for r in rows} == {"blue", "green", "red", "warm"}
    assert any(abs(float(r["change of log-odds"])) > 1e-4 for r in rows)
    assert "2 pictures; association, not cause" in capsys.readouterr().out
    assert main(["plot", "influence", str(run), "--count", "2", "--output", str(tmp_path / "named.png")]) == 0
    assert {p.name for p in tmp_path.glob("named*")} == {"named.png", "named.csv"}
    assert open_image(tmp_path / "i.png").size[0] > 200


def test_a_heat_map_is_a_sheet_and_a_table_of_cells(run, folder, tmp_path, capsys):
    picture = sorted(folder.glob("*.png"))[0]
    command = ["plot", "heatmap", str(run), str(picture), "red", "warm", "--output", str(tmp_path / "h")]
    assert main([*command, "--known", "blue=yes"]) == 0
    rows = read(tmp_path / "h.csv")
    session = Tagger.load(run).session(picture).tell({"blue": True})
    for name in ("red", "warm"):
        cells = [float(r["log-odds"]) for r in rows if r["label"] == name]
        np.testing.assert_allclose(cells, session.heatmap(name).ravel(), atol=1e-5)
    assert open_image(tmp_path / "h.png").size[0] > 200
    assert main([*command[:4], "rad", "--output", str(tmp_path / "h")]) == 1
    assert "did you mean 'red'" in capsys.readouterr().err


def test_attention_is_a_sheet_and_a_table_of_cells(run, folder, tmp_path, capsys):
    picture = sorted(folder.glob("*.png"))[0]
    command = ["plot", "attention", str(run), str(picture), "red", "warm", "--output", str(tmp_path / "a")]
    assert main([*command, "--known", "blue=yes"]) == 0
    rows = read(tmp_path / "a.csv")
    session = Tagger.load(run).session(picture).tell({"blue": True})
    for name in ("red", "warm"):
        cells = [float(r["attention"]) for r in rows if r["label"] == name]
        np.testing.assert_allclose(cells, session.attention(name).ravel(), atol=1e-5)
    assert main([*command[:4], "rad", "--output", str(tmp_path / "a")]) == 1
    assert "did you mean 'red'" in capsys.readouterr().err
