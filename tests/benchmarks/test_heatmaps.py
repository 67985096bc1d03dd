"""The pointing game counts what it says, and its page follows from the figures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import heatmap_games, heatmap_page, heatmaps
from benchmarks.heatmap_games import Canvases, Mosaics
from benchmarks.heatmap_time import measured, time_table
from benchmarks.machine import WITHOUT_BFLOAT16, machine
from ctran.data.sources import openclipart
from ctran.folders.tagger import Tagger
from ctran.labels import LabelState
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    """An untrained model of the clip-art library's labels, which include those of the planted world."""
    return build_tagger(read_recipe(None, TOY), openclipart.build(openclipart.Config())["test"].labels)


@pytest.mark.parametrize(("y", "x"), [(0, 0), (1, 5), (6, 1)])
def test_a_hit_is_the_greatest_value_in_the_box(y, x):
    heatmap = np.full((7, 7), -1, np.float32)
    heatmap[y, x] = 3
    middle = ((x + 0.5) / 7, (y + 0.5) / 7)
    box = (max(0, middle[0] - 0.1), max(0, middle[1] - 0.1), middle[0] + 0.1, middle[1] + 0.1)
    hit, inside = heatmap_games.scores(heatmap, box)
    assert hit == 1 and inside > 0.7
    assert heatmap_games.scores(heatmap[::-1].copy(), box)[0] == 0  # the map upside down points elsewhere
    assert heatmap_games.scores(-abs(heatmap), (0, 0, 1, 1)) == (1, 0)  # no positive value: no share
    assert all(abs(edge / 224 - at) < 1 / 7 for edge, at in zip(heatmap_games.greatest(heatmap), middle, strict=True))


def test_the_right_place_of_a_mosaic_holds_its_only_picture_with_the_label(tagger, monkeypatch):
    monkeypatch.setattr(heatmap_games, "FOUND", 0.0)
    game = Mosaics(tagger, "val", 3)
    each = next(game.draw())
    column = game.table.truth.column(game.table.labels.index(each.label))
    (row,) = [row for row in each.rows if column[row] == LabelState.POSITIVE]
    mosaic = np.asarray(game.picture(each.rows))
    left, top, right, bottom = (round(edge * len(mosaic)) for edge in each.box)
    assert torch.equal(torch.tensor(mosaic[top:bottom, left:right]), tagger.preprocessing.pixels(game.table.pixels(row)))
    probabilities = [tagger.predict(game.table.picture(n)).probabilities[each.label] for n in each.rows]
    assert game.right_alone(each._asdict()) == (each.rows[int(np.argmax(probabilities))] == row)


def test_the_right_place_on_a_canvas_is_where_the_object_is_drawn(tagger, monkeypatch):
    monkeypatch.setattr(heatmap_games, "FOUND", 0.0)
    game = Canvases(tagger, "val", 8)
    tries = list(game.draw())
    assert len(tries) > 3
    for (row,) in {tuple(each.rows) for each in tries}:
        canvas, outside = np.asarray(game.picture([row])), np.ones((224, 224), bool)
        for each in [each for each in tries if each.rows == [row]]:
            left, top, right, bottom = (round(edge * 224) for edge in each.box)
            assert canvas[top:bottom, left:right].mean() < 250  # something is drawn here
            outside[top:bottom, left:right] = False
        assert canvas[outside].mean() > 254  # and nothing elsewhere, but for the traces of JPEG


def played(hits: dict[str, list[float]], rows: list[list[int]]) -> dict:
    """An entry of the results: by map, hits of each try."""
    count = len(rows)
    return {
        "tries": [{"rows": row, "label": "flag", "box": [0.5, 0, 1, 0.5]} for row in rows],
        "played": {str(n): {name: [found[n], 0.5] for name, found in hits.items()} for n in range(count)},
    }


def test_the_page_has_hits_their_spread_and_chance(tmp_path):
    entry = played({"attention, last layer": [0] * 4, "heat map": [0, 1, 1, 1]}, [[n, 2, 3, 4] for n in range(10, 14)])
    entry["alone"] = {"0": 1, "1": 0, "2": 1, "3": 0}
    text = heatmap_page.page({"test": {"mosaics-4": entry}}, small=heatmaps.SMALL, folder=tmp_path)
    assert "## Mosaics of 4, test" in text and "| heat map | 75.0 ± 21.7 | 50.0 |" in text
    assert "| attention, last layer | 0.0 ± 0.0 | 50.0 |" in text and "| chance | 25.0 | 25.0 |" in text
    assert "right one in 50 %" in " ".join(text.split()) and "trained on 1,500 pictures for 20 epochs" in " ".join(text.split())
    assert "Not run yet." in heatmap_page.page({}, small=heatmaps.SMALL, folder=tmp_path)


def test_canvases_with_several_objects_are_counted_by_themselves():
    entry = played({"heat map": [1, 0, 1, 0, 0]}, [[3], [3], [5], [6], [6]])
    assert set(heatmap_page.shared(entry)) == {"0", "1", "3", "4"}
    text = heatmap_page.section("planted", "test", entry)
    assert "| heat map | 40.0 ± 21.9 |" in text and "| heat map | 25.0 ± 21.7 |" in text and "4 tries." in text
    assert "several" not in heatmap_page.section("mosaics-4", "test", played({"heat map": [1, 0]}, [[1, 2], [3, 4]]))


def test_processor_time_counts_work_and_not_waiting():
    ended = []
    wall, cpu = measured(lambda: ended.append(sum(n * n for n in range(300_000))))
    assert len(ended) == 1 and 0 < cpu <= 2 * wall + 0.05
    row = {"precision": "float32", "threads": 1, "session": [(0.1, 0.1)] * 3, "heat map": [(0.5, 0.4), (0.7, 0.4), (0.6, 0.5)]}
    assert time_table({"rows": [row]}).endswith("| 0.10 (0.10 to 0.10) | 0.60 (0.50 to 0.70) | 0.40 (0.40 to 0.50) |")


def test_the_section_on_seconds_states_its_command_and_what_was_left_out():
    row = {"precision": "float32", "threads": 1, "session": [(0.1, 0.1)], "heat map": [(0.5, 0.4)]}
    found = {"machine": machine(), "busy": 3.2, "rows": [row]}
    text = heatmap_page.seconds(found)
    assert "`python -m benchmarks.heatmaps --parts --seconds`" in text and ", 3 % busy before; python" in text
    assert WITHOUT_BFLOAT16 in text
    assert WITHOUT_BFLOAT16 not in heatmap_page.seconds(found | {"rows": [row, row | {"precision": "bfloat16"}]})


@pytest.mark.slow
def test_the_planted_world_is_trained_played_and_drawn_and_then_gone_on_with(tmp_path, monkeypatch):
    toy = [
        "--data.train",
        "24",
        "--data.val",
        "6",
        "--data.test",
        "6",
        "--training.epochs",
        "1",
        "--model.backbone",
        "test_resnet",
    ]
    monkeypatch.setattr(heatmaps, "SMALL", [*toy, "--model.weights", "none", "--model.image_size", "64"])
    monkeypatch.setattr(heatmap_games, "FOUND", 0.0)
    flags = ["--parts", "planted", "--folder", str(tmp_path), "--runs", str(tmp_path / "runs")]
    heatmaps.main([*flags, "--tries", "3"])
    path: Path = tmp_path / "heatmaps.json"
    first = json.loads(path.read_text())["test"]["planted"]
    assert len(first["played"]) == 3 and set(first["played"]["0"]) == set(heatmap_games.METHODS) - {"class activation map"}
    heatmaps.main([*flags, "--tries", "4"])
    second = json.loads(path.read_text())["test"]["planted"]
    assert {n: second["played"][n] for n in first["played"]} == first["played"] and len(second["played"]) == 4
    assert "![Planted world, examples](heatmaps-planted.png)" in (tmp_path / "heatmaps.md").read_text()
    assert (tmp_path / "heatmaps-planted.png").stat().st_size > 1000
