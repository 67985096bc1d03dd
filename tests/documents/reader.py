"""A reader of a page who does what it says, block by block, in a folder that has what the page takes for granted.

Commands of ``ctran`` run as printed; those that train get flags added that make them small, and those that serve are visited
and then stopped, as a person would stop them.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx

import ctran
from ctran.cli.main import main
from ctran.cli.train import DEFAULT, names_method
from ctran.serving.label_config import LabelConfig
from ctran.training.recipe import hints_of, named, read_typed
from ctran.training.recipe_files import find_recipe
from tests.conftest import TOY
from tests.documents.blocks import ROOT, Block, commands_in

SMALL = [
    *(flag for flag in TOY if flag not in ("--model.fit", "pad")),
    *("--training.epochs", "2"),
    *("--training.workers", "0"),
    *("--training.augmentation", "none"),
    *("--training.precision", "32-true"),
]
DEMO = [
    *("--model.separate_epochs", "1", "--model.anchor_folds", "2", "--model.weight_epochs", "1"),
    *("--training.feature_views", "1"),
]
"""For recipes with stages and cross-fitting."""
COMPARED = [
    *("--model.backbone", "test_resnet", "--model.weights", "none", "--model.image_size", "64"),
    *("--training.epochs", "1", "--training.accelerator", "cpu"),
]
"""For a comparison of methods, each of which has these keys."""

ELSEWHERE = {
    "python -m venv": "installs another program",
    "studio/bin/": "starts that program",
    "export": "sets a variable of the environment for what follows",
    ".venv/bin/python scripts/try_label_studio.py": "needs a running Label Studio; the script must exist",
}
"""Beginnings of commands that are not run here, and why."""


class Reader:
    """Runs blocks in the current folder.

    Args:
        visit: called with the address of a server that a command started, before it is stopped.
        small: flags for a training, by the recipe that it starts from.
    """

    def __init__(self, visit: Callable[[str], None], small: Mapping[str, list[str]]) -> None:
        self.visit, self.small = visit, small
        self.names: dict[str, Any] = {}
        self.ran: list[str] = []

    def do(self, block: Block) -> None:
        """What the block says."""
        if found := re.match(r"# file: (\S+)\n", block.text):
            Path(found[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(found[1]).write_text(block.text)
        elif block.language == "sh":
            self.shell(commands_in(block))
        elif block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), self.names)
        elif block.language == "yaml":
            Path("mine.yaml").write_text(block.text)
        elif block.language == "csv":
            self.table(block)
        elif block.language == "xml":
            assert not LabelConfig.parse(block.text, ctran.load(ROOT / "models/openclipart").labels).left_out
            Path("config.xml").write_text(block.text)
        else:
            assert block.language == "text", f"{block.where}: a block of language {block.language!r}, which nobody runs"
        self.ran.append(block.where)

    def table(self, block: Block) -> None:
        """The rows of the page are the first of the table; the others, of the same form, stand in the folder already."""
        path = Path("pictures/metadata.csv")
        head, *rows = block.text.splitlines()
        assert path.read_text().splitlines()[0] == head
        path.write_text("\n".join([head, *rows, *path.read_text().splitlines()[1:]]) + "\n")

    def shell(self, commands: list[tuple[str, str]]) -> None:
        """One after the other; calls with curl that follow a server are sent to it before it is stopped."""
        for number, (where, command) in enumerate(commands):
            if command.startswith("curl "):
                continue
            calls = list(takewhile(lambda each: each[1].startswith("curl "), commands[number + 1 :]))
            visit = self.visit
            if calls:
                assert command.startswith("ctran serve "), f"{calls[0][0]}: no server is started before it"
                self.visit = partial(call_all, calls)
            self.command(where, command)
            self.visit = visit

    def command(self, where: str, command: str) -> None:
        command = re.sub(r"^(?:[A-Z_]+=\S* +)+", "", command)  # variables that are set for this command alone
        if any(command.startswith(start) for start in ELSEWHERE):
            for name in re.findall(r"scripts/\w+\.py", command):
                assert (ROOT / name).is_file(), f"{where}: no {name}"
            return
        words = shlex.split(command)
        if words[0] == "make":
            done = subprocess.run(["make", "-n", "-C", str(ROOT), *words[1:]], capture_output=True, text=True)
            assert done.returncode == 0, f"{where}: {done.stderr}"
            return
        if words[:2] == ["pip", "install"]:
            self.install(words[-1])
            return
        assert words[0] == "ctran", f"{where}: {words[0]!r} is a program that this test does not know"
        arguments = words[1:]
        serves = arguments[0] in ("serve", "studio")
        status = self.serve(arguments) if serves else main([*arguments, *self.smaller(arguments)])
        assert status == 0, f"{where}: {command} ended with {status}"

    def install(self, project: str) -> None:
        """With pip, into a folder of this reader."""
        plain = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--target", "site"]
        subprocess.run([sys.executable, "-m", "pip", "install", *plain, project], check=True)
        sys.path.insert(0, str(Path("site").absolute()))

    def smaller(self, arguments: list[str]) -> list[str]:
        """Flags that make a training small."""
        if arguments[0] == "compare":
            return COMPARED
        if arguments[0] != "train":
            return []
        if "--resume" in arguments:
            return ["--training.epochs", "3"] if "--training.epochs" in arguments else []
        first = "" if arguments[1].startswith("-") else arguments[1]
        name = first or ("" if names_method(arguments) else DEFAULT)
        path = find_recipe(name) if name else None
        has, given = hints_of(*named(path, arguments[2 if first else 1 :])), read_typed(path) if path else {}
        flags = [*SMALL, *(DEMO if name and "/" not in name else [])]
        pairs = dict(zip(flags[::2], flags[1::2], strict=True))
        if given.get("training.epochs") == 0:  # fitted in one step
            del pairs["--training.epochs"], pairs["--training.learning_rate"], pairs["--training.batch_size"]
        recipe = name if "/" in name else Path(name).stem
        own = [] if "--source" in arguments else self.small.get(recipe, [])
        return [*(word for key, value in pairs.items() if key.removeprefix("--") in has for word in (key, value)), *own]

    def serve(self, arguments: list[str]) -> int:
        """Start, wait until it answers, visit, stop by Ctrl-C."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        failures: list[BaseException] = []

        def visitor() -> None:
            try:
                wait_for(address)
                self.visit(address)
            except BaseException as error:
                failures.append(error)
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=visitor)
        thread.start()
        try:
            status = main([*arguments, "--port", str(port)])
        finally:
            thread.join()
        if failures:
            raise failures[0]
        return 0 if status == 130 else status


def call_all(calls: list[tuple[str, str]], address: str) -> None:
    """Commands with curl, each sent to ``address``; IMAGE in one is the id that an earlier response has."""
    image = ""
    for where, command in calls:
        words = shlex.split(command.replace("http://127.0.0.1:8000", address).replace("IMAGE", image or "IMAGE"))
        done = subprocess.run([*words, "--silent", "--show-error", "--fail-with-body"], capture_output=True, text=True)
        assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
        image = json.loads(done.stdout).get("id", image)


def wait_for(address: str, seconds: float = 60) -> None:
    """Until a server accepts calls."""
    end = time.monotonic() + seconds
    while True:
        try:
            assert httpx.get(f"{address}/healthz").status_code == 200
            return
        except httpx.TransportError:
            if time.monotonic() > end:
                raise
            threading.Event().wait(0.05)


def shipped_run(folder: str) -> None:
    """The shipped model, where a page expects a run that was trained."""
    shutil.copytree(ROOT / "models/openclipart", folder)
