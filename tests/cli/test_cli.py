"""The command as a user meets it: what it prints, what it refuses, with which exit status."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from ctran.cli.main import COMMANDS, main
from tests.conftest import TOY


@pytest.fixture(scope="module")
def run(finished_run, tmp_path_factory):
    """A copy of a trained run folder, and its pictures."""
    return finished_run.copy(tmp_path_factory.mktemp("cli") / "run").folder, finished_run.pictures


def test_training_prints_where_the_run_folder_is(toy_run):
    assert toy_run.printed.rstrip().endswith(f"run folder: {toy_run.folder}")
    assert "epoch 2/2" in toy_run.printed and "| 75 % " in toy_run.printed


def test_evaluate_prints_a_row_a_share_and_writes_both_forms(run, capsys, tmp_path):
    assert main(["evaluate", str(run[0]), "--known-share", "0", "50", "--all-columns", "--output", str(tmp_path / "m")]) == 0
    out = capsys.readouterr().out
    assert "| 0 % " in out and "| 50 % " in out and "| 25 % " not in out
    saved = json.loads((tmp_path / "m.json").read_text())
    assert [s["known_share"] for s in saved["settings"]] == [0, 0.5]
    assert (tmp_path / "m.md").read_text().strip() == out.strip()


def test_evaluation_repeats_itself_to_the_bit(run, tmp_path):
    for name in ("a", "b"):
        assert main(["evaluate", str(run[0]), "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_predict_prints_a_table(run, capsys):
    assert main(["predict", str(run[0]), str(run[1] / "00.png"), "--known", "red=yes", "blue=no"]) == 0
    assert "00.png" in capsys.readouterr().out


def test_predict_as_json_leaves_out_known_labels(run, capsys):
    pictures = [str(run[1] / f"{n:02}.png") for n in range(2)]
    assert main(["predict", str(run[0]), *pictures, "--known", "red=yes", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["file"] for r in rows] == pictures
    assert all(set(r["probabilities"]) == {"blue", "green", "warm"} and "red" in r["labels"] for r in rows)


def test_predict_as_csv_is_one_row_a_label(run, capsys):
    assert main(["predict", str(run[0]), str(run[1] / "00.png"), "--csv", "--threshold", "0"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {r["label"] for r in rows} == {"blue", "green", "red", "warm"} and all(r["present"] == "1" for r in rows)


def test_thresholds_of_a_model_are_used_unless_another_is_given(run, capsys, tmp_path):
    from ctran import Tagger
    from ctran.constraints.calibration import Calibration

    tagger = Tagger.load(run[0])
    tagger.calibration = Calibration(thresholds=dict.fromkeys(tagger.labels.names, 0.0) | {"red": 1.0})
    tagger.save(tmp_path / "m")
    command = ["predict", str(tmp_path / "m"), str(run[1] / "00.png"), "--json"]
    assert main(command) == 0
    assert set(json.loads(capsys.readouterr().out)["labels"]) == {"blue", "green", "warm"}
    assert main([*command, "--threshold", "0"]) == 0
    assert set(json.loads(capsys.readouterr().out)["labels"]) == {"blue", "green", "red", "warm"}


def test_one_broken_picture_does_not_cost_the_others(run, capsys, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    assert main(["predict", str(run[0]), str(tmp_path / "bad.png"), str(run[1] / "00.png"), "--json"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 and "bad.png: not a picture" in err


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_predict_computes_batches_and_writes_each_before_the_next(run, capsys, tmp_path, monkeypatch, form):
    from ctran import Tagger
    from ctran.inference.many import BATCH

    (tmp_path / "bad.png").write_text("no picture")
    (tmp_path / "folder").mkdir()
    whole = [str(run[1] / f"{n % 20:02}.png") for n in range(BATCH + 4)]
    names = [str(tmp_path / "bad.png"), *whole[:5], str(tmp_path / "gone.png"), *whole[5:], str(tmp_path / "folder")]
    batches, encode, printed, errors = [], Tagger.encode_images, "", ""

    def encode_and_count(self, squares):
        nonlocal printed, errors
        out, err = capsys.readouterr()
        printed, errors = printed + out, errors + err
        batches.append((len(squares), sum(name in printed for name in set(names)), errors.count("ctran predict: ")))
        return encode(self, squares)

    with monkeypatch.context() as patch:
        patch.setattr(Tagger, "encode_images", encode_and_count)
        assert main(["predict", str(run[0]), *names, form]) == 1
    assert batches == [(BATCH - 2, 0, 0), (6, BATCH - 2, 2)]
    out, err = capsys.readouterr()
    printed, errors = printed + out, errors + err
    assert [next(n for n in names if n in line) for line in errors.splitlines()] == [names[0], names[6], names[-1]]
    if form == "--json":
        rows = [json.loads(line) for line in printed.splitlines()]
        assert [row["file"] for row in rows] == whole
        tagger = Tagger.load(run[0])
        for row in rows:
            assert row["probabilities"] == pytest.approx(tagger.predict(row["file"]).probabilities, abs=1e-5)


def test_a_truncated_picture_is_predicted_on_request(run, capsys, tmp_path):
    with Image.open(run[1] / "00.png") as whole:
        whole.convert("RGB").resize((90, 90)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-200])
    assert main(["predict", str(run[0]), str(tmp_path / "cut.jpg"), "--json"]) == 1
    assert "cut.jpg: broken picture" in capsys.readouterr().err
    assert main(["predict", str(run[0]), str(tmp_path / "cut.jpg"), "--json", "--truncated", "read"]) == 0
    assert "probabilities" in capsys.readouterr().out


def test_the_value_of_white_changes_a_deep_picture(run, capsys, tmp_path):
    deep = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(deep << 4).save(tmp_path / "scaled.png")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = []
    for name, options in (("scaled.png", []), ("deep.png", ["--white", "4095"])):
        assert main(["predict", str(run[0]), str(tmp_path / name), "--json", *options]) == 0
        found.append(json.loads(capsys.readouterr().out)["probabilities"])
    assert found[0] == pytest.approx(found[1], abs=0.02)
    with pytest.raises(SystemExit):
        main(["predict", str(run[0]), str(tmp_path / "deep.png"), "--white", "0"])
    assert "expected a number above 0, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "{run}", "{picture}", "--known", "rde=yes"], "unknown label 'rde'; did you mean 'red'?"),
        (["predict", "{run}", "{picture}", "--known", "red"], "--known takes LABEL=yes or LABEL=no, got 'red'"),
        (["predict", "/no/where", "{picture}"], "/no/where: no such folder, expected a model or run folder"),
        (["evaluate", "{run}", "--output", "/no/where/x"], "there is no folder /no/where"),
        (["predict", "{run}", "{picture}", "--known", "red=yes", "red=no"], "both yes and no for 'red'"),
        (["evaluate", "/no/where"], "/no/where: no such folder, expected a run folder"),
        (["suspects", "/no/where"], "/no/where: no such folder, expected a model or run folder"),
        (["calibrate", "/no/where"], "/no/where: no such folder, expected a model or run folder"),
        (["export", "/no/where", "--format", "torch"], "/no/where: no such folder, expected a model or run folder"),
        (["plot", "influence", "/no/where"], "/no/where: no such folder, expected a model or run folder"),
        (["train", "gone.yaml"], "gone.yaml: no such file, expected a recipe in YAML"),
        (["train", "zebra"], "or one of: auto, demo"),
        (["train", "dem"], "no recipe 'dem'; did you mean 'demo'?"),
        (["train", "demo", "--training.epocs", "3"], "did you mean 'training.epochs'?"),
        (["train", "--resume", "/no/where"], "/no/where: no such folder, expected a run folder"),
        (["data", "openclip"], "unknown source 'openclip'; did you mean 'openclipart'?"),
    ],
)
def test_errors_are_one_line(run, capsys, arguments, message):
    filled = [a.format(run=run[0], picture=run[1] / "00.png") for a in arguments]
    assert main(filled) == 1
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1 and err.startswith(f"ctran {arguments[0]}: ")


def test_a_wrong_flag_names_the_nearest(run, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(run[0]), "x.png", "--treshold", "0.3"])
    assert stop.value.code == 2
    assert "--treshold 0.3; did you mean '--threshold'?" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and f"ctran {command}" in capsys.readouterr().out


def test_datasets_lists_every_source(capsys):
    from ctran import registry
    from ctran.data import sources

    assert main(["data"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in registry.names(sources))


def test_keys_lists_the_options_of_a_recipe(capsys):
    assert main(["train", "--keys"]) == 0
    assert "--training.unknown_share" in capsys.readouterr().out


def test_the_saved_recipe_trains_again(run, tmp_path, unrendered):
    saved = yaml.safe_load((run[0] / "recipe.yaml").read_text())
    assert saved["data"]["root"] == str(run[1])
    assert main(["train", str(run[0] / "recipe.yaml"), "--output", str(tmp_path / "again"), "--training.epochs", "1"]) == 0


def test_other_settings_leave_the_metrics_of_the_recipe_alone(run, capsys):
    before = (run[0] / "metrics.json").read_bytes()
    assert main(["evaluate", str(run[0]), "--known-share", "50", "--reveal", "positives"]) == 0
    assert (run[0] / "metrics.json").read_bytes() == before and "metrics-other.json" in capsys.readouterr().err
    saved = json.loads((run[0] / "metrics-other.json").read_text())
    assert [s["setting"] for s in saved["settings"]] == ["50 % of positives"]


def test_a_run_whose_data_moved_is_resumed_where_they_are(finished_run, tmp_path, capsys, unrendered):
    copy = finished_run.copy_with_pictures(tmp_path)
    run, pictures = copy.folder, copy.pictures
    pictures.rename(tmp_path / "moved")
    assert main(["train", "--resume", str(run)]) == 1
    assert main(["train", "--resume", str(run), "--root", str(tmp_path / "moved")]) == 0
    assert "is finished; it is measured again" in capsys.readouterr().err
    assert main(["train", "--resume", str(run), "--seed", "3"]) == 1
    assert "only --root, --data keys and --training.epochs can be changed" in capsys.readouterr().err
    more = ["--root", str(tmp_path / "moved"), "--training.epochs", "3"]
    assert main(["train", "--resume", str(run), *more]) == 0
    assert "measured again" not in capsys.readouterr().err
    assert len(json.loads((run / "history.json").read_text())) == 3
    recorded = (run / "recipe.yaml").read_text()
    assert f"root: {pictures}" in recorded and "epochs: 3" in recorded  # where the data are now is not part of the recipe


def test_a_picture_that_breaks_is_one_line_from_a_loading_process_too(tmp_path, capsys):
    from tests.data.miniatures import voc2007

    options = voc2007.make(tmp_path / "voc")
    for picture in (tmp_path / "voc").rglob("*.jpg"):
        picture.write_text("no picture")
    flags = [x for key, value in options.items() for x in (f"--data.{key}", str(value).lower())]
    data = ["--source", "voc2007", "--root", str(tmp_path / "voc"), *flags]
    assert main(["train", "--method", "ctran", *data, *TOY, "--training.workers", "1", "--output", str(tmp_path / "r")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("ctran train: picture '0") and ".jpg): not a picture of a format that is read (JPEG, " in last


@pytest.mark.parametrize(("option", "present"), [("--json", None), ("--csv", "1")])
def test_all_forms_name_the_same_label_of_an_exclusive_group(run, capsys, tmp_path, option, present):
    import dataclasses

    from ctran import Tagger
    from ctran.labels import Group

    tagger = Tagger.load(run[0])
    groups = (Group("colour", ("blue", "green", "red"), exclusive=True),)
    Tagger(tagger.model, dataclasses.replace(tagger.labels, groups=groups), tagger.config, tagger.preprocessing).save(
        tmp_path / "m"
    )
    assert main(["predict", str(tmp_path / "m"), str(run[1] / "00.png"), option, "--threshold", "0.99"]) == 0
    out = capsys.readouterr().out
    if present is None:
        named = set(json.loads(out)["labels"])
    else:
        named = {r["label"] for r in csv.DictReader(io.StringIO(out)) if r["present"] == present}
    assert len(named & {"blue", "green", "red"}) == 1


def test_calibrating_writes_into_the_model_folder_and_is_taken_back(run, capsys):
    assert main(["calibrate", str(run[0]), "--known-share", "0", "50", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert [row["known_share"] for row in found["test"]] == [0, 0.5] and found["split"] == "val"
    assert [fit["kept"] for fit in found["temperatures"]] == [False, False] and "only" in found["temperatures"][0]["reason"]
    assert "not kept: 0 % known: temperature 1 is kept, only" in err and "nothing is kept: probabilities" in err
    path = run[0] / "model" / "calibration.json"
    assert str(path) in err and json.loads(path.read_text())["known_shares"] == [0, 0.5]
    assert main(["calibrate", str(run[0]), "--precision", "0.9", "--workers", "1"]) == 0
    assert json.loads(path.read_text())["rule"] == "precision of at least 0.9"
    assert main(["calibrate", str(run[0]), "--reset"]) == 0
    assert not path.exists()
    assert main(["calibrate", str(run[0]), "--known-share", "100"]) == 1
    assert main(["calibrate", str(run[0]), "--split", "train"]) == 1
    assert "was trained on all" in capsys.readouterr().err
    assert main(["calibrate", str(run[0]), "--split", "test"]) == 1
    assert "takes train or val here, got test" in capsys.readouterr().err


def test_suspects_are_ranked_in_a_table_a_sheet_and_a_page(run, capsys, tmp_path):
    stem = tmp_path / "look"
    assert main(["suspects", str(run[0]), "--split", "train", "--output", str(stem), "--count", "3"]) == 0
    rows = list(csv.DictReader(io.StringIO(stem.with_suffix(".csv").read_text())))
    surprise = [float(row["surprise"]) for row in rows]
    assert surprise == sorted(surprise, reverse=True) and {row["annotated"] for row in rows} == {"present", "absent"}
    page = stem.with_suffix(".html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3 and rows[0]["label"] in page and "http" not in page
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert rows[0]["id"] in capsys.readouterr().out
    assert main(["suspects", str(run[0]), "--output", str(tmp_path / "gone" / "x")]) == 1


def test_evaluate_warns_of_pictures_that_the_run_was_trained_on_under_any_name(run, tmp_path, capsys):
    out, pictures = run
    trained = json.loads((out / "data.json").read_text())["train"]["pictures"]
    (tmp_path / "other").mkdir()
    lines = ["file_name,labels,split"]
    for number in range(30):
        shutil.copy(pictures / f"{number:02}.png", tmp_path / "other" / f"new{number}.png")
        lines.append(f"new{number}.png,{('red', 'blue', 'green', 'warm')[number % 4]},{'train' if number < 2 else 'test'}")
    lines[1] = lines[1].replace("train", "val")
    (tmp_path / "other" / "metadata.csv").write_text("\n".join(lines))
    capsys.readouterr()
    where = ["--root", str(tmp_path / "other"), "--output", str(tmp_path / "m")]
    assert main(["evaluate", str(out), *where]) == 0
    err = capsys.readouterr().err
    assert f"{out} was trained on {trained - 2} of the 28 pictures of test (first: 'new2.png')" in err
    assert main(["evaluate", str(out), "--output", str(tmp_path / "m")]) == 0
    assert "was trained on" not in capsys.readouterr().err
