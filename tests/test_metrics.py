"""Oracles: scikit-learn entry by entry; then what must not change a metric, and what must."""

from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from ctran.metrics import auroc, average_precision, measure, per_label, top_k

SHAPE = (12, 4)
scores_with_ties = arrays(np.float64, SHAPE, elements=st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9]))
booleans = arrays(np.bool_, SHAPE)


def everything(shape):
    return np.ones(shape, dtype=bool)


@settings(deadline=None, max_examples=60)
@given(scores_with_ties, booleans, booleans)
def test_ap_and_auroc_are_scikit_learns_on_the_entries_that_count(scores, positive, mask):
    ours, area = average_precision(scores, positive, mask), auroc(scores, positive, mask)
    for label in range(SHAPE[1]):
        m = mask[:, label]
        s, t = scores[m, label], positive[m, label]
        if t.any():
            assert ours[label] == pytest.approx(average_precision_score(t, s))
        else:
            assert np.isnan(ours[label])
        if t.any() and not t.all():
            assert area[label] == pytest.approx(roc_auc_score(t, s))
        else:
            assert np.isnan(area[label])


def test_precision_and_recall_are_scikit_learns(rng):
    p, t = rng.random((200, 6)), rng.random((200, 6)) < 0.3
    table = measure(p, t, everything(p.shape))
    said = p >= 0.5
    cp, cr, _, _ = precision_recall_fscore_support(t, said, average="macro", zero_division=0)
    op, recall, of1, _ = precision_recall_fscore_support(t, said, average="micro", zero_division=0)
    assert [table.CP, table.CR] == pytest.approx([100 * cp, 100 * cr])
    assert table.CF1 == pytest.approx(200 * cp * cr / (cp + cr))
    assert [table.OP, table.OR, table.OF1] == pytest.approx([100 * op, 100 * recall, 100 * of1])


def test_hand_made_table():
    p = np.array([[0.9, 0.6, 0.1, 0.7], [0.2, 0.8, 0.4, 0.5], [0.6, 0.1, 0.3, 0.9]])
    t = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1]], dtype=bool)
    table = measure(p, t, everything(p.shape))
    # labels: precision 2/2, 1/2, never predicted -> 0, 2/3; recall 1, 1, 0, 1
    assert table.CP == pytest.approx(100 * (1 + 1 / 2 + 0 + 2 / 3) / 4)
    assert table.CR == pytest.approx(75)
    assert (table.OP, table.OR) == pytest.approx((100 * 5 / 7, 100 * 5 / 6))
    # AP of label 2: positive in picture 1, which scores highest
    assert table.mAP == pytest.approx(100)


def test_top_three_asks_for_the_threshold_too():
    p = np.array([[0.9, 0.8, 0.7, 0.6], [0.9, 0.4, 0.3, 0.2]])
    t = np.ones_like(p, dtype=bool)
    table = measure(p, t, everything(p.shape))
    assert table.top3_OR == pytest.approx(100 * 4 / 8)
    assert table.OR == pytest.approx(100 * 5 / 8)


def test_ties_at_the_third_place_all_stay():
    kept = top_k(np.array([[0.9, 0.8, 0.7, 0.7, 0.1]]), everything((1, 5)))
    assert kept.tolist() == [[True, True, True, True, False]]


def test_top_three_are_among_the_entries_that_count():
    mask = np.array([[False, True, True, True, True]])
    assert top_k(np.array([[0.9, 0.8, 0.7, 0.6, 0.1]]), mask).tolist() == [[False, True, True, True, False]]


@settings(deadline=None, max_examples=40)
@given(scores_with_ties, booleans, booleans, st.randoms(use_true_random=False))
def test_no_metric_depends_on_the_order_of_pictures_or_labels(scores, positive, mask, chance):
    rows, columns = list(range(SHAPE[0])), list(range(SHAPE[1]))
    chance.shuffle(rows)
    chance.shuffle(columns)
    moved = [a[rows][:, columns] for a in (scores, positive, mask)]
    one, other = measure(scores, positive, mask).as_dict(), measure(*moved).as_dict()
    assert one == pytest.approx(other, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(scores_with_ties, booleans, booleans)
def test_no_metric_depends_on_entries_that_do_not_count(scores, positive, mask):
    flipped = np.where(mask, positive, ~positive)
    louder = np.where(mask, scores, 1 - scores)
    one, other = measure(scores, positive, mask).as_dict(), measure(louder, flipped, mask).as_dict()
    assert one == pytest.approx(other, nan_ok=True)


def test_ranking_metrics_ignore_a_monotone_change_and_thresholded_ones_do_not(rng):
    p, t = rng.random((50, 3)), rng.random((50, 3)) < 0.4
    one, other = measure(p, t, everything(p.shape)), measure(p**3, t, everything(p.shape))
    assert (one.mAP, one.macro_AUROC) == pytest.approx((other.mAP, other.macro_AUROC))
    assert one.OR > other.OR


def test_a_perfect_answer_is_a_hundred_everywhere_but_top_three_recall():
    t = np.array([[1, 1, 1, 1, 0], [0, 0, 1, 0, 1], [1, 0, 0, 1, 0], [0, 1, 0, 0, 1]], dtype=bool)
    table = measure(np.where(t, 0.9, 0.1), t, everything(t.shape)).as_dict()
    assert all(v == pytest.approx(100) for v in table.values())


def test_label_without_positive_is_left_out_and_reported():
    p = np.array([[0.9, 0.2], [0.1, 0.6]])
    t = np.array([[1, 0], [0, 0]], dtype=bool)
    assert measure(p, t, everything(p.shape)).mAP == pytest.approx(100)
    rows = per_label(p, t, everything(p.shape))
    assert rows[0] == (pytest.approx(100), 1)
    assert np.isnan(rows[1][0]) and rows[1][1] == 0


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="finite"):
        measure(np.array([[np.nan]]), np.array([[True]]), everything((1, 1)))


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match="shapes must agree"):
        unwrap(measure)(np.zeros((2, 3)), np.zeros((2, 3), bool), np.zeros((2, 2), bool))
