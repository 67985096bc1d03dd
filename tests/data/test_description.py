"""Numbers of a table against counting by hand and scikit-learn; pairs that must come first, and pairs that must not come."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from ctran.data import description
from ctran.data.truth import MOST_ROWS
from ctran.labels import LabelState
from tests.data.truths import sparse

U, N, P = LabelState.UNKNOWN, LabelState.NEGATIVE, LabelState.POSITIVE


@pytest.fixture
def codes(rng):
    """Forty pictures of six labels with holes; the last label is positive nowhere."""
    codes = rng.choice([U, N, P], size=(40, 6), p=[0.2, 0.5, 0.3])
    codes[:, 5] = np.where(codes[:, 5] == P, N, codes[:, 5])
    return codes


def test_a_split_is_summed_up():
    found = description.summarise(sparse([[P, P, N], [N, U, P], [N, N, N], [U, N, N]]))
    assert (found.pictures, found.most, found.empty) == (4, 2, 2)
    assert found.mean == 3 / 4 and found.unknown == 2 / 12


def test_a_frequency_is_a_share_of_the_annotated_pictures():
    found = description.frequencies(sparse([[P, U, N], [N, U, N], [U, U, N], [P, U, N]]))
    assert found[0] == pytest.approx(2 / 3) and math.isnan(found[1]) and found[2] == 0


@pytest.mark.parametrize("shares", [(0.2, 0.5, 0.3), (0.0, 0.6, 0.4), (0.0, 0.98, 0.02), (0.96, 0.02, 0.02)])
def test_pairs_are_what_counting_gives(rng, shares):
    """With and without holes, with many positives and with few."""
    codes = rng.choice([U, N, P], size=(100, 6), p=shares)
    pairs = description.count_pairs(sparse(codes))
    rows = codes.tolist()
    for a in range(6):
        for b in range(6):
            annotated = [r for r in rows if U not in (r[a], r[b])]
            given = [r for r in annotated if r[a] == P]
            both = [r for r in given if r[b] == P]
            assert [int(n[a, b]) for n in (pairs.both, pairs.given, pairs.annotated)] == [len(both), len(given), len(annotated)]
            if given:
                assert pairs.conditional[a, b] == pytest.approx(len(both) / len(given))
            else:
                assert math.isnan(pairs.conditional[a, b])


def test_pairs_of_some_labels_are_those_of_all_at_their_places(codes):
    every, some = description.count_pairs(sparse(codes)), torch.tensor([4, 1, 3])
    few = description.count_pairs(sparse(codes), some)
    for name in ("both", "given", "annotated"):
        assert torch.equal(getattr(few, name), getattr(every, name)[some][:, some])


def test_of_too_many_labels_those_are_paired_that_are_positive_most_often(monkeypatch):
    truth = sparse([[N, P, P, N], [P, N, P, N], [N, P, N, U]])
    assert description.most_frequent(truth).tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(description, "PAIRED", 2)
    assert description.most_frequent(truth).tolist() == [1, 2]


def test_information_is_scikit_learns(codes):
    found = description.count_pairs(sparse(codes)).information
    for a in range(6):
        for b in range(6):
            at = (codes[:, a] != U) & (codes[:, b] != U)
            assert found[a, b] == pytest.approx(mutual_info_score(codes[at, a], codes[at, b]), abs=1e-9)


def test_a_label_without_annotations_has_no_information():
    pairs = description.count_pairs(sparse([[P, U], [N, U], [P, U]]))
    assert pairs.information[0, 1] == 0 and description.strongest(pairs, least=1) == []


def test_counts_are_whole_over_many_blocks(rng):
    codes = rng.choice([U, N, P], size=(2 * MOST_ROWS + 77, 2))
    pairs = description.count_pairs(sparse(codes))
    assert pairs.both[0, 1] == ((codes[:, 0] == P) & (codes[:, 1] == P)).sum()
    assert pairs.annotated[0, 1] == ((codes[:, 0] != U) & (codes[:, 1] != U)).sum()


def scene(rng, pictures=2000):
    """0 is everywhere, 1 and 2 go together, 3 and 4 met once in the one picture that either has, 5 avoids 1, 6 implies 7."""
    has = np.zeros((pictures, 8), dtype=bool)
    has[:, 0] = rng.random(pictures) < 0.9
    has[:, 1] = rng.random(pictures) < 0.2
    has[:, 2] = np.where(rng.random(pictures) < 0.9, has[:, 1], rng.random(pictures) < 0.2)
    has[7, 3:5] = True
    has[:, 5] = ~has[:, 1]
    has[:, 7] = rng.random(pictures) < 0.3
    has[:, 6] = has[:, 7] & (rng.random(pictures) < 0.3)
    return sparse(np.where(has, P, N))


def test_the_strongest_pairs_are_those_with_most_information_about_each_other(rng):
    found = description.strongest(description.count_pairs(scene(rng)))
    assert {frozenset(pair) for pair in found[:2]} == {frozenset((1, 2)), frozenset((6, 7))}


def test_of_a_pair_the_surer_label_comes_first(rng):
    assert (6, 7) in description.strongest(description.count_pairs(scene(rng)))


def test_a_chance_meeting_of_rare_labels_is_not_a_pair_though_its_lift_is_the_greatest(rng):
    pairs = description.count_pairs(scene(rng))
    assert pairs.lift.triu(1).nan_to_num().argmax() == 3 * 8 + 4
    assert all(frozenset(pair) != {3, 4} for pair in description.strongest(pairs, count=100))


def test_labels_that_avoid_each_other_are_no_pair(rng):
    pairs = description.count_pairs(scene(rng))
    assert pairs.information[1, 5] > pairs.information[1, 2]
    assert all(frozenset(pair) != {1, 5} for pair in description.strongest(pairs, count=100))


def test_labels_of_one_cluster_stand_side_by_side(rng):
    cluster = rng.permutation(np.repeat([0, 1, 2], 4))
    kind = rng.integers(3, size=600)
    has = (kind[:, None] == cluster) & (rng.random((600, 12)) < 0.5)
    order = description.kindred_order(description.count_pairs(sparse(np.where(has, P, N))))
    assert sorted(order.tolist()) == list(range(12))
    assert (np.diff(cluster[order.numpy()]) != 0).sum() == 2


@pytest.mark.parametrize("labels", [1, 2])
def test_the_smallest_label_spaces_have_an_order(labels):
    pairs = description.count_pairs(sparse([[P] * labels, [N] * labels]))
    assert sorted(description.kindred_order(pairs).tolist()) == list(range(labels))
