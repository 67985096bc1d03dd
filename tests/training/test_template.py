"""``ctran new``: a recipe as a commented file that means the same."""

import re

import pytest
import yaml

from ctran import losses, methods, registry
from ctran.cli.main import main
from ctran.data import sources
from ctran.errors import UserError
from ctran.training.recipe import hints_of, read_recipe, recipe_parser
from ctran.training.recipe_files import find_recipe, shipped
from ctran.training.template import template

NEEDED = {"imagefolder": ["--data.absent", "negative"]}


def flags(source: str) -> list[str]:
    return ["--data.root", ".", *NEEDED.get(source, [])]


@pytest.mark.parametrize("name", shipped())
def test_a_template_means_the_recipe_that_it_was_made_from(name, tmp_path):
    path = find_recipe(name)
    source = str(yaml.safe_load(path.read_text()).get("source", "openclipart"))
    (tmp_path / "mine.yaml").write_text(template(path, "mine.yaml"), encoding="utf-8")
    assert read_recipe(tmp_path / "mine.yaml", flags(source)) == read_recipe(path, flags(source))


def test_a_template_has_every_key_with_its_meaning_and_default(tmp_path):
    text = template(find_recipe("linear"), "mine.yaml")
    lines = [line.removeprefix("  ").removeprefix("# ") for line in text.splitlines()]
    for key in hints_of("linear", "openclipart"):
        name = key.partition(".")[2]
        [at] = [n for n, line in enumerate(lines) if line.startswith(f"{name}:")][:1] or pytest.fail(key)
        assert text.splitlines()[at - 1].lstrip().startswith("# "), f"{key} has no explanation"


PARSERS = {
    **{f"method {name}": {"method": name} for name, module in registry.each(methods) if not isinstance(module, UserError)},
    **{f"source {name}": {"source": name} for name, module in registry.each(sources) if not isinstance(module, UserError)},
    **{f"loss {name}": {"loss": name} for name, module in registry.each(losses) if not isinstance(module, UserError)},
}


@pytest.mark.parametrize("chosen", PARSERS.values(), ids=PARSERS)
def test_every_key_is_explained_in_words_without_markup(chosen):
    for action in recipe_parser(**chosen)._actions:
        assert action.help, f"{action.dest} has no explanation"
        assert not re.search(r"``|:\w+:`", action.help), f"{action.dest}: {action.help}"


def test_every_commented_default_can_be_switched_on(tmp_path):
    source = "csv"
    (tmp_path / "small.yaml").write_text("method: linear\nsource: csv\n")
    text = template(tmp_path / "small.yaml", "mine.yaml")
    names = {key.partition(".")[2] for key in hints_of("linear", source)}
    uncommented = []
    for line in text.splitlines():
        inner = line.strip().removeprefix("# ")
        is_default = line.startswith("  # ") and inner.partition(":")[0] in names and "needed:" not in inner
        uncommented.append(f"  {inner}" if is_default else line)
    (tmp_path / "mine.yaml").write_text("\n".join(uncommented))
    assert read_recipe(tmp_path / "mine.yaml", flags(source)) == read_recipe(tmp_path / "small.yaml", flags(source))


def test_the_command_writes_once_and_names_the_nearest_recipe(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "tagger", "-o", "mine.yaml"]) == 0
    assert "ctran train mine.yaml" in capsys.readouterr().err
    assert main(["new", "tagger", "-o", "mine.yaml"]) == 1
    assert "mine.yaml exists already" in capsys.readouterr().err
    assert main(["new", "taggr"]) == 1
    assert "did you mean 'tagger'" in capsys.readouterr().err
    assert main(["new", "tagger", "-o", "nowhere/mine.yaml"]) == 1
    assert "nowhere is not a folder" in capsys.readouterr().err
