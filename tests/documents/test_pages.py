"""Every shell, Python, YAML, CSV and XML block of README and docs runs, in order, in a folder of its own."""

import os
import re
import subprocess
import sys

import pytest

from ctran import methods, registry
from ctran.cli.main import COMMANDS, TAKE_KEYS, main
from ctran.data import sources
from ctran.training.recipe import recipe_parser
from ctran.training.recipe_files import shipped
from tests.documents.blocks import PAGES, ROOT, Block, blocks_of, inline_commands
from tests.documents.reader import Reader, shipped_run
from tests.plugins import PLUGIN

WITH_COMMANDS = [page for page in PAGES if any(block.language != "text" for block in blocks_of(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_every_block_of_a_page_runs_in_order(page, tmp_path):
    environment = {**os.environ, "LABEL_STUDIO_API_KEY": "none", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-m", "tests.documents", page, str(tmp_path)],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{page} ended with {done.returncode}:\n{done.stdout[-4000:]}"


def test_a_command_that_fails_is_named_by_its_place():
    block = Block("README.md", 7, "sh", "ctran data\nctran data openclip")
    with pytest.raises(AssertionError, match=r"README\.md:8: ctran data openclip ended with 1"):
        Reader(lambda address: None, {}).do(block)


@pytest.mark.parametrize("page", PAGES)
def test_a_block_names_its_language(page):
    for block in blocks_of(page):
        assert block.language in ("sh", "python", "yaml", "csv", "xml", "toml", "text"), f"{block.where}: {block.language!r}"


def test_the_package_of_the_page_is_the_one_that_is_tested():
    files = [block.text.partition("\n") for block in blocks_of("docs/howto/own-code.md") if block.text.startswith("# file: ")]
    assert len(files) == 5
    for first, _, text in files:
        assert text == (PLUGIN / first.removeprefix("# file: mine/")).read_text(), first


def keys() -> set[str]:
    """Every key that some recipe has."""
    parsers = [recipe_parser(method=name) for name in registry.names(methods)]
    parsers += [recipe_parser(source=name) for name in registry.names(sources)]
    return {action.dest for parser in parsers for action in parser._actions}


def test_commands_within_the_text_name_commands_recipes_and_flags_that_exist(capsys):
    known = keys()
    for page in PAGES:
        for command in inline_commands(page):
            _, name, *words = command.split()
            assert name in COMMANDS, f"{page}: {command}"
            with pytest.raises(SystemExit):
                main([name, "--help"])
            flags = set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out)) | {"--keys"}
            for word in words:
                if word.startswith("--"):
                    key = word.partition("=")[0]
                    takes_key = name in TAKE_KEYS and key.removeprefix("--") in known
                    assert key in flags or takes_key, f"{page}: {command}: no {key}"
            if name == "train" and words and re.fullmatch(r"[a-z0-9/-]+", words[0]) and not words[0].startswith("-"):
                assert words[0] in shipped(), f"{page}: {command}: no such recipe"


def test_a_call_that_a_server_refuses_is_named_by_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped_run("model")
    call = "curl http://127.0.0.1:8000/v1/images/IMAGE/picture"
    with pytest.raises(AssertionError, match=r'README\.md:8: {"detail":"no picture'):
        Reader(lambda address: None, {}).do(Block("README.md", 7, "sh", f"ctran serve model\n{call}"))
