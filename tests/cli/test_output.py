"""Output stops no command: encodings that lack a name, readers that close their end, faults of the program."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from ctran.cli import _output
from ctran.cli.main import COMMANDS, main
from ctran.data.table import DataError
from ctran.errors import UserError


def picture(folder: Path, name: str) -> str:
    path = folder / name
    with path.open("wb") as file:
        Image.new("RGB", (64, 48), (200, 30, 30)).save(file, "PNG")
    return str(path)


def printed(monkeypatch: pytest.MonkeyPatch, arguments: list[str], encoding: str, errors: str = "strict") -> tuple[int, str]:
    """Exit status and standard output of a command on a terminal of this encoding."""
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding=encoding, errors=errors, newline=""))
    status = main(arguments)
    sys.stdout.flush()
    return status, held.getvalue().decode(encoding, "surrogateescape")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_name_that_the_encoding_lacks_stops_no_form_of_prediction(toy, tmp_path, monkeypatch, encoding):
    names = [picture(tmp_path, name) for name in ("日本.png", "🐩.png", os.fsdecode(b"caf\xe9.png"), "plain.png")]
    for form in ("--json", "--csv", "--top=2"):
        status, out = printed(monkeypatch, ["predict", str(toy), *names, form], encoding)
        assert status == 0 and "plain.png" in out
        if form == "--json":
            assert [json.loads(line)["file"] for line in out.splitlines()] == names
        if form == "--csv":
            files = list(dict.fromkeys(row["file"] for row in csv.DictReader(io.StringIO(out))))
            assert files == [name.encode(encoding, "backslashreplace").decode(encoding) for name in names]


def test_bytes_of_file_names_are_kept_where_the_terminal_keeps_them(toy, tmp_path, monkeypatch):
    name = picture(tmp_path, os.fsdecode(b"caf\xe9.png"))
    _, out = printed(monkeypatch, ["predict", str(toy), name, "--csv"], "utf-8", "surrogateescape")
    assert name in out


CHEAP = {
    "predict": ["predict", "{toy}", "{picture}"],
    "predict as json": ["predict", "{toy}", "{picture}", "--json"],
    "predict as csv": ["predict", "{toy}", "{picture}", "--csv"],
    "data": ["data"],
    "methods": ["methods"],
    "keys of a source": ["data", "imagefolder"],
    "keys": ["train", "--keys"],
    "table": ["table", "1"],
}


@pytest.mark.parametrize("buffered", [True, False], ids=["", "python -u"])
@pytest.mark.parametrize("name", CHEAP)
def test_a_reader_that_closes_its_end_stops_no_command(toy, tmp_path, monkeypatch, capfd, name, buffered):
    arguments = [word.format(toy=toy, picture=picture(tmp_path, "a.png")) for word in CHEAP[name]]
    read, write = os.pipe()
    os.close(read)
    binary = os.fdopen(write, "wb", buffering=-1 if buffered else 0)
    with io.TextIOWrapper(binary, encoding="utf-8", write_through=not buffered) as stream:  # as Python opens its streams
        monkeypatch.setattr(sys, "stdout", stream)
        _output.prepare()
        assert sys.stdout is not stream
        assert main(arguments) == 0
        sys.stdout.flush()
        assert _output.reader_gone()
    assert "Broken pipe" not in capfd.readouterr().err


def test_what_is_written_before_the_reader_goes_arrives(monkeypatch):
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding="utf-8") as stream, os.fdopen(read, encoding="utf-8") as reader:
        monkeypatch.setattr(sys, "stdout", stream)
        _output.prepare()
        print("first", flush=True)
        assert reader.readline() == "first\n"
        reader.close()
        for _ in range(3):
            print("x" * 100_000, flush=True)
        assert _output.reader_gone()


def test_without_buffering_each_line_is_there_at_once(monkeypatch):
    read, write = os.pipe()
    with io.TextIOWrapper(os.fdopen(write, "wb", buffering=0), write_through=True) as stream:  # as python -u opens it
        monkeypatch.setattr(sys, "stdout", stream)
        _output.prepare()
        print("ready")
        os.set_blocking(read, False)
        assert os.read(read, 100) == b"ready\n"
        os.close(read)


def raising(error: Exception):
    def run(options):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("no such label"), "no such label"),
        (DataError("row 3: wrong"), "row 3: wrong"),
        (FileNotFoundError(2, "No such file or directory", "a.png"), "a.png: no such file or folder"),
        (PermissionError(13, "Permission denied", "a.png"), "a.png: permission denied"),
        (OSError(28, "No space left on device"), "no space left on device"),
        (MemoryError(), "not enough memory"),
        (UserError("got " + "x" * 9000 + "; expected y"), "x [... 7,016 characters ...] x"),
    ],
)
def test_an_error_that_the_user_can_correct_is_one_line(monkeypatch, capsys, error, message):
    monkeypatch.setattr("ctran.cli.table.run", raising(error))
    assert main(["table", "1"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("ctran table: ") and message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("error", [ValueError("x\ny"), KeyError("a"), RuntimeError("mat1"), OSError("odd"), AssertionError()])
def test_any_other_error_is_called_a_fault_and_its_traceback_is_kept(monkeypatch, capsys, tmp_path, error):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("ctran.cli.table.run", raising(error))
    assert main(["table", "1"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"ctran table: {type(error).__name__}") and "--debug" in second
    (kept,) = tmp_path.glob("ctran-*.txt")
    assert str(kept) in second and "in raising" not in first and "Traceback" in kept.read_text()
    with pytest.raises(type(error)):
        main(["table", "1", "--debug"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_debug_and_offers_it(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--debug", "--help"])
    assert stop.value.code == 0 and "--debug" in capsys.readouterr().out
