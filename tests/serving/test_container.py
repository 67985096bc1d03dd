"""The Containerfile, as far as a machine without a container engine can try it: its words, and its health check."""

import json
import re
import subprocess
import sys
from pathlib import Path

from ctran.cli.main import parse
from ctran.serving.api import create_app
from ctran.serving.guard import is_open
from tests.serving.test_connections import running

ROOT = Path(__file__).parents[2]


def instructions(text):
    """Stages of a Containerfile: each a list of (instruction, rest), comments and line ends removed."""
    stages = []
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            if word == "FROM":
                stages.append([])
            stages[-1].append((word, rest.strip()))
    return stages


STAGES = instructions((ROOT / "Containerfile").read_text())
LAST = dict(STAGES[-1])


def command():
    """What the container runs."""
    return [*json.loads(LAST["ENTRYPOINT"]), *json.loads(LAST["CMD"])]


def health_check():
    return json.loads(LAST["HEALTHCHECK"].partition("CMD ")[2])


def test_the_last_stage_has_an_unprivileged_user_a_health_check_and_no_tools_of_the_build():
    user, group = LAST["USER"].split(":")
    assert int(user) > 0 and int(group) > 0
    assert "RUN" not in LAST and LAST["STOPSIGNAL"] == "SIGTERM"
    path = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", health_check()[-1])
    assert path is not None and path[1] == LAST["EXPOSE"] and is_open(path[2])  # a server with a token answers it too


def test_the_command_is_one_that_the_program_takes():
    program, *arguments = command()
    options = parse(arguments)
    assert program == "ctran" and options.command == "serve"
    assert (str(options.run), options.host, str(options.port), str(options.save)) == (
        "/model",
        "0.0.0.0",
        LAST["EXPOSE"],
        "/annotations",
    )


def test_what_is_copied_is_there_and_is_not_left_out_of_the_build():
    copied = [word for kind, rest in STAGES[0] if kind == "COPY" for word in rest.split()[:-1]]
    kept = (ROOT / ".containerignore").read_text().split()
    assert all((ROOT / name).exists() and f"!{name}" in kept for name in copied)
    installs = next(rest for kind, rest in STAGES[0] if kind == "RUN")
    assert "--constraint requirements.lock" in installs and "requirements.lock" in copied


def test_the_health_check_succeeds_while_the_server_runs_and_fails_when_it_does_not(tagger):
    def check(port):
        text = health_check()[-1].replace(f":{LAST['EXPOSE']}/", f":{port}/")
        return subprocess.run([sys.executable, *health_check()[1:-1], text], capture_output=True).returncode

    with running(create_app(tagger)) as (port, _, _):
        assert check(port) == 0
    assert check(port) != 0
