"""Extra labels, groups and implications of a recipe: what they make of the data's labels, and what they refuse by which key."""

import json

import pytest
import torch

from ctran.cli.main import main
from ctran.data.table import DataError
from ctran.errors import UserError
from ctran.labels import Group, LabelSpace, LabelState
from ctran.training.label_options import GroupOptions, Labels
from ctran.training.pipeline import build_tables
from ctran.training.recipe import read_recipe
from tests.cli.test_plot import make_run

SOURCE = LabelSpace(("poodle", "tabby", "yes"), extra=("yes",))


def test_parents_that_no_row_lists_become_labels_behind_the_sources():
    chain = {"poodle": ("dog",), "dog": ("animal",), "tabby": ("cat",), "cat": ("animal", "yes")}
    options = Labels(implications=chain)
    space = options.of(SOURCE)
    assert options.added(SOURCE) == ("dog", "animal", "cat") and space.names == (*SOURCE.names, "dog", "animal", "cat")
    assert ("poodle", "animal") in space.implied_names and ("tabby", "yes") in space.implied_names
    assert Labels(implications={"poodle": ("tabby",)}).of(SOURCE).names == SOURCE.names


def test_an_added_parent_may_stand_in_groups_and_extra_labels():
    groups = {"kind": GroupOptions(("dog", "cat"), exclusive=True)}
    space = Labels(("kind",), groups, {"poodle": ("dog",), "tabby": ("cat",)}).of(SOURCE)
    assert space.extra == ("yes", "dog", "cat") and space.groups == (Group("kind", ("dog", "cat"), True),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Labels(extra=("poodel",)), "^labels.extra: no label or group 'poodel'; did you mean 'poodle'"),
        (Labels(extra=("poodle", "tabby")), "^labels.extra: every label is extra"),
        (Labels(groups={"a": GroupOptions(("tabi",))}), "^labels.groups.a: no label 'tabi'; did you mean 'tabby'"),
        (Labels(groups={"a": GroupOptions(("tabby",), True)}), "^labels.groups.a: an exclusive group needs at least two"),
        (Labels(groups={"a": GroupOptions(("tabby",)), "b": GroupOptions(("tabby",))}), "^labels.groups: label 'tabby' is in"),
        (
            Labels(("tabby",), {"a": GroupOptions(("poodle", "tabby"), True)}),
            "^labels.extra: exclusive group 'a' must be extra",
        ),
        (Labels(implications={"poodel": ("dog",)}), "^labels.implications: no label 'poodel'; did you mean 'poodle'"),
        (Labels(implications={"poodle": ("dog",), "dog": ("poodle",)}), "^labels.implications: implications must not go round"),
        (
            Labels(groups={"a": GroupOptions(("poodle", "tabby"), True)}, implications={"poodle": ("tabby",)}),
            "^labels.implications: 'poodle' implies 'tabby', but only one",
        ),
    ],
)
def test_an_error_names_the_key_that_the_user_wrote(options, message):
    with pytest.raises(UserError, match=message):
        options.of(SOURCE)


CHAIN = "{red: [warm, colour], green: [colour]}"


@pytest.mark.parametrize("absent", ["negative", "unknown"])
def test_a_parent_is_present_where_a_child_is_and_else_what_absence_means(folder, capsys, absent):
    metadata = folder / "metadata.csv"
    if absent == "unknown":  # something must be known to be absent
        rows = [f"{line},warm" if "warm" not in line else f"{line}," for line in metadata.read_text().splitlines()[1:]]
        metadata.write_text("\n".join(["file_name,labels,negatives", *rows]) + "\n")
    flags = ["--source", "imagefolder", "--root", str(folder), "--absent", absent, "--labels.implications", CHAIN]
    table = build_tables(read_recipe(None, flags))["train"]
    truth, at = table.truth.dense(), table.labels.index_of
    child = (truth[:, at["red"]] == LabelState.POSITIVE) | (truth[:, at["green"]] == LabelState.POSITIVE)
    otherwise = LabelState.NEGATIVE if absent == "negative" else LabelState.UNKNOWN
    assert child.any() and not child.all()
    assert torch.equal(truth[:, at["colour"]], torch.where(child, int(LabelState.POSITIVE), int(otherwise)).to(truth.dtype))
    err = capsys.readouterr().err
    assert "'colour' is a new label, which no picture lists" in err and "'warm'" not in err


def test_a_new_parent_that_reads_like_a_label_is_named_with_it(folder, capsys):
    flags = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative", "--labels.implications", "{red: [wram]}"]
    build_tables(read_recipe(None, flags))
    assert "'wram' is a new label, which no picture lists; did you mean 'warm'?" in capsys.readouterr().err


def test_an_implication_that_the_data_refuse_names_its_key(folder):
    flags = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative", "--labels.implications", "{rde: [warm]}"]
    with pytest.raises(DataError, match=r"labels.implications: no label .rde.; did you mean .red."):
        build_tables(read_recipe(None, flags))


def test_a_run_with_implications_is_read_by_the_commands_that_take_runs(folder, tmp_path, capsys):
    run = make_run(tmp_path / "run", folder, "--labels.implications", CHAIN, "--evaluation.known_share", "[0.5]")
    assert main(["evaluate", str(run)]) == 0
    assert "| 50 % " in capsys.readouterr().out
    assert main(["suspects", str(run), "--output", str(tmp_path / "s"), "--count", "1"]) == 0
    assert main(["plot", "influence", str(run), "--count", "2", "--output", str(tmp_path / "i")]) == 0
    assert main(["calibrate", str(run), "--known-share", "0"]) in (0, 1)  # three val pictures may be too few
    assert "labels.implications.red" not in capsys.readouterr().err
    assert main(["predict", str(run), str(folder / "00.png"), "--known", "red=yes", "--json"]) == 0
    assert {"red", "warm", "colour"} <= set(json.loads(capsys.readouterr().out)["labels"])
