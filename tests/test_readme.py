"""What the README shows must run."""

import re
from pathlib import Path
from typing import Any

import pytest

from ctran.data.sources import openclipart
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import find_recipe, read_recipe
from tests.conftest import TOY

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder like a checkout in which ``make demo`` ran: an untrained model with the demo's labels."""
    labels = openclipart.build(openclipart.Config())["train"].labels
    build_tagger(read_recipe(find_recipe("demo"), [*TOY, "--training.epochs", "25"]), labels).save(
        tmp_path / "runs" / "demo" / "model"
    )
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)


def test_the_python_examples_run(checkout, capsys):
    first, many, session = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(first.splitlines()) <= 12
    names: dict[str, Any] = {}
    exec(compile(first, "README.md", "exec"), names)
    assert "africa" in capsys.readouterr().out
    exec(compile(many, "README.md", "exec"), names)  # goes on from the first
    assert names["logits"].shape == (96, 96) and names["logits"].isfinite().all()
    exec(compile(session, "README.md", "exec"), names)
    assert names["session"].known == {"africa": True}


def test_files_that_the_readme_points_to_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
