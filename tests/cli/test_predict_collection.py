"""``ctran predict --input``: what it prints, its exit status, and what it refuses."""

import pytest

from ctran.cli._collection import ERRORS_STATUS
from ctran.cli.main import main, make_parser
from tests.collection.conftest import draw_photos, part_files, rows


@pytest.fixture
def photos(tmp_path):
    return draw_photos(tmp_path / "photos")


def test_a_folder_is_predicted_and_the_second_start_has_nothing_to_do(toy, photos, tmp_path, capsys):
    command = ["predict", str(toy), "--input", str(photos), "--output", str(tmp_path / "out"), "--known", "flag=yes"]
    assert main(command) == 0
    assert "9 pictures predicted in 1 parts; 0 parts were there already" in capsys.readouterr().out
    assert {row["known"]["flag"] for row in rows(tmp_path / "out")} == {True}
    assert main(command) == 0
    assert "0 pictures predicted in 0 parts; 1 parts were there already" in capsys.readouterr().out


def test_the_exit_status_tells_that_some_pictures_could_not_be_predicted(toy, photos, tmp_path, capsys):
    (photos / "03.png").write_text("no picture")
    command = ["predict", str(toy), "--input", str(photos), "--output", str(tmp_path / "out"), "--output-format", "jsonl"]
    assert main(command) == ERRORS_STATUS
    err = capsys.readouterr().err
    assert "1 pictures could not be predicted (first: " in err and "03.png" in err and f"{tmp_path / 'out'}/errors" in err
    assert len(rows(tmp_path / "out")) == 8 and len(part_files(tmp_path / "out", "errors")) == 1
    assert main(command) == ERRORS_STATUS and "1 parts from before have errors too" in capsys.readouterr().err
    assert main([*command[:-4], "--output", str(tmp_path / "stopped"), "--fail-fast"]) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.png", "--input", "photos", "--output", "out"], "either one by one or by --input"),
        (["--input", "photos"], "--input needs --output OUT"),
        (["--input", "photos", "--output", "out", "--json"], "give --output-format jsonl or csv"),
    ],
)
def test_flags_that_do_not_belong_together_are_refused(toy, words, message, capsys):
    assert main(["predict", str(toy), *words]) == 1
    assert message in capsys.readouterr().err


def collection_flags():
    groups = {group.title: group._group_actions for group in make_parser()[1]["predict"]._action_groups}
    return [action for title in ("a whole collection", "columns of tables") for action in groups[title]]


def words_for(action):
    """The flag with a value that is not its default."""
    if action.nargs == 0:
        return []
    if action.choices:
        return [next(choice for choice in action.choices if choice != action.default)]
    return ["2/3" if action.dest == "shard" else "7"]


@pytest.mark.parametrize(
    "action", [each for each in collection_flags() if each.dest != "input"], ids=lambda each: each.option_strings[-1]
)
def test_every_flag_of_a_collection_is_refused_without_one(toy, action, capsys):
    flag = action.option_strings[-1]
    assert main(["predict", str(toy), "a.png", flag, *words_for(action)]) == 1
    assert f"{flag} is for a collection: give --input IN too" in capsys.readouterr().err


def test_flags_for_columns_are_refused_of_a_folder_of_pictures(toy, photos, tmp_path, capsys):
    command = ["predict", str(toy), "--input", str(photos), "--output", str(tmp_path / "out"), "--labels-column", "tags"]
    assert main(command) == 1
    assert "a folder of pictures has no columns" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_formats_of_the_flags_are_those_of_a_job():
    from typing import get_args

    from ctran.cli._collection import FORMS, KINDS
    from ctran.collection.options import Form, Kind

    assert get_args(Form) == FORMS and get_args(Kind) == KINDS  # written twice, as --help imports nothing heavy
