"""Wrong usage: what is unknown gets the nearest name, and what belongs together is read together."""

import argparse
import os
from pathlib import Path

import pytest

from ctran.cli._types import after_known, output_folder, output_stem, share
from ctran.cli.evaluate import PRESETS
from ctran.cli.main import COMMANDS, main
from ctran.cli.predict import parse_known
from ctran.errors import UserError
from ctran.labels import LabelSpace
from tests.cli.test_output import picture
from tests.training.test_recipe_values import ODD


def refused(arguments: list[str], capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistyped_command_names_the_nearest(command, capsys):
    for wrong in (command[:-1], command.upper() if len(command) > 9 else f"{command}s", command[0] + command):
        assert f"there is no command {wrong!r}; did you mean {command!r}?" in refused([wrong], capsys)


def test_a_command_that_is_like_none_gets_the_list(capsys):
    err = refused(["zzz"], capsys)
    assert "did you mean" not in err and all(name in err for name in COMMANDS)
    assert all(name in refused([], capsys) for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "r", "--format", "onx"], "expected one of onnx, openvino, torch, got 'onx'; did you mean 'onnx'?"),
        (["predict", "r", "p", "--top", "many"], "argument --top: expected a whole number, got 'many'"),
        (["predict", "r", "p", "--top", "0"], "argument --top: expected at least 1, got 0"),
        (["predict", "r", "p", "--threshold", "half"], "argument --threshold: expected a number, got 'half'"),
        (["suspects", "r", "--split", "tset"], "expected one of train, val, test, got 'tset'; did you mean 'test'?"),
        (["evaluate", "r", "--known-share", "150"], "argument --known-share: expected a percentage from 0 to 100, got 150"),
        (["evaluate", "r", "--known-share", "0.25"], "0.25 is less than one. Did you mean 25?"),
        (
            ["evaluate", "r", "--known-share", "5", "--known-groups", "2"],
            "--known-groups: not allowed with argument --known-share",
        ),
        (["evaluate", "r", "--known-groups", "-1"], "argument --known-groups: expected at least 0, got -1"),
        (["evaluate", "r", "--seed", "x"], "argument --seed: expected a whole number, got 'x'"),
        (["evaluate", "r", "--know-share", "50"], "unknown option --know-share; did you mean '--known-share'?"),
        (["evaluate", "r", "--intervals", "few"], "argument --intervals: expected a whole number, got 'few'"),
        (["train", "demo", "--outptu", "x"], "unknown option --outptu; did you mean '--output'?"),
        (["train", "demo", "--rot", "x"], "unknown option --rot; did you mean '--root'?"),
        (["train", "demo", "--zzz", "1"], "unknown option --zzz; recipe keys have a dot"),
        (["data", "show", "csv", "--splitt", "val"], "unknown option --splitt; did you mean '--split'?"),
        (["plot", "example", "r"], "attention, got 'example'; did you mean 'examples'?"),
        (["serve", "r", "--port", "http"], "argument --port: expected a whole number, got 'http'"),
    ],
)
def test_a_wrong_value_is_refused_with_a_message(arguments, message, capsys):
    err = refused(arguments, capsys)
    assert message in err and "invalid" not in err


def test_presets_are_those_that_there_are():
    from ctran.metrics import PRESETS as there

    assert set(there) == set(PRESETS)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("RUN --known a=yes {p}", "RUN {p} --known a=yes"),
        ("RUN {p} --known a=yes b=no", "RUN {p} --known a=yes b=no"),
        ("--known a=yes RUN/x.d {p} --json", "RUN/x.d {p} --json --known a=yes"),
        ("RUN --known a=yes new.jpg {p} b=no", "RUN new.jpg {p} --known a=yes b=no"),
        ("RUN {p} --known red", "RUN {p} --known red"),
        ("RUN {p} --known=-1=yes", "RUN {p} --known=-1=yes"),
        ("RUN {p} --known a=yes --top 3 --known b=no", "RUN {p} --top 3 --known a=yes --known b=no"),
        ("RUN --known a=yes -- {p}", "RUN --known a=yes -- {p}"),
    ],
)
def test_a_picture_after_known_is_a_picture(tmp_path, given, read):
    path = picture(tmp_path, "p=q.png")
    assert after_known([w.format(p=path) for w in given.split()]) == [w.format(p=path) for w in read.split()]


def test_pictures_before_between_and_after_known_are_predicted(toy, tmp_path, capsys):
    a, b = (picture(tmp_path, name) for name in ("a.png", "b=q.png"))
    known = ["--known", "flag=yes"]
    for words in ([a, *known, b], [*known, a, b, "--json"], ["--json", a, b, *known]):
        assert main(["predict", str(toy), *words]) == 0
        out = capsys.readouterr().out
        assert "a.png" in out and "b=q.png" in out
    assert main(["predict", str(toy), "--known", "flag=yes", "gone.png"]) == 1
    assert "gone.png: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in ODD if name.strip()])
def test_a_label_of_any_name_can_be_known(name):
    names = LabelSpace((name, "other")).index_of
    assert parse_known([f"{name}=yes", "other = no"], names) == {name: True, "other": False}


def test_a_percentage_in_the_place_of_a_share_is_understood():
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected a probability from 0 to 1, got 90. Did you mean 0\.9\?"):
        share("90")


def test_output_that_cannot_be_written_is_named_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for check, wrong, message in [
        (output_stem, tmp_path / "gone" / "x", "there is no folder"),
        (output_stem, tmp_path / "file" / "x", "is a file, not a folder"),
        (output_folder, tmp_path / "file", "is a file; name a folder"),
        (output_folder, tmp_path / "file" / "x" / "y", "is a file, not a folder"),
    ]:
        with pytest.raises(UserError, match=message):
            check(wrong)
    if os.geteuid():  # root may write anywhere
        for check in (output_stem, output_folder):
            with pytest.raises(UserError, match="cannot be written into"):
                check(locked / "x")
    assert output_folder(tmp_path / "new" / "deep") and output_stem(tmp_path / "stem")
    for name, stem in {"a.png": "a", "a.PNG": "a", "v1.2": "v1.2", "a.json": "a.json", "a.csv": "a"}.items():
        assert output_stem(tmp_path / name, "png", "csv") == tmp_path / stem


def test_resume_with_other_options_names_the_way_that_goes_on(tmp_path, capsys):
    for flag in ("--training.learning_rate", "--seed", "--model.dropout"):
        assert main(["train", "--resume", str(tmp_path), flag, "3"]) == 1
        err = capsys.readouterr().err
        assert err.startswith(f"ctran train: {flag}: ") and f"--training.init_from {tmp_path}" in err
    assert main(["train", "demo", "--resume", str(tmp_path)]) == 1
    assert "leave out demo" in capsys.readouterr().err


def test_every_option_of_every_command_has_words_for_a_wrong_value():
    from ctran.cli.main import make_parser

    _, commands = make_parser()
    todo = list(commands.values())
    kinds = {int, float, str, None, Path}
    while todo:
        for action in todo.pop()._actions:
            if isinstance(action, argparse._SubParsersAction):
                todo += action.choices.values()
            elif action.type not in kinds:
                with pytest.raises(argparse.ArgumentTypeError, match="expected"):
                    action.type("word")


def test_a_file_where_the_server_should_save_is_named_at_once(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["serve", str(tmp_path / "no-model"), "--save", str(tmp_path / "file")]) == 1
    assert f"--save {tmp_path / 'file'}: is a file; name a folder" in capsys.readouterr().err
