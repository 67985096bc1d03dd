"""Oracles: scikit-learn entry by entry; then what must not change a metric, and what must."""

from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, hamming_loss, roc_auc_score
from sklearn.metrics import precision_recall_fscore_support as sklearn_scores

from ctran.metrics import PRESETS, Definition, auroc, average_precision, group_accuracy, measure, measure_all, per_label, top_k

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


def test_precision_recall_and_accuracies_are_scikit_learns(rng):
    p, t = rng.random((200, 6)), rng.random((200, 6)) < 0.3
    t[:, 0] |= ~t.any(axis=1)  # so that no example is without F1
    table = measure(p, t, everything(p.shape))
    above = p >= 0.5
    best = above & (p >= np.sort(p, axis=1)[:, [-3]])
    found = table.as_dict()
    for prefix, said in (("", above), ("top3_", best)):
        cp, cr, _, _ = sklearn_scores(t, said, average="macro", zero_division=0)
        op, recall, of1, _ = sklearn_scores(t, said, average="micro", zero_division=0)
        expected = np.array([cp, cr, 2 * cp * cr / (cp + cr), op, recall, of1])
        assert [found[prefix + n] for n in ("CP", "CR", "CF1", "OP", "OR", "OF1")] == pytest.approx(100 * expected)
    assert table.subset_accuracy == pytest.approx(100 * accuracy_score(t, above))
    assert table.hamming_accuracy == pytest.approx(100 - 100 * hamming_loss(t, above))
    assert table.example_F1 == pytest.approx(100 * f1_score(t, above, average="samples", zero_division=0))


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


def test_exactly_three_of_tied_labels_are_the_first():
    scores = np.array([[0.7, 0.9, 0.7, 0.7, 0.7], [0.1, 0.2, 0.3, 0.4, 0.5]])
    mask = np.array([[True] * 5, [True, True, False, False, False]])
    assert top_k(scores, mask, exact=True).tolist() == [[True, True, True, False, False], [True, True, False, False, False]]


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


def test_a_perfect_prediction_is_a_hundred_everywhere_but_top_three_recall():
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
    hidden = np.array([[False, True], [True, True]])
    assert [n for _, n in per_label(p, t | ~hidden, hidden)] == [0, 0]


def test_accuracies_over_images_use_the_entries_that_count():
    p = np.array([[0.9, 0.9, 0.9], [0.9, 0.1, 0.1], [0.1, 0.1, 0.9], [0.9, 0.9, 0.9]])
    t = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=bool)
    mask = np.array([[1, 1, 0], [1, 1, 1], [1, 1, 0], [0, 0, 0]], dtype=bool)
    table = measure(p, t, mask)
    # rows: all right; one of two positives found; nothing there and nothing said: no F1; nothing counted: in no figure
    assert table.subset_accuracy == pytest.approx(100 * 2 / 3)
    assert table.hamming_accuracy == pytest.approx(100 * 6 / 7)
    assert table.example_F1 == pytest.approx(100 * (1 + 2 / 3) / 2)


def test_one_pass_gives_the_table_and_the_labels(rng):
    p, t, mask = rng.random((30, 5)), rng.random((30, 5)) < 0.3, rng.random((30, 5)) < 0.6
    table, rows = measure_all(p, t, mask)
    assert table == measure(p, t, mask) and rows == per_label(p, t, mask)
    assert table.mAP == pytest.approx(np.mean([ap for ap, _ in rows]))


def test_labels_that_are_not_evaluated_are_in_no_figure(rng):
    p, t = rng.random((30, 5)), rng.random((30, 5)) < 0.5
    mask = everything(p.shape)
    mask[:, [1, 3]] = False
    table, rows = measure_all(p, t, mask)
    kept = [0, 2, 4]
    assert table == measure(p[:, kept], t[:, kept], everything((30, 3)))
    assert np.isnan(rows[1][0]) and rows[3][1] == 0 and rows[4] == per_label(p[:, kept], t[:, kept], everything((30, 3)))[2]


def test_without_entries_there_is_no_figure():
    table = measure(np.full((2, 3), 0.3), np.ones((2, 3), bool), np.zeros((2, 3), bool)).as_dict()
    assert all(np.isnan(v) or (name.endswith("OP") and v == 0) for name, v in table.items())


def test_accuracy_of_a_group_is_scikit_learns(rng):
    p, group = rng.random((50, 7)), np.array([5, 1, 3])
    truth = rng.integers(3, size=50)
    t = rng.random((50, 7)) < 0.5
    t[:, group] = truth[:, None] == np.arange(3)
    found = group_accuracy(p, t, everything(p.shape), group)
    assert found == pytest.approx(100 * accuracy_score(truth, p[:, group].argmax(axis=1)))


def test_accuracy_of_a_group_counts_images_whose_present_label_is_annotated_and_unknown_to_the_model():
    p = np.array([[0.2, 0.9], [0.8, 0.1], [0.8, 0.1], [0.1, 0.8], [0.1, 0.8]])
    t = np.array([[0, 1], [0, 1], [1, 0], [1, 1], [0, 0]], dtype=bool)
    mask = np.array([[1, 1], [1, 1], [1, 0], [1, 1], [1, 1]], dtype=bool)
    # right, wrong, one label shown or unknown, two answers, none
    assert group_accuracy(p, t, mask, np.array([0, 1])) == pytest.approx(50)
    assert np.isnan(group_accuracy(p[2:], t[2:], mask[2:], np.array([0, 1])))


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="finite"):
        measure(np.array([[np.nan]]), np.array([[True]]), everything((1, 1)))


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match="shapes must agree"):
        unwrap(measure)(np.zeros((2, 3)), np.zeros((2, 3), bool), np.zeros((2, 2), bool))


def test_entries_that_count_but_are_not_known_are_refused():
    with pytest.raises(ValueError, match="lacks 1 of its entries"):
        measure(np.zeros((1, 2)), np.zeros((1, 2), bool), everything((1, 2)), everything=np.array([[True, False]]))


@settings(deadline=None, max_examples=40)
@given(scores_with_ties, booleans, booleans)
def test_a_label_without_positives_or_without_negatives_counts_in_no_mean_ap(scores, positive, mask):
    """All positive is ranked perfectly whatever the scores are."""
    both = [(positive & mask)[:, c].any() and (~positive & mask)[:, c].any() for c in range(SHAPE[1])]
    aps = [average_precision_score(positive[mask[:, c], c], scores[mask[:, c], c]) for c in range(SHAPE[1]) if both[c]]
    assert measure(scores, positive, mask).mAP == pytest.approx(100 * np.mean(aps) if aps else np.nan, nan_ok=True)


def test_definitions_state_whether_a_label_without_negatives_counts():
    p, t = np.array([[0.9, 0.9, 0.2], [0.1, 0.3, 0.3]]), np.array([[1, 0, 0], [1, 1, 0]]) > 0
    base = measure(p, t, everything(p.shape)).mAP  # of the second label alone: its one positive ranks second
    assert base == pytest.approx(50)
    for absent, skipped, counted in (("skip", 50, 75), ("zero", 25, 50)):
        for never_absent, expected in (("skip", skipped), ("count", counted)):
            definition = Definition(absent=absent, never_absent=never_absent)
            assert measure(p, t, everything(p.shape), definition=definition).mAP == pytest.approx(expected)
    assert all(PRESETS[name].never_absent == "count" for name in ("ctran", "mlgcn", "voc"))
