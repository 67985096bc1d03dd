"""Pictures whose labels look like mathematics and markup, and a model of them."""

import pytest

from ctran.data.sources import imagefolder
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY

ODD = ("$x_$", "[/x]", "[red]", "größe", "a=b")


@pytest.fixture
def odd_table(folder):
    rows = "".join(f"{n:02}.png;{'|'.join(ODD)}\n" for n in range(9)).replace(";", ',"').replace("\n", '"\n')
    (folder / "metadata.csv").write_text("file_name,labels\n" + rows, encoding="utf-8")
    return imagefolder.build(imagefolder.Config(folder, "negative", delimiter="|"))["train"]


@pytest.fixture
def odd_tagger(odd_table):
    return build_tagger(read_recipe(None, TOY), odd_table.labels)
