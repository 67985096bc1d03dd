"""A small model folder without training."""

from pathlib import Path

import pytest

from ctran.labels import LabelSpace
from tests.conftest import TOY


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three labels with random weights."""
    from ctran.training.pipeline import build_tagger
    from ctran.training.recipe import read_recipe

    folder = tmp_path_factory.mktemp("toy") / "model"
    build_tagger(read_recipe(None, TOY), LabelSpace(("flag", "map", "日本"))).save(folder)
    return folder
