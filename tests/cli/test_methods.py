"""``ctran methods``: every method with its source."""

import re

import pytest

from ctran import methods, registry
from ctran.cli.main import main
from ctran.methods._about import About

NAMES = registry.files(methods)


def test_every_method_is_listed_with_its_year(capsys):
    assert main(["methods"]) == 0
    rows = {
        row[1].strip(): row[2].strip() for row in (line.split("│") for line in capsys.readouterr().out.splitlines()) if row[1:]
    }
    assert {name: rows[name] for name in NAMES} == {name: str(registry.find(methods, name).ABOUT.year) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_method_states_its_source_in_whole_phrases(name):
    about = registry.find(methods, name).ABOUT
    assert isinstance(about, About) and 1950 <= about.year <= 2026
    for text in (about.source, about.needs, about.differs, about.uncertain, about.compared):
        assert text == text.strip() and not text.endswith(".") and "  " not in text
    assert not re.search(r"\b(19|20)\d\d$", about.source), "the year has a field of its own"


def test_one_method_prints_source_cost_and_its_options_alone(capsys):
    assert main(["methods", "linear"]) == 0
    out, about = capsys.readouterr().out, registry.find(methods, "linear").ABOUT
    assert f"source:    {about.source} ({about.year})" in out and f"needs:     {about.needs}" in out
    assert "0.2 M parameters; 0.00016 G multiply-adds a picture" in out
    assert "--model.solver" in out and "--training.epochs" not in out


def test_an_unknown_method_names_the_nearest(capsys):
    assert main(["methods", "pairwse"]) == 1
    assert "unknown method 'pairwse'; did you mean 'pairwise'?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_cost_of_every_method_is_counted(name, capsys):
    assert main(["methods", name]) == 0
    assert " M parameters; " in capsys.readouterr().out
