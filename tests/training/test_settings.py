"""Groups, extra labels and truth with holes from the recipe to the prediction, on a user's own pictures."""

import json

import pytest
import torch

import ctran
from ctran.cli.main import main
from ctran.constraints.exclusive import cross_entropy
from ctran.data.table import DataError
from ctran.labels import LabelState
from ctran.training.fit import fit
from ctran.training.pipeline import build_tables, prepare
from ctran.training.recipe import read_recipe
from tests.conftest import TOY, draw

RECIPE = """
labels:
  extra: [wall]
  groups:
    colour: {exclusive: true, labels: [red, green, blue]}
    wall: {labels: [bright, dark]}
training: {exclusive: softmax, mask_by: groups}
evaluation: {known_groups: [0, 1], draws: 2}
"""


@pytest.fixture
def squares(tmp_path):
    """Thirty pictures of one square each; its colour, and a wall that goes with it."""
    root = tmp_path / "squares"
    root.mkdir()
    lines = ["file_name,labels"]
    for number in range(30):
        colour = ("red", "green", "blue")[number % 3]
        draw(root / f"{number:02}.png", [colour], note=f"33 {number}")  # each colour in every split
        lines.append(f"{number:02}.png,{colour}|{'bright' if colour == 'red' else 'dark'}")
    (root / "metadata.csv").write_text("\n".join(lines))
    (root / "recipe.yaml").write_text(RECIPE)
    return root


def read(root, *flags):
    source = ["--source", "imagefolder", "--root", str(root), "--absent", "negative", "--data.delimiter", "|"]
    return read_recipe(root / "recipe.yaml", [*TOY, *source, *flags])


@pytest.mark.slow
def test_a_recipe_with_groups_trains_predicts_and_reports_accuracy(squares, tmp_path):
    report = fit(read(squares, "--training.epochs", "12"), tmp_path / "run")
    nothing, wall = report.settings
    assert report.multi_class and (nothing.num_known, wall.num_known) == (0, 2)
    assert nothing.accuracy["colour"] > 60 and set(nothing.labels) == {"red", "green", "blue"}
    tagger = ctran.load(tmp_path / "run")
    prediction = tagger.predict(squares / "00.png", {"red": False, "bright": False})
    assert len([n for n in prediction.labels if n in ("red", "green", "blue")]) == 1
    assert sum(prediction.probabilities.values()) == pytest.approx(1) and "dark" not in prediction.probabilities
    saved = json.loads((tmp_path / "run" / "metrics.json").read_text())
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history[-1]["val_score"] == pytest.approx(
        (history[-1]["val_accuracy_0_groups"] + history[-1]["val_accuracy_1_groups"]) / 2
    )
    assert saved["settings"][1]["draws"] == 2 and saved["settings"][1]["accuracy"] == wall.accuracy
    labels = json.loads((tmp_path / "run" / "labels.json").read_text())
    assert labels["groups"]["colour"]["exclusive"] and labels["extra"] == ["bright", "dark"]


def test_evaluate_takes_settings_and_other_folders_beside_the_recipes(squares, tmp_path, capsys):
    fit(read(squares, "--training.epochs", "1"), tmp_path / "run")
    squares.rename(tmp_path / "moved")
    run, moved = str(tmp_path / "run"), ["--root", str(tmp_path / "moved")]
    capsys.readouterr()
    flags = ["--known-share", "50", "--reveal", "positives", "--preset", "ctran", "voc", "--intervals", "100"]
    assert main(["evaluate", run, *moved, *flags, "--output", str(tmp_path / "m")]) == 0
    out, err = capsys.readouterr()
    assert "50 % of positives" in out and "as `voc` counts" in out and "95 % interval" in out
    assert "warning" not in err  # ids and truth are what they were
    assert main(["evaluate", run, *moved, "--known-groups", "2"]) == 1
    assert "2 known groups asked for, the label space has 1 groups of extra labels" in capsys.readouterr().err
    for key in ("--labels.extra", "--training.epochs", "--model.dropout"):
        assert main(["evaluate", run, *moved, key, "1"]) == 1
        assert f"{key}: of a trained model only --data and --evaluation keys" in capsys.readouterr().err


def test_training_by_softmax_is_the_groups_cross_entropy_beside_the_other_labels(squares, tmp_path):
    """With a learning rate of 0 the first epoch's loss is the formula's."""
    flags = {
        "unknown_share": "[1, 1]",
        "mask_by": "labels",
        "learning_rate": "0",
        "backbone_learning_rate": "0",
        "augmentation": "none",
        "epochs": "1",
    }
    recipe = read(squares, "--model.dropout", "0", *(x for k, v in flags.items() for x in (f"--training.{k}", v)))
    fit(recipe, tmp_path / "run")
    (row,) = json.loads((tmp_path / "run" / "history.json").read_text())
    parts = prepare(recipe)
    members = parts.labels.exclusive[0]
    wall = [parts.labels.index(n) for n in ("bright", "dark")]
    losses = []
    for batch in parts.train:
        nothing = torch.zeros_like(batch.truth)
        with torch.no_grad():
            logits = parts.tagger.model(batch.images, nothing)
        target = (batch.truth[:, wall] == LabelState.POSITIVE).float()
        one_by_one = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, wall], target, reduction="sum")
        losses.append((cross_entropy(logits, batch.truth, nothing, members).sum() + one_by_one) / batch.truth.numel())
    assert row["train_loss"] == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("00.png,red|blue|dark", "picture '00.png' has 2 labels of group 'colour', which is exclusive"),
        ("00.png,dark", "picture '00.png' has none of the labels of group 'colour'.*add a label for 'none of these'"),
    ],
)
def test_pictures_that_break_an_exclusive_group_are_named(squares, row, message):
    path = squares / "metadata.csv"
    path.write_text(path.read_text().replace("00.png,red|bright", row))
    with pytest.raises(DataError, match=message):
        build_tables(read(squares))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("{colour: {labels: [rde]}}", "labels.groups.colour: no label 'rde'; did you mean 'red'"),
        ("{a: {labels: [red]}, b: {labels: [red]}}", "label 'red' is in group 'a' and in group 'b'"),
    ],
)
def test_groups_of_a_recipe_that_do_not_fit_the_data_are_refused(squares, groups, message):
    with pytest.raises(DataError, match=message):
        build_tables(read(squares, "--labels.groups", groups, "--labels.extra", "[]"))


def test_a_half_annotated_training_set_trains(squares, tmp_path):
    lines = ["file_name,red,green,blue,bright"]
    for number in range(30):
        cells = [str(int(number % 3 == k)) for k in range(3)] + [str(int(number % 3 == 0))]
        lines.append(f"{number:02}.png," + ",".join(c if (number + k) % 2 else "" for k, c in enumerate(cells)))
    (squares / "wide.csv").write_text("\n".join(lines))
    flags = ["--source", "csv", "--root", str(squares / "wide.csv"), "--training.epochs", "6"]
    tables = build_tables(read_recipe(None, [*TOY, *flags]))
    unknown = (tables["train"].truth.dense() == LabelState.UNKNOWN).double().mean()
    assert abs(float(unknown) - 0.5) < 0.1
    report = fit(read_recipe(None, [*TOY, *flags]), tmp_path / "run")
    counted = sum(n for _, n in report.settings[0].labels.values())
    assert (
        counted == int(tables["test"].truth.counts()[LabelState.POSITIVE].sum()) and report.settings[0].hidden.macro_AUROC > 70
    )


def test_two_runs_of_one_recipe_are_equal_to_the_bit(squares, tmp_path):
    for name in ("a", "b"):
        fit(read(squares, "--training.epochs", "1"), tmp_path / name)
    one, two = (tmp_path / name for name in ("a", "b"))
    for file in ("model/model.safetensors", "metrics.json", "history.json"):
        assert (one / file).read_bytes() == (two / file).read_bytes(), file
