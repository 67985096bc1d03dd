"""The labelling study: clicks are those of the annotator, orders are the studio's, the page follows from the figures."""

import json

import pytest
import torch

from benchmarks import labelling
from benchmarks.labelling_folder import Folder, fit
from benchmarks.labelling_simulate import (
    SYSTEMS,
    corrections,
    cuts,
    folder_f1,
    folder_threshold,
    simulate,
    teaching_order,
)
from ctran.labelling.encoding import WIDTH
from ctran.labelling.suggest import next_picture
from ctran.labels import LabelSpace
from ctran.model import Features
from tests.networks import SMALLEST

PICTURES, LABELS, CHANNELS = 90, 5, 96
FLAGS = (
    "--source",
    "openclipart",
    *SMALLEST,
    "--model.weights",
    "none",
    "--model.image_size",
    "64",
    "--model.inner_maps",
    "false",
)


@pytest.fixture(scope="module")
def folder() -> Folder:
    """Labels that follow from the features, but for noise; the second label comes with the first."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(PICTURES, 2, CHANNELS, generator=generator)
    logits = 2 * tokens.mean(dim=1)[:, :LABELS] + torch.randn(PICTURES, LABELS, generator=generator) - 0.5
    positive = logits > 0
    positive[:, 1] = positive[:, 0] & (torch.rand(PICTURES, generator=generator) < 0.9)
    return Folder(LabelSpace(tuple("abcde")), 1 + positive.long(), Features(tokens, (1, 2)), FLAGS)


def all_clicks(blocks):
    return torch.cat([block.clicks for block in blocks])


def test_without_a_model_a_click_is_a_label_that_the_picture_has(folder):
    (block,) = simulate(folder, SYSTEMS["none"], 0)
    row = labelling.row_of([block], folder)
    assert row["clicks"] == int(folder.positive.sum()) + PICTURES
    assert row["grid_clicks"] == int(folder.positive.sum()) + -(-PICTURES // labelling.SCREEN)
    assert row["curve"][-1] == [PICTURES, row["clicks"], row["grid_clicks"], 100.0]


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "none"])
def test_every_picture_is_labelled_once_and_the_folder_ends_right(folder, name):
    blocks = list(simulate(folder, SYSTEMS[name], 0, first=30))
    assert [block.known for block in blocks] == [0, *cuts(PICTURES, 30)]
    assert len(all_clicks(blocks)) == PICTURES and float(blocks[-1].f1[-1]) == 100
    assert all_clicks(blocks).max() <= LABELS


def test_with_a_model_that_ignores_known_labels_a_click_is_a_wrong_label(folder):
    for block in simulate(folder, SYSTEMS["linear"], 1, first=30):
        assert torch.equal(block.clicks, block.wrong)


def test_a_correction_changes_the_other_labels_of_its_picture(folder):
    rows = torch.arange(60)
    states = torch.where((torch.arange(PICTURES) < 60)[:, None], folder.truth, 0)
    fitted = fit(folder, "quick", states, 0)
    features, rank = fitted.prepared(folder.features), torch.zeros(PICTURES, LABELS)
    found = {h: corrections(fitted, features, folder.truth, h, rank) for h in ("missing", "top")}
    for clicks, wrong in found.values():
        assert (clicks > 0).eq(wrong > 0).all()
    assert torch.equal(found["missing"][1], found["top"][1])
    assert any((clicks != wrong).any() for clicks, wrong in found.values())
    one = corrections(fitted, features[rows[:1]], folder.truth[:1], "missing", rank[:1])[0]
    assert int(one) == int(found["missing"][0][0])  # pictures do not affect each other


def test_the_order_is_the_one_in_which_the_studio_asks():
    generator = torch.Generator().manual_seed(2)
    vectors = torch.nn.functional.normalize(torch.randn(30, WIDTH, generator=generator) + 1, dim=1)
    uncertainty, names = torch.rand(30, generator=generator), [str(i) for i in range(30)]
    labelled = torch.arange(30) < 4
    found, left = list(names[:4]), names[4:]
    by_name = dict(zip(names, vectors, strict=True))
    for _ in range(12):
        name = next_picture("teaches", left, found, by_name, dict(zip(names, uncertainty.tolist(), strict=True)))
        assert name is not None
        found.append(name)
        left.remove(name)
    assert teaching_order(vectors, labelled, uncertainty, 12) == [int(name) for name in found[4:]]


def test_folder_f1_counts_confirmed_pictures_as_right():
    positive = torch.tensor([[1, 0], [1, 1], [0, 0]]).bool()
    predicted = torch.tensor([[0, 1], [1, 0], [0, 1]]).bool()
    found = folder_f1(positive, predicted, torch.tensor([False, False, True]), torch.tensor([0, 1]))
    # hits / called / positive: 1 / 2 / 3, then 2 / 2 / 3, then 3 / 3 / 3; the third picture is confirmed
    assert found.tolist() == pytest.approx([200 * 1 / 5, 200 * 2 / 5, 100])


def test_the_threshold_is_the_one_of_the_greatest_expected_f1():
    p = torch.tensor([[0.9, 0.45, 0.1]])
    expected = {t: 2 * (4 + p[p >= t].sum()) / (2 * 4 + (p >= t).sum() + p.sum()) for t in (0.9, 0.45, 0.1)}
    assert folder_threshold(p, 4) == pytest.approx(max(expected, key=lambda t: float(expected[t])))


def test_figures_are_written_system_by_system_and_not_measured_again(folder, tmp_path, monkeypatch, capsys):
    output = tmp_path / "labelling.json"
    labelling.measure(folder, ["none", "linear", "linear-unsure", "quick"], [0], "missing", 2.0, output, first=30)
    rows = json.loads(output.read_text())["rows"]
    assert [row["system"] for row in rows] == ["none", "linear", "linear-unsure", "quick"]
    monkeypatch.setattr(labelling, "simulate", None)  # nothing is left to do
    labelling.measure(folder, ["none", "quick"], [0], "missing", 2.0, output)
    labelling.main(["--page-only", "--output", str(output)])
    text = output.with_suffix(".md").read_text()
    assert f"{rows[0]['clicks']}" in text and "not run" in text
    assert output.with_suffix(".png").stat().st_size > 1000


@pytest.mark.parametrize(("pictures", "expected"), [(3273, [50, 100, 200, 400, 800, 1600]), (110, [50]), (40, [])])
def test_models_are_fitted_while_a_tenth_of_the_pictures_is_left(pictures, expected):
    assert cuts(pictures) == expected
    assert cuts(200, 50, 2**0.5) == [50, 71, 100, 141]
