"""Heat maps say what their numbers say."""

import numpy as np
import pytest
from PIL import Image

from ctran.plots.heat import attention_sheet, evidence_overlay, heatmap_sheet, influence_map, overlay


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_the_wash_is_where_the_weight_is_on_dark_and_on_light(shade):
    square = np.full((64, 64, 3), shade, np.uint8)
    weights = np.zeros((4, 4), np.float32)
    weights[0, 3] = 0.5
    amber = np.asarray(overlay(square, weights), dtype=int)
    warmth = amber[..., 0] - amber[..., 2]  # more red than blue
    assert warmth[4, 60] > 15 and abs(warmth[60, 4]) < 3
    assert np.unravel_index(warmth.argmax(), warmth.shape)[0] < 16


def test_weights_that_are_all_the_same_leave_the_picture_without_a_wash():
    square = np.full((8, 8, 3), 200, np.uint8)
    plain = np.asarray(overlay(square, np.full((2, 2), 0.3, np.float32)))
    assert (plain == plain[0, 0]).all() and plain[0, 0, 0] == plain[0, 0, 2]


def test_only_evidence_for_a_label_is_amber_and_fainter_where_more_speaks_against_it():
    square = np.full((64, 64, 3), 200, np.uint8)
    heatmap = np.zeros((4, 4), np.float32)
    heatmap[0, 3], heatmap[3, 0] = 1, -1
    shown, outweighed, none = (
        np.asarray(evidence_overlay(square, m), dtype=int)
        for m in (heatmap, heatmap.clip(min=-1) * [4, 1, 1, 1], -heatmap * 0 - 1)
    )
    warmth = shown[..., 0] - shown[..., 2]
    assert warmth[4, 60] > 100 and abs(warmth[60, 4]) < 3
    assert 10 < (outweighed[..., 0] - outweighed[..., 2])[4, 60] < warmth[4, 60] / 2
    assert (none == none[0, 0]).all()


def test_sheets_are_pictures(tmp_path):
    maps = {"a $cat$": np.random.default_rng(0).random((2, 3, 3), np.float32) / 9, "dog": np.zeros((2, 3, 3), np.float32)}
    attention_sheet(np.zeros((30, 30, 3), np.uint8), maps, tmp_path / "attention.png")
    matrix = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)
    influence_map(matrix, ["a", "b", "$c$", "d", "e"], tmp_path / "influence.png", most=3)
    heatmap_sheet(np.zeros((30, 30, 3), np.uint8), {n: m[0] - 0.05 for n, m in maps.items()}, tmp_path / "heatmap.png")
    for name in ("attention", "influence", "heatmap"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.format == "PNG" and min(picture.size) > 200
