"""Co-occurrence in the training table, and ML-GCN's graph of it."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from ctran.data.table import SampleTable
from ctran.labels import LabelSpace, LabelState
from ctran.methods._label_graph import conditional, reweighted

PAIRS = Path(__file__).parent / "data" / "coco_pairs.csv"
"""Pairs of COCO's labels of which the first has the second in at least 30 % of its pictures of train2014."""


def table_of(positives, negatives, names, absent):
    """A table of pictures that are never read."""
    rows = {"image": [b"x"] * len(positives), "id": [str(i) for i in range(len(positives))]}
    lists = {"positives": positives, "negatives": negatives}
    return SampleTable(Dataset.from_dict(rows | lists), LabelSpace(names), absent)


def coco():
    """Shares of the pairs of the file, and their names."""
    rows = list(csv.DictReader(PAIRS.read_text().splitlines()))
    names = sorted({row["label"] for row in rows} | {row["other"] for row in rows})
    shares = torch.eye(len(names), dtype=torch.float64)
    for row in rows:
        share = int(row["pictures_with_both"]) / int(row["pictures_with_label"])
        shares[names.index(row["label"]), names.index(row["other"])] = share
    return shares, names


def test_the_graph_of_coco_has_the_edges_of_the_published_file():
    shares, names = coco()
    graph = reweighted(shares, threshold=0.4, neighbours=0.2)
    edges = graph.fill_diagonal_(0) > 0
    assert int(edges.sum()) == 111 and int(edges[names.index("person")].sum()) == 55  # person receives from 55
    assert int(edges.any(dim=1).sum()) == 23


@pytest.mark.parametrize("threshold", [0.3, 0.4, 0.7])
def test_the_graph_is_that_of_a_literal_loop(threshold):
    shares, _ = coco()
    size, p = len(shares), 0.3
    edge = [[i != j and float(shares[i, j]) >= threshold for j in range(size)] for i in range(size)]
    into = [sum(edge[i][j] for i in range(size)) for j in range(size)]
    weight = [[edge[i][j] * p / (1 - p) / (into[j] + 1e-6) + (i == j) for j in range(size)] for i in range(size)]
    rows = [sum(row) for row in weight]
    expected = [[rows[i] ** -0.5 * weight[j][i] * rows[j] ** -0.5 for j in range(size)] for i in range(size)]
    assert np.allclose(reweighted(shares, threshold=threshold, neighbours=p), expected, atol=1e-6)


def test_one_label_has_itself_alone_as_neighbour():
    assert reweighted(torch.ones(1, 1).double(), threshold=0.4, neighbours=0.2).tolist() == [[1.0]]


def test_a_share_that_equals_the_threshold_is_an_edge():
    shares = torch.tensor([[1.0, 7 / 20], [0.0, 1.0]], dtype=torch.float64)
    assert reweighted(shares, threshold=0.35, neighbours=0.2)[1, 0] > 0


def test_shares_count_the_pictures_in_which_the_other_label_is_annotated():
    rows = [[0, 1], [0], [0, 1, 2], [2], [1]]
    shares = conditional(table_of(rows, [[]] * 5, ("a", "b", "c", "d"), LabelState.NEGATIVE))
    assert torch.allclose(shares[0], torch.tensor([1, 2 / 3, 1 / 3, 0], dtype=torch.float64))
    assert torch.allclose(shares[2], torch.tensor([1 / 2, 1 / 2, 1, 0], dtype=torch.float64))
    assert not shares[3].any()  # no picture has d
    holes = conditional(table_of(rows, [[2], [], [], [0], [0]], ("a", "b", "c", "d"), LabelState.UNKNOWN))
    assert torch.allclose(holes[0], torch.tensor([1, 1, 1 / 2, 0], dtype=torch.float64))
