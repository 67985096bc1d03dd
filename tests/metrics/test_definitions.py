"""Published evaluators restated entry by entry as oracles; what changes no metric of any definition; figures by hand."""

from fractions import Fraction
from inspect import unwrap

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ctran.metrics import PRESETS, Definition, measure, per_label

SHAPE = (9, 5)
NAMES = ("CP", "CR", "CF1", "OP", "OR", "OF1")
ALL = np.ones(SHAPE, dtype=bool)
tied_scores = arrays(np.float64, SHAPE, elements=st.integers(1, 63).map(lambda k: k / 64))
few_scores = arrays(np.float64, SHAPE, elements=st.sampled_from([0.25, 0.5, 0.75]))
distinct_scores = st.permutations(range(1, 46)).map(lambda p: np.array(p).reshape(SHAPE) / 46)
booleans = arrays(np.bool_, SHAPE)
definitions = st.builds(
    Definition, ap=..., absent=..., absent_with_known=..., never_predicted=..., cf1=..., topk=..., entries=...
)


def harmonic(a, b):
    return 2 * a * b / (a + b) if a + b else 0.0


def step_ap(scores, truth):
    """Walk down the distinct scores; each gains recall at its precision."""
    ap, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        kept = [y for s, y in zip(scores, truth, strict=True) if s >= threshold]
        ap += (sum(kept) / sum(truth) - recall) * sum(kept) / len(kept)
        recall = sum(kept) / sum(truth)
    return ap


def ranked_precisions(scores, truth):
    """Precision at the rank of each positive, ties in stored order."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits, found = 0, []
    for rank, i in enumerate(order, 1):
        hits += truth[i]
        if truth[i]:
            found.append(hits / rank)
    return found


def ctran_by_hand(p, t, mask):
    """Sec. 2.2 of the specification, loop by loop: mAP over what was not told, the rest over all."""
    images, labels = p.shape
    found = {}
    if mask.all():
        aps = [step_ap(p[:, c], t[:, c]) if t[:, c].any() else 0.0 for c in range(labels)]
    else:
        unknown = [(p[mask[:, c], c], t[mask[:, c], c]) for c in range(labels)]
        aps = [step_ap(s, y) for s, y in unknown if y.any()]
    found["mAP"] = np.mean(aps) if aps else np.nan
    for prefix in ("", "top3_"):
        said = np.zeros(p.shape, dtype=bool)
        for n in range(images):
            third = sorted(p[n])[-3]
            for c in range(labels):
                said[n, c] = p[n, c] >= 0.5 and (not prefix or p[n, c] >= third)
        tp = [sum(said[:, c] & t[:, c]) for c in range(labels)]
        cp = np.mean([tp[c] / said[:, c].sum() if said[:, c].any() else 0.0 for c in range(labels)])
        cr = np.mean([tp[c] / t[:, c].sum() if t[:, c].any() else 0.0 for c in range(labels)])
        op = sum(tp) / said.sum() if said.any() else 0.0
        recall = sum(tp) / t.sum() if t.any() else 0.0
        values = (cp, cr, harmonic(cp, cr), op, recall, harmonic(op, recall))
        found |= {prefix + n: v for n, v in zip(NAMES, values, strict=True)}
    said = p >= 0.5
    found["subset_accuracy"] = np.mean([(said[n] == t[n]).all() for n in range(images)])
    found["hamming_accuracy"] = np.mean(said == t)
    f1 = [2 * (said[n] & t[n]).sum() / (said[n].sum() + t[n].sum()) for n in range(images) if said[n].any() or t[n].any()]
    found["example_F1"] = np.mean(f1) if f1 else np.nan
    return found


def mlgcn_by_hand(p, t, difficult):
    """Sec. 2.3 of the specification, loop by loop; NaN where it would stop at a division by zero."""
    images, labels = p.shape
    easy = [~difficult[:, c] for c in range(labels)]
    precisions = [ranked_precisions(p[easy[c], c], t[easy[c], c]) for c in range(labels)]
    found = {"mAP": np.mean([np.mean(x) if x else np.nan for x in precisions])}
    truth = t & ~difficult
    for prefix in ("", "top3_"):
        correct, predicted, there = [0] * labels, [0] * labels, [0] * labels
        for n in range(images):
            best = sorted(range(labels), key=lambda c: -p[n, c])[: 3 if prefix else labels]
            for c in range(labels):
                said = c in best and p[n, c] >= 0.5
                correct[c] += said and truth[n, c]
                predicted[c] += said
                there[c] += truth[n, c]
        predicted = [x or 1 for x in predicted]
        op = sum(correct) / sum(predicted)
        recall = sum(correct) / sum(there) if sum(there) else np.nan
        cp = np.mean([a / b for a, b in zip(correct, predicted, strict=True)])
        cr = np.mean([a / b if b else np.nan for a, b in zip(correct, there, strict=True)])
        values = (cp, cr, harmonic(cp, cr), op, recall, harmonic(op, recall))
        found |= {prefix + n: v for n, v in zip(NAMES, values, strict=True)}
    return found


def voc_by_hand(scores, truth):
    """The area below the envelope and the mean at eleven recalls, in whole numbers, from the whole curve."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    curve, hits, positives = [], 0, int(sum(truth))
    for rank, i in enumerate(order, 1):
        hits += int(truth[i])
        curve.append((Fraction(hits, positives), Fraction(hits, rank)))
    above = [max(p for r, p in curve if r >= Fraction(k, positives)) for k in range(1, positives + 1)]
    at = [max((p for r, p in curve if r >= Fraction(k, 10)), default=Fraction(0)) for k in range(11)]
    return float(sum(above) / positives), float(sum(at) / 11)


def columns(table, names):
    return {n: v / 100 for n, v in table.as_dict().items() if n in names}


@settings(deadline=None, max_examples=40)
@given(few_scores, booleans, st.one_of(st.just(ALL), booleans))
def test_preset_ctran_is_the_released_code(p, t, mask):
    expected = ctran_by_hand(p, t, mask)
    found = measure(p, t, mask, definition=PRESETS["ctran"], everything=ALL)
    assert columns(found, expected) == pytest.approx(expected, nan_ok=True, rel=1e-12, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(few_scores, st.one_of(booleans, booleans.map(lambda t: t | np.eye(*SHAPE, dtype=bool))), booleans)
def test_preset_mlgcn_is_the_released_code(p, t, difficult):
    difficult = difficult & ~np.eye(*SHAPE, dtype=bool)  # a label that is difficult everywhere is none
    expected = mlgcn_by_hand(p, t, difficult)
    found = measure(p, t, ~difficult, definition=PRESETS["mlgcn"])
    assert columns(found, expected) == pytest.approx(expected, nan_ok=True, rel=1e-12, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(tied_scores, booleans)
def test_voc_areas_are_those_of_the_whole_curve(p, t):
    area, eleven = (per_label(p, t, ALL, definition=Definition(ap=ap)) for ap in ("voc_interp", "voc11"))
    for label in range(SHAPE[1]):
        if t[:, label].any():
            expected = voc_by_hand(p[:, label], t[:, label])
            assert (area[label][0] / 100, eleven[label][0] / 100) == pytest.approx(expected, rel=1e-12)
        else:
            assert np.isnan(area[label][0]) and np.isnan(eleven[label][0])


@settings(deadline=None, max_examples=40)
@given(distinct_scores, booleans)
def test_rank_ap_is_scikit_learns_without_ties_and_interpolated_ap_is_never_lower(p, t):
    step, rank, interpolated = (
        [ap for ap, n in per_label(p, t, ALL, definition=Definition(ap=a)) if n] for a in ("sklearn", "rank", "voc_interp")
    )
    assert rank == pytest.approx(step)
    assert all(high >= low - 1e-9 for high, low in zip(interpolated, step, strict=True))


def with_told(p, t, mask, looked_at):
    """Entries that count, within those that are known."""
    return p, t, mask & looked_at, looked_at


@settings(deadline=None, max_examples=40)
@given(definitions, distinct_scores, booleans, booleans, booleans, st.permutations(range(9)), st.permutations(range(5)))
def test_no_metric_of_any_definition_depends_on_the_order_of_images_or_labels(d, p, t, mask, known, rows, labels):
    one = with_told(p, t, mask, known)
    other = [a[rows][:, labels] for a in one]
    first, second = (measure(*x[:3], everything=x[3], definition=d).as_dict() for x in (one, other))
    assert first == pytest.approx(second, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(definitions, tied_scores, booleans, booleans, booleans)
def test_no_metric_of_any_definition_depends_on_the_scale_of_the_scores(d, p, t, mask, known):
    _, t, mask, known = with_told(p, t, mask, known)
    one = measure(p, t, mask, everything=known, definition=d, threshold=0.5)
    other = measure(p**3, t, mask, everything=known, definition=d, threshold=0.125)  # cubes of k / 64 are exact
    assert one.as_dict() == pytest.approx(other.as_dict(), nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(definitions, tied_scores, booleans, booleans, booleans)
def test_no_metric_changes_when_every_image_is_there_twice(d, p, t, mask, known):
    # twins of one positive have two ranks, and a label that is never predicted adds one however many images there are
    assume(d.ap != "rank" and d.never_predicted != "mlgcn")
    one = with_told(p, t, mask, known)
    first, second = (
        measure(*x[:3], everything=x[3], definition=d).as_dict() for x in (one, [np.repeat(a, 2, axis=0) for a in one])
    )
    assert first == pytest.approx(second, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(definitions, tied_scores, booleans, booleans, booleans)
def test_no_metric_of_any_definition_depends_on_what_is_not_known(d, p, t, mask, known):
    _, t, mask, known = with_told(p, t, mask, known)
    # only "all" looks at the scores there
    flipped, louder = np.where(known, t, ~t), p if d.entries == "all" else np.where(known, p, 1 - p)
    one, other = (measure(*x, mask, everything=known, definition=d).as_dict() for x in ((p, t), (louder, flipped)))
    assert one == pytest.approx(other, nan_ok=True)


HAND_P = np.array([[0.9, 0.6, 0.1, 0.2], [0.8, 0.3, 0.2, 0.7], [0.4, 0.7, 0.3, 0.1]])
HAND_T = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0]], dtype=bool)
# label:     0          1            2                   3
# AP         5/6        5/6          1/3                 absent
# said       2, hit 1   2, hit 1     0 (never), 1 there  1, hit 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {"mAP": 2 / 3, "CP": 1 / 3, "CR": 1 / 3, "CF1": 1 / 3, "OP": 2 / 5, "OR": 2 / 5}),
        ({"absent": "zero"}, {"mAP": 1 / 2, "CP": 1 / 4, "CR": 1 / 4, "OP": 2 / 5, "OR": 2 / 5}),
        ({"absent": "nan"}, {"mAP": np.nan, "CP": 1 / 4, "CR": np.nan, "CF1": np.nan, "OP": 2 / 5}),
        ({"never_predicted": "skip"}, {"CP": 1 / 2, "CR": 1 / 3, "OP": 2 / 5}),
        ({"never_predicted": "mlgcn"}, {"CP": 1 / 3, "OP": 2 / 6, "OR": 2 / 5}),
        ({"cf1": "mean_of_f1"}, {"CP": 1 / 3, "CF1": (2 / 4 + 2 / 4 + 0) / 3}),
        ({"cf1": "mean_of_f1", "absent": "zero"}, {"CF1": (2 / 4 + 2 / 4 + 0 + 0) / 4}),
        ({"topk": "exact_no_threshold"}, {"top3_OP": 4 / 9, "top3_OR": 4 / 5, "top3_CR": (1 + 1 + 0) / 3}),
    ],
)
def test_absent_and_never_predicted_labels_count_as_each_option_states(change, expected):
    found = measure(HAND_P, HAND_T, np.ones(HAND_P.shape, bool), definition=Definition(**change))
    assert columns(found, expected) == pytest.approx(expected, nan_ok=True)


def test_ctran_counts_an_absent_label_only_while_no_label_is_known():
    known = np.ones(HAND_P.shape, bool)
    mask = known.copy()
    mask[0, 3] = False  # telling an entry of label 3 changes no other AP
    regular = measure(HAND_P, HAND_T, known, definition=PRESETS["ctran"], everything=known)
    partial = measure(HAND_P, HAND_T, mask, definition=PRESETS["ctran"], everything=known)
    assert (regular.mAP, partial.mAP) == pytest.approx((50, 100 * 2 / 3))
    assert partial.OP == regular.OP


@pytest.mark.parametrize(("topk", "expected"), [("ctran", 5), ("exact", 3), ("exact_no_threshold", 3)])
def test_of_five_tied_labels_the_top_three_are_all_or_exactly_three(topk, expected):
    p, t = np.full((4, 5), 0.7), np.ones((4, 5), dtype=bool)
    assert measure(p, t, t, definition=Definition(topk=topk)).top3_OR == pytest.approx(100 * expected / 5)
    lower = measure(p, t, t, definition=Definition(topk=topk), threshold=0.8).top3_OR
    assert lower == pytest.approx(60 if topk == "exact_no_threshold" else 0)


@pytest.mark.parametrize(("never_predicted", "expected"), [("zero", 0), ("mlgcn", 0), ("skip", np.nan)])
def test_without_any_prediction_precision_is_zero_or_is_not(never_predicted, expected):
    table = measure(HAND_P, HAND_T, HAND_P > 0, definition=Definition(never_predicted=never_predicted), threshold=1.0)
    assert (table.CP, table.OP) == pytest.approx((expected, expected), nan_ok=True)


def test_ties_are_one_threshold_for_scikit_learn_and_keep_their_order_for_ranks():
    p, mask = np.full((3, 1), 0.5), np.ones((3, 1), bool)
    for place, by_rank in ((0, 100.0), (1, 50.0), (2, 100 / 3)):
        t = np.arange(3)[:, None] == place
        assert measure(p, t, mask).mAP == pytest.approx(100 / 3)
        assert measure(p, t, mask, definition=PRESETS["mlgcn"]).mAP == pytest.approx(by_rank)


def test_a_definition_that_does_not_exist_is_refused():
    make = unwrap(Definition.__init__)  # without the type checker of the tests
    with pytest.raises(
        ValueError, match="ap of a definition of metrics is one of sklearn, rank, voc_interp, voc11, got 'trec'"
    ):
        make(object.__new__(Definition), ap="trec")
