"""``ctran evaluate``: which labels a figure is about, what leaves ``metrics.json`` alone, model folders without a run."""

import csv
import json

import pytest
import torch

from ctran import Tagger
from ctran.cli.main import main
from ctran.constraints.calibration import Calibration
from ctran.labels import Group, LabelSpace
from tests.conftest import TOY


def train(pictures, out, *flags):
    """A toy run on a folder of pictures."""
    return main(
        ["train", "--method", "ctran", "--source", "imagefolder", "--root", str(pictures), "--output", str(out), *TOY, *flags]
    )


@pytest.fixture(scope="module")
def run(finished_run, tmp_path_factory):
    """A copy of a trained run folder, and its pictures."""
    return finished_run.copy(tmp_path_factory.mktemp("evaluate") / "run").folder, finished_run.pictures


def relabelled(pictures, root, change):
    """The same pictures in a new folder, with other labels; ``change`` makes the fields of a row from its labels."""
    root.mkdir()
    with (pictures / "metadata.csv").open() as file:
        rows = [{"file_name": row["file_name"], **change(row["labels"].split(","))} for row in csv.DictReader(file)]
    for row in rows:
        (root / row["file_name"]).write_bytes((pictures / row["file_name"]).read_bytes())
    with (root / "metadata.csv").open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def saved(stem):
    return json.loads(stem.with_suffix(".json").read_text())


@pytest.mark.parametrize(
    "flags",
    [["--draws", "3"], ["--seed", "4"], ["--known-share", "0", "50"], ["--reveal", "positives"], ["--evaluation.draws", "2"]],
)
def test_whatever_changes_a_figure_leaves_the_metrics_of_the_recipe_alone(run, flags):
    before = (run[0] / "metrics.json").read_bytes()
    assert main(["evaluate", str(run[0]), *flags]) == 0
    assert (run[0] / "metrics.json").read_bytes() == before
    assert saved(run[0] / "metrics-other") != saved(run[0] / "metrics")


def test_presets_and_intervals_add_to_the_same_figures(run):
    before = saved(run[0] / "metrics")
    assert main(["evaluate", str(run[0]), "--preset", "ctran", "--intervals", "100"]) == 0
    after = saved(run[0] / "metrics")
    assert [s["hidden"] for s in after["settings"]] == [s["hidden"] for s in before["settings"]]
    assert after["settings"][0]["published"] and after["settings"][0]["intervals"]
    assert main(["evaluate", str(run[0])]) == 0
    assert saved(run[0] / "metrics") == before


def test_labels_that_the_data_lack_and_the_model_lacks_are_named_with_the_nearest(run, tmp_path, capsys):
    names = {"red": "red", "green": "greens", "blue": "purple", "warm": "purple"}
    other = relabelled(run[1], tmp_path / "o", lambda labels: {"labels": ",".join({names[n] for n in labels if n})})
    flags = ["--data.root", str(other), "--output", str(tmp_path / "m")]
    assert main(["evaluate", str(run[0]), *flags, "--all-columns"]) == 0
    out = capsys.readouterr().out
    assert "Measured on 1 of 4 labels. Not in the data: " in out and "green (nearest: greens)" in out
    assert "Labels of the data that the model does not have: " in out and "purple" in out
    assert out.strip() == (tmp_path / "m.md").read_text().strip()
    coverage = saved(tmp_path / "m")["coverage"]
    assert (coverage["targets"], coverage["measured"]) == (4, 1)
    assert coverage["left_out"] == {"not in the data": ["blue", "green", "warm"]}
    assert set(coverage["not_in_model"]) == {"greens", "purple"} and coverage["nearest"]["green"] == "greens"


def test_data_without_any_label_of_the_model_are_refused(run, tmp_path, capsys):
    other = relabelled(run[1], tmp_path / "o", lambda labels: {"labels": "greens,other" if "green" in labels else "other,x"})
    assert main(["evaluate", str(run[0]), "--data.root", str(other), "--output", str(tmp_path / "m")]) == 1
    err = capsys.readouterr().err
    assert "none of the model's 4 labels is in the data" in err and "green (nearest: greens)" in err
    assert not (tmp_path / "m.json").exists()


def test_the_report_states_its_thresholds_and_counts_with_the_models_own_as_well(run, tmp_path, capsys):
    assert main(["evaluate", str(run[0]), "--output", str(tmp_path / "plain.json")]) == 0
    assert "Thresholds of one half and temperature 1: the figures use no calibration." in capsys.readouterr().out
    path = run[0] / "model" / "calibration.json"
    fitted = Calibration((0.0, 0.5), (2.0, 3.0), {"red": 0.0, "blue": 0.0, "green": 0.0, "warm": 1.0}, "greatest F1")
    fitted.save(path)
    try:
        assert main(["evaluate", str(run[0]), "--output", str(tmp_path / "own")]) == 0
    finally:
        path.unlink()
    out = " ".join(capsys.readouterr().out.split())
    assert "no calibration of the model. With its own temperatures and thresholds:" in out
    assert "Temperatures: 2 at 0 % known" in out and "Thresholds: 0 to 1 for 4 labels (by greatest F1); of an exclusive" in out
    plain, own = saved(tmp_path / "plain"), saved(tmp_path / "own")
    assert not plain["decision"]["own_thresholds"] and plain["decision"]["calibration"] is None
    assert own["decision"]["own_thresholds"]
    assert Calibration.from_dict(own["decision"]["calibration"], Tagger.load(run[0]).labels) == fitted
    for row in own["settings"]:
        assert row["own_temperature"] == pytest.approx(2 + min(1, 2 * row["num_known"] / 4), abs=0.2)
    for before, after in zip(plain["settings"], own["settings"], strict=True):
        assert after["hidden"] == before["hidden"] and not before["own_thresholds"]
    row = own["settings"][0]  # nothing is known: three labels are called in every picture, warm in none
    positives = {name: each["positives"] for name, each in row["labels"].items()}
    called = {name: n for name, n in positives.items() if name != "warm"}
    assert row["own_thresholds"]["OR"] == pytest.approx(100 * sum(called.values()) / sum(positives.values()))
    assert row["own_thresholds"]["OP"] == pytest.approx(100 * sum(called.values()) / (3 * own["pictures"]))


def test_a_model_folder_without_a_run_is_measured_on_the_source_that_is_named(run, tmp_path, capsys):
    tagger = Tagger.load(run[0])
    tagger.save(tmp_path / "model")
    assert main(["evaluate", str(tmp_path / "model")]) == 1
    assert "--source NAME --root FOLDER" in capsys.readouterr().err
    flags = ["--source", "imagefolder", "--root", str(run[1]), "--absent", "negative"]
    assert main(["evaluate", str(tmp_path / "model"), *flags]) == 0
    assert saved(tmp_path / "model-metrics") == saved(run[0] / "metrics")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"config.json", "labels.json", "model.safetensors", "README.md"}
    assert main(["evaluate", str(tmp_path / "model"), *flags, "--training.epochs", "3"]) == 1
    assert "--training.epochs: of a trained model only" in capsys.readouterr().err


def test_a_model_that_knows_names_alone_takes_groups_and_extra_labels_of_the_data(run, tmp_path, capsys):
    Tagger.load(run[0]).save(tmp_path / "model")
    flags = ["--source", "imagefolder", "--root", str(run[1]), "--absent", "negative", "--labels.extra", '["heat"]']
    flags += ["--labels.groups", '{"heat": {"labels": ["warm"]}, "colour": {"labels": ["red", "blue"]}}']
    assert main(["evaluate", str(tmp_path / "model"), *flags, "--known-groups", "0", "1", "--output", str(tmp_path / "m")]) == 0
    assert "| 1 groups |" in capsys.readouterr().out
    assert set(saved(tmp_path / "m")["settings"][0]["labels"]) == {"red", "green", "blue"}


def test_a_label_that_is_never_absent_in_train_counts_in_no_mean(run, tmp_path, capsys, unrendered):
    """What labelling in the studio leaves: the labels that are there, and a `no` for blue alone."""
    loop = relabelled(run[1], tmp_path / "yes", lambda labels: {"labels": ",".join(n for n in labels if n)})
    assert train(loop, tmp_path / "refused", "--absent", "unknown") == 1
    assert "predicting every label would be perfect" in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()
    loop = relabelled(
        run[1],
        tmp_path / "one no",
        lambda labels: {
            "labels": ",".join(n for n in labels if n),
            "negatives": "blue" if "red" in labels and "blue" not in labels else "",
        },
    )
    assert train(loop, tmp_path / "run", "--absent", "unknown", "--training.epochs", "1") == 0
    out, err = capsys.readouterr()
    assert "3 of 4 labels cannot be learned and are left out of mean figures (never negative in training: " in err
    assert "Measured on" in out and "Never negative in training: green, red, warm." in out
    found = saved(tmp_path / "run" / "metrics")
    assert found["coverage"]["left_out"]["never negative in training"] == ["green", "red", "warm"]
    assert not any(s["hidden"]["mAP"] == 100 for s in found["settings"])  # blue alone, which the toy cannot rank


def test_a_label_that_is_never_positive_in_train_counts_in_no_mean_wherever_it_is_measured(run, tmp_path, capsys, unrendered):
    names = ["train", "val", "test"]
    rare = relabelled(
        run[1],
        tmp_path / "o",
        lambda labels: {"labels": ",".join(n for n in labels if n), "split": names[("green" in labels) + ("blue" in labels)]},
    )
    assert train(rare, tmp_path / "run", "--absent", "negative", "--training.epochs", "1") == 0
    out, err = capsys.readouterr()
    assert "2 of 4 labels cannot be learned" in err and "never positive in training: blue, green" in err
    assert "Never positive in training: blue, green." in out
    found = saved(tmp_path / "run" / "metrics")["settings"][0]
    with_ap = [each["AP"] for name, each in found["labels"].items() if name in ("red", "warm") and each["AP"] is not None]
    assert found["hidden"]["mAP"] == pytest.approx(sum(with_ap) / len(with_ap))
    assert found["labels"]["blue"]["positives"] > 0
    assert main(["evaluate", str(tmp_path / "run"), "--data.root", str(run[1]), "--output", str(tmp_path / "m")]) == 0
    assert saved(tmp_path / "m")["coverage"]["left_out"]["never positive in training"] == ["blue", "green"]


def test_groups_of_cub_are_put_into_the_released_order():
    from ctran.paper.released_models import COCO, CUB

    classes, attributes = tuple(f"c{i}" for i in range(200)), tuple(f"a{i}" for i in range(112))
    source = LabelSpace((*classes, *attributes), attributes, (Group("species", classes, exclusive=True),))
    ordered = CUB.released_order(source)
    CUB.check_order(ordered)
    assert ordered.names == (*attributes, *classes) and (ordered.groups, ordered.extra) == (source.groups, source.extra)
    plain = LabelSpace((*attributes, *classes))
    assert CUB.released_order(plain) == plain and COCO.released_order(source) == source
    assert torch.equal(ordered.members(ordered.groups[0]), torch.arange(112, 312))


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (["evaluate", "--intervals", "100"], "{stem}.json"),
        (["suspects", "--split", "val", "--rows", "20"], "{stem}.csv"),
    ],
)
def test_processes_that_read_pictures_change_nothing(run, tmp_path, words, written):
    found = []
    for workers in ("0", "1"):
        stem = tmp_path / f"with-{workers}"
        assert main([words[0], str(run[0]), *words[1:], "--workers", workers, "--output", str(stem)]) == 0
        found.append((tmp_path / written.format(stem=stem.name)).read_text())
    assert found[0] == found[1]
