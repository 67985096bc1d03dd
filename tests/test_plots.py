"""Pictures for people: they are written, and names of labels stay names."""

import math

import numpy as np
import pytest

from ctran import plots
from ctran.cli.main import main
from ctran.data.sources import imagefolder
from ctran.images import open_image
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY

ODD = ("$x_$", "[/x]", "[red]", "größe", "a=b")


@pytest.fixture
def odd(folder):
    """Pictures whose labels look like mathematics and markup, and a model of them."""
    rows = "".join(f"{n:02}.png;{'|'.join(ODD)}\n" for n in range(9)).replace(";", ',"').replace("\n", '"\n')
    (folder / "metadata.csv").write_text("file_name,labels\n" + rows, encoding="utf-8")
    table = imagefolder.build(imagefolder.Config(folder, "negative", delimiter="|"))["train"]
    return build_tagger(read_recipe(None, TOY), table.labels), table


def test_a_contact_sheet_shows_every_picture(odd, tmp_path):
    plots.contact_sheet(*odd, tmp_path / "sheet.png", count=3)
    sheet = np.asarray(open_image(tmp_path / "sheet.png")).astype(int)
    columns = np.array_split(sheet, 3, axis=1)
    assert all((c.min(axis=2) < 200).any() for c in columns)
    assert sorted(p.name for p in tmp_path.glob("*.png*")) == ["sheet.png"]


def test_names_of_labels_are_no_markup_on_the_terminal(odd, tmp_path, capsys):
    odd[0].save(tmp_path / "model")
    picture = tmp_path / "a [red] b.png"
    odd[1].picture(0).save(picture)
    assert main(["predict", str(tmp_path / "model"), str(picture), "--known", "a=b=yes"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert all(name in printed for name in ("[/x]", "$x_$", "größe", "a=b"))
    assert main(["predict", str(tmp_path / "model"), str(picture), "--csv"]) == 0
    assert "a [red] b.png,[red]," in capsys.readouterr().out


def test_learning_curves_bear_what_does_not_exist(tmp_path):
    history = [
        {"epoch": n, "train_loss": 1.0 / n, "val_score": math.nan, "val_mAP_0": math.nan, "val_mAP_50": 50.0} for n in (1, 2)
    ]
    plots.learning_curves(history, tmp_path / "curves.png")
    assert open_image(tmp_path / "curves.png").size > (400, 200)
