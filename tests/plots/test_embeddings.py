"""Maps of label embeddings: neighbours against counting by hand, names that cover nothing, and what is refused."""

import itertools
import sys

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from ctran.images.transforms import open_image
from ctran.labels import Group, LabelSpace
from ctran.plots.embeddings import Map, embedding_maps, label_embeddings, map_rows, name_points, neighbours, tsne, verdict
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY

ODD = ("$x_$", "[/x]", "größe", "a", "b", "c")
SPACE = LabelSpace(ODD, groups=(Group("$g_$", ODD[:2]), Group("late", ODD[2:5])))
GROUPS = torch.tensor([0, 0, 1, 1, 1, -1])


def clusters(generator, labels=12):
    """Three far apart."""
    centres = 10 * torch.eye(3, 16).repeat_interleave(labels // 3, dim=0)
    return centres + torch.randn(labels, 16, generator=generator)


def test_neighbours_are_the_nearest_by_angle(generator):
    vectors = torch.randn(6, 4, generator=generator) * torch.arange(1, 7)[:, None]
    found = neighbours(vectors, GROUPS)
    for i in range(6):
        cosine = [float(torch.cosine_similarity(vectors[i], vectors[j], dim=0)) for j in range(6)]
        cosine[i] = -2
        assert found.nearest[i] == int(np.argmax(cosine))
    same = [bool(GROUPS[i] == GROUPS[found.nearest[i]]) for i in range(5)]
    assert found.share == pytest.approx(sum(same) / 5)


def test_chance_is_the_mean_over_all_ways_to_give_the_groups_away(generator):
    found = neighbours(torch.randn(6, 4, generator=generator), GROUPS)
    shares = []
    for order in itertools.permutations(range(6)):
        groups = GROUPS[list(order)]
        shares.append(float(((groups == groups[found.nearest]) & (groups >= 0)).sum() / 5))
    assert found.chance == pytest.approx(np.mean(shares))
    assert found.by_luck == pytest.approx(np.quantile(shares, 0.95), abs=0.2)


def test_clusters_of_one_group_each_are_found_beyond_luck(generator):
    groups = torch.arange(3).repeat_interleave(4)
    found = neighbours(clusters(generator), groups)
    assert found.share == 1 > found.by_luck > found.chance
    assert "same group: 100 % (by chance 27 %" in verdict(found)


def test_without_groups_there_is_a_neighbour_but_no_share(generator):
    found = neighbours(clusters(generator), torch.full((12,), -1))
    assert np.isnan(found.share) and (found.nearest >= 0).all() and verdict(found) == "the labels are in no groups"


def test_a_map_keeps_clusters_together_and_repeats_itself(generator):
    vectors = clusters(generator)
    points = tsne(vectors, seed=3)
    nearest = torch.cdist(points, points).fill_diagonal_(torch.inf).argmin(dim=1)
    assert torch.equal(nearest // 4, torch.arange(12) // 4)
    assert torch.equal(points, tsne(vectors, seed=3))


def test_a_map_of_few_labels_is_refused(generator):
    assert tsne(torch.randn(4, 8, generator=generator)).isfinite().all()
    with pytest.raises(ValueError, match="at least 4 labels, the model has 3"):
        tsne(torch.randn(3, 8, generator=generator))


def test_what_to_install_is_said(monkeypatch, generator):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ValueError, match=r"pip install 'ctran\[plots\]'"):
        tsne(torch.randn(5, 8, generator=generator))


def test_embeddings_are_the_rows_of_equation_1_and_other_methods_have_none():
    tagger = build_tagger(read_recipe(None, TOY), LabelSpace(ODD))
    assert torch.equal(label_embeddings(tagger), tagger.model.state_dict()["labels.label.weight"])
    flags = ["--method", "linear", *("--model.backbone", "test_resnet"), *("--model.weights", "none")]
    with pytest.raises(ValueError, match="method 'linear' has no label embeddings"):
        label_embeddings(build_tagger(read_recipe(None, flags), LabelSpace(ODD)))


def a_map(generator, space=SPACE, groups=GROUPS, spread=1.0):
    size = len(space)
    vectors = torch.randn(size, 8, generator=generator)
    return Map("run $1_$", space, spread * torch.randn(size, 2, generator=generator), neighbours(vectors, groups))


def test_rows_name_group_place_and_neighbour(generator):
    drawn = a_map(generator)
    rows = map_rows([drawn, drawn])
    assert len(rows) == 12 and rows[:6] == rows[6:]
    for i, (run, label, group, x, y, nearest, same) in enumerate(rows[:6]):
        assert (run, label, group) == ("run $1_$", ODD[i], ("$g_$", "$g_$", "late", "late", "late", "")[i])
        assert (float(x), float(y)) == pytest.approx(drawn.points[i].tolist(), abs=1e-3)
        near = int(drawn.neighbours.nearest[i])
        assert nearest == ODD[near]
        assert same == ("" if i == 5 else int(GROUPS[near] == GROUPS[i]))


def test_maps_are_drawn_side_by_side(generator, tmp_path):
    embedding_maps([a_map(generator)], tmp_path / "one.png")
    embedding_maps([a_map(generator), a_map(generator)], tmp_path / "two.png")
    one, two = (open_image(tmp_path / f"{name}.png").size for name in ("one", "two"))
    assert two[0] > 1.8 * one[0] and two[1] < 1.2 * one[1]


def test_names_cover_neither_each_other_nor_a_point_of_another(generator):
    space = LabelSpace(tuple(f"a label {n}" for n in range(150)))
    drawn = a_map(generator, space, torch.full((150,), -1))
    figure = Figure(figsize=(5, 5))
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.scatter(*drawn.points.T.numpy())
    figure.draw_without_rendering()
    name_points(axes, drawn)
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    assert 10 < len(boxes) < 150
    assert all(box.count_overlaps([b for b in boxes if b is not box]) == 0 for box in boxes)
    own = {text.get_text(): text for text in axes.texts}
    pixels = axes.transData.transform(drawn.points.numpy())
    for number, (x, y) in enumerate(pixels):
        others = [box for name, box in zip(own, boxes, strict=True) if name != space.names[number]]
        assert Bbox.from_bounds(x - 3, y - 3, 6, 6).count_overlaps(others) == 0
