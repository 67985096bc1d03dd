"""``ctran serve`` as a program: it starts, answers, and ends without losing what is in flight."""

import json
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest

from ctran.cli.main import main
from tests.serving.conftest import encoded


@pytest.mark.slow
def test_the_program_serves_and_stops_gracefully(tagger, folder, tmp_path):
    tagger.save(tmp_path / "model")
    command = [sys.executable, "-m", "ctran", "serve", str(tmp_path / "model"), "--port", "0", "--pictures", str(folder)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    address = server.stderr.readline().partition(" at ")[2].partition(" ")[0]

    def post():
        request = urllib.request.Request(f"{address}/v1/images", data=encoded(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            found.append(json.load(response)["labels"])

    found: list[list[str]] = []
    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    threads[0].join(60)
    server.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert server.wait(60) in (0, -signal.SIGTERM) and found
    server.stderr.close()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["/no/where"], "/no/where is no model folder"),
        (["{model}", "--pictures", "/no/where"], "--pictures /no/where: there is no such folder"),
        (["{model}", "--token-file", "{empty}"], "is empty"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(tagger, tmp_path, flags, message, capsys):
    tagger.save(tmp_path / "model")
    (tmp_path / "empty").write_text("\n")
    given = [flag.format(model=tmp_path / "model", empty=tmp_path / "empty") for flag in flags]
    assert main(["serve", *given]) == 1
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1
