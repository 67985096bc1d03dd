"""What README and the page on Python show must run, on the model that comes with the repository."""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_quickstart_has_ten_lines_and_runs_without_training(capsys):
    [block] = python_blocks("README.md")
    assert len(block.splitlines()) <= 10
    exec(compile(block, "README.md", "exec"), {})
    assert "africa" in capsys.readouterr().out


def test_the_blocks_of_the_page_on_python_run_one_after_the_other():
    names: dict[str, Any] = {}
    for block in python_blocks("docs/howto/python.md"):
        exec(compile(block, "python.md", "exec"), names)
    assert names["session"].known == {"africa": True}
    assert names["logits"].shape == (96, 96) and names["logits"].isfinite().all()


def test_files_that_the_readme_points_to_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
