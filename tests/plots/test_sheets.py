"""Contact sheets: every picture, the right words below it, and names that stay names."""

import re

import numpy as np
import pytest
import torch

from ctran import plots
from ctran.cli.main import main
from ctran.data.description import Pairs, count_pairs, frequencies
from ctran.images.transforms import open_image
from ctran.labels import LabelSpace, LabelState
from ctran.plots import data, sheets
from ctran.plots.style import BAD, GOOD, GREY, INK, prediction_colour
from tests.data.truths import sparse

U, N, P = (int(s) for s in LabelState)


def test_a_contact_sheet_shows_every_picture(odd_tagger, odd_table, tmp_path):
    plots.contact_sheet(odd_tagger, odd_table, tmp_path / "sheet.png", count=3)
    sheet = np.asarray(open_image(tmp_path / "sheet.png")).astype(int)
    columns = np.array_split(sheet, 3, axis=1)
    assert all((c.min(axis=2) < 200).any() for c in columns)
    assert sorted(p.name for p in tmp_path.glob("*.png*")) == ["sheet.png"]


def test_names_of_labels_are_no_markup_on_the_terminal(odd_tagger, odd_table, tmp_path, capsys):
    odd_tagger.save(tmp_path / "model")
    picture = tmp_path / "a [red] b.png"
    odd_table.picture(0).save(picture)
    assert main(["predict", str(tmp_path / "model"), str(picture), "--known", "a=b=yes"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert all(name in printed for name in ("[/x]", "$x_$", "größe", "a=b"))
    assert main(["predict", str(tmp_path / "model"), str(picture), "--csv"]) == 0
    assert "a [red] b.png,[red]," in capsys.readouterr().out


def test_the_seed_draws_the_pictures_of_a_sheet_and_none_comes_twice(odd_table, tmp_path):
    draws = [sheets.annotation_sheet(odd_table, tmp_path / "sheet.png", count=5, seed=s) for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert sorted(sheets.annotation_sheet(odd_table, tmp_path / "sheet.png", count=99)) == sorted(odd_table.ids)


def test_below_a_picture_are_targets_then_extra_labels_then_labels_not_annotated():
    space = LabelSpace(("a", "b", "c", "d", "e"), extra=("a",))
    assert list(sheets.annotation(space, [P, U, N, P, U])) == [("d, a", INK), ("? b, e", GREY)]
    assert list(sheets.annotation(space, [N] * 5)) == [("(none)", INK)]


@pytest.mark.parametrize("size", [1, 9, 40, 600])
@pytest.mark.parametrize("lines", [1, 2, 6])
def test_labels_that_do_not_fit_are_counted(size, lines):
    names = [f"label {n}" for n in range(size)]
    found = sheets.wrapped(names, lines, "? ")
    assert 1 <= len(found) <= lines and max(map(len, found)) <= sheets.LINE
    text = " ".join(found).removeprefix("? ")
    left = re.search(r"(?:and )?(\d+) (?:more|labels)$", text)
    assert len(re.findall(r"label \d+", text)) + (int(left[1]) if left else 0) == size


def test_a_name_longer_than_a_line_is_cut():
    assert sheets.wrapped(["x" * 99], 1) == ["x" * (sheets.LINE - 2) + "…"]


def test_predictions_are_prediction_colour_by_what_is_known():
    assert [prediction_colour(LabelState.POSITIVE, present) for present in (False, True)] == [GOOD, GOOD]
    assert [prediction_colour(LabelState.NEGATIVE, present) for present in (False, True)] == [INK, BAD]
    assert prediction_colour(LabelState.UNKNOWN, True) == GREY


def test_pictures_of_data_bear_odd_names_many_labels_and_labels_without_a_positive(rng, tmp_path):
    names = ("$x_$", "[/x]", "größe", *(f"label {n}" for n in range(80)))
    codes = rng.choice([U, N, P], p=[0.1, 0.8, 0.1], size=(50, len(names)))
    codes[:, 5], codes[:, 6] = N, U
    truth = sparse(codes)
    space = LabelSpace(names, extra=("größe",))
    few = LabelSpace(names[:9])
    data.pair_map(few, Pairs(*[torch.ones(9, 9, dtype=torch.long)] * 3), tmp_path / "flat.png", what="these")
    data.pair_map(space, count_pairs(truth), tmp_path / "map.png", what="these")
    data.frequency_bars(space, frequencies(truth), tmp_path / "bars.png", what="these")
    assert all(min(open_image(path).size) > 400 for path in tmp_path.glob("*.png"))


def test_in_a_map_of_pairs_the_column_is_what_follows_from_the_row(tmp_path):
    codes = np.full((60, 12), N)
    codes[:, 0] = P  # label 0 is always there, so all others imply it and it implies none
    for picture in range(60):
        codes[picture, 1 + picture % 11] = P
    names = tuple(f"n{i}" for i in range(12))
    data.pair_map(LabelSpace(names), count_pairs(sparse(codes)), tmp_path / "map.png", what="these")
    ink = np.asarray(open_image(tmp_path / "map.png")).max(axis=2) < 60
    assert ink.mean(axis=0).max() > 0.6 and ink.mean(axis=1).max() < 0.3
