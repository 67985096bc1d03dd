"""The study of planted worlds: recipes of every method, toy runs that go on where they stopped, limits, page."""

import json

import numpy as np
import pytest

from benchmarks import planted
from benchmarks.planted_measure import SHARES, limits
from ctran import registry
from ctran.data import sources
from ctran.data.planted_world import World
from ctran.data.scene_world import SceneWorld

TOY = ("--model.backbone", "test_resnet", "--model.weights", "none", "--model.image_size", "32", "--data.val", "8")


def three(k: float, j: float) -> SceneWorld:
    """Three labels, never drawn, with one three-way coupling and one pair."""
    coupling = np.zeros((1, 3, 3))
    coupling[0, 0, 1] = coupling[0, 1, 0] = j
    return SceneWorld(np.ones(1), np.zeros((1, 3)), coupling, {(0, 1, 2): k}, np.zeros(3))


def test_every_planted_world_has_a_recipe_and_every_method_the_same_features():
    for world in planted.worlds():
        recipes = [planted.recipe_for(world, method, 500) for method in (*planted.METHODS, "stack")]
        assert {r.source for r in recipes} == {world}
        assert {(r.model.backbone, r.model.image_size, r.model.fit, r.training.augmentation) for r in recipes} == {
            (recipes[0].model.backbone, recipes[0].model.image_size, "pad", "none")
        }
        assert {(r.data.train, r.training.feature_views) for r in recipes} == {(500, 1)}
        assert [r.method for r in recipes[:2]] == ["pairwise", "linear"] and recipes[-1].method == "stack"


def test_pairs_reach_the_posterior_of_a_world_of_pairs_and_not_of_a_triple():
    coupling = np.array([[0.0, 0.8], [0.8, 0.0]])
    exact = limits(World(np.array([0.3, -0.2]), coupling, np.array([0.4, 0.0])), [True, True], samples=20_000)
    assert [row["known_share"] for row in exact] == list(SHARES)
    assert max(row["pairs"] for row in exact) < 1e-3
    assert exact[0]["ignoring_known"] < 1e-8 and exact[2]["ignoring_known"] > 0.05
    triple = limits(three(k=1.0, j=0.0), [True] * 3, samples=20_000)
    assert triple[0]["pairs"] < 1e-3  # nothing known: the prevalence, which needs no pair
    assert triple[3]["pairs"] == pytest.approx(triple[3]["ignoring_known"], abs=2e-3) and triple[3]["pairs"] > 0.1


def test_labels_that_are_no_targets_do_not_count():
    both = limits(three(k=0.0, j=1.0), [True, True, True], samples=4_000)
    alone = limits(three(k=0.0, j=1.0), [False, False, True], samples=4_000)
    assert alone[3]["ignoring_known"] < 1e-9 < 0.02 < both[3]["ignoring_known"]


@pytest.mark.slow
def test_a_toy_study_goes_on_where_it_stopped_and_writes_figures_and_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(planted.TEST, "val", 12)
    flags = ["--world", "planted_scenes", "--split", "val", "--folder", str(tmp_path), "--runs", str(tmp_path / "runs")]
    planted.main([*flags, "--methods", "linear", "--sizes", "40", *TOY])
    first = json.loads((tmp_path / "planted_scenes.json").read_text())["methods"]["linear"]["40"]
    planted.main([*flags, "--methods", "linear", "pairwise", "--sizes", "40", *TOY])
    found = json.loads((tmp_path / "planted_scenes.json").read_text())
    assert found["methods"]["linear"]["40"] == first and set(found["methods"]) == {"linear", "pairwise"}
    assert list(found["world"]["prevalence"]) == list(registry.find(sources, "planted_scenes").OBJECTS)
    rows = found["methods"]["pairwise"]["40"]["settings"]
    assert [row["entries"]["all"] for row in rows] == [108, 84, 60, 36]  # 12 pictures, 9 labels: known ones rounded down
    assert all(row["kl"]["all"] > 0 for row in rows)
    out = capsys.readouterr().out
    assert out.count("| `linear` | 40 |") == 2 and out.count("40 linear") == 1
    assert (tmp_path / "planted_scenes.png").stat().st_size > 1000


def test_figures_on_val_are_not_written_to_the_page(capsys):
    with pytest.raises(SystemExit):
        planted.main(["--split", "val"])
    assert "give another --folder" in capsys.readouterr().err
