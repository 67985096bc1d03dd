"""Help of every command and of every recipe key: in words, without Python's own notation, and of flags that exist."""

import re

import pytest

from ctran import losses, methods, registry
from ctran.cli.main import COMMANDS, main
from ctran.data import sources
from ctran.training.recipe import hints_of, recipe_parser
from ctran.training.recipe_files import find_recipe
from ctran.training.template import template
from tests.cli.test_arguments import parsers

PYTHON = re.compile(
    r"<class|<[\w.]+ object|\b(?:Literal|Optional|Union|tuple|list|dict)\[|\bNone(?:Type)?\b|\b(?:True|False)\b|Path\("
    r"| 0x[0-9a-f]{5}|\bNamespace\(|\(type: |\(\)|``|:\w+:`"
)
NAMED = [("method", name) for name in registry.files(methods)]
NAMED += [("source", name) for name in registry.files(sources)] + [("loss", name) for name in registry.files(losses)]


def python_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if PYTHON.search(line)]


@pytest.mark.parametrize("name", ["", *COMMANDS, *(name for name in parsers() if " " in name)])
def test_help_of_a_command_has_no_python_notation(name, capsys):
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    assert "usage: ctran" in (out := capsys.readouterr().out) and not python_in(out)


@pytest.mark.parametrize(("part", "name"), NAMED, ids=lambda each: each)
def test_help_of_keys_names_every_key_with_its_default_and_nothing_else(part, name):
    named = {"method": "ctran", "source": "openclipart", "loss": "bce"} | {part: name}
    text = recipe_parser(**named).format_help()
    entries = dict(re.findall(r"^  --([\w.]+)(.*?)(?=^  --|^\S|\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(entries) == {*hints_of(**named), "method", "source", "seed"}
    assert not python_in(text)
    for key, entry in entries.items():
        assert re.search(r"[(;] ?(default: .+|needed)\)$", " ".join(entry.split())), f"{key}: {entry}"


@pytest.mark.parametrize("words", [["train", "demo", "--keys"], ["data", "csv"], ["methods", "pairwise"]], ids=" ".join)
def test_commands_that_list_keys_show_the_same_help(words, capsys):
    assert main(words) == 0
    assert "(default: " in (out := capsys.readouterr().out) and not python_in(out)


@pytest.mark.parametrize("recipe", ["auto", "demo", "planted"])
def test_a_new_recipe_has_no_python_notation(recipe):
    assert not python_in(template(find_recipe(recipe), "mine.yaml"))
