"""The bootstrap against measuring the resampled images themselves, and against what statistics knows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom

from ctran.metrics import PRESETS, Definition, Resampling, bootstrap, measure
from ctran.metrics.bootstrap import draw

SHAPE = (8, 4)
ALL = np.ones(SHAPE, dtype=bool)
scores = arrays(np.float64, SHAPE, elements=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
booleans = arrays(np.bool_, SHAPE)
weights = arrays(np.int32, (2, SHAPE[0]), elements=st.integers(0, 3))
definitions = st.one_of(st.sampled_from([*PRESETS.values(), Definition(ap="voc11")]), st.builds(Definition, ap=..., absent=...))


@settings(deadline=None, max_examples=80)
@given(definitions, scores, booleans, st.one_of(st.just(ALL), booleans), weights)
def test_a_resample_is_measured_as_if_its_images_were_stored(definition, p, t, mask, chosen):
    chosen[:, 0] += 1  # some image is there
    resampled = Resampling(p, t, mask, definition=definition, everything=ALL).figures(chosen)
    told = not mask.all()
    for number, counts in enumerate(chosen):
        rows = np.repeat(np.arange(len(p)), counts)
        if told and mask[rows].all():
            continue  # alone, these images would be taken for a set of which nothing was told
        expected = measure(p[rows], t[rows], mask[rows], definition=definition, everything=ALL[rows]).as_dict()
        found = {name: values[number] for name, values in resampled.items()}
        assert found == pytest.approx(expected, nan_ok=True, rel=1e-12, abs=1e-12)


def coin(rng, images, chance):
    """One label, positive everywhere, found with a chance."""
    p = np.where(rng.random((images, 1)) < chance, 0.9, 0.1)
    return p, np.ones_like(p, dtype=bool), np.ones_like(p, dtype=bool)


def test_interval_of_a_share_is_the_binomials():
    p = np.where(np.arange(100) < 70, 0.9, 0.1)[:, None]
    yes = np.ones_like(p, dtype=bool)
    found = bootstrap(p, yes, yes, replicates=2000)
    expected = binom.ppf([0.025, 0.975], 100, 0.7)
    for name in ("OR", "CR", "top3_OR", "hamming_accuracy", "subset_accuracy"):
        assert found[name] == pytest.approx(expected, abs=1.01)


def test_intervals_hold_the_truth_about_as_often_as_their_level(rng):
    held = []
    for seed in range(60):
        low, high = bootstrap(*coin(rng, 400, 0.6), replicates=200, seed=seed)["OR"]
        held.append(low <= 60 <= high)
    assert 0.86 <= np.mean(held) <= 1  # 95 % of 60, less 3 standard deviations


def test_intervals_hold_the_figure_narrow_with_more_images_and_repeat_with_the_seed(rng):
    t = rng.random((400, 3)) < 0.3
    p = np.clip(0.4 * t + 0.6 * rng.random(t.shape), 0, 1)
    mask = rng.random(t.shape) < 0.7
    many, table = bootstrap(p, t, mask, replicates=60, seed=1), measure(p, t, mask).as_dict()
    few = bootstrap(p[:50], t[:50], mask[:50], replicates=60, seed=1)
    assert list(many) == list(table)
    assert all(low <= table[name] <= high for name, (low, high) in many.items())
    assert all(np.ptp(many[name]) < np.ptp(few[name]) for name in ("mAP", "CF1", "OF1", "top3_OF1", "macro_AUROC"))
    assert many == bootstrap(p, t, mask, replicates=60, seed=1) != bootstrap(p, t, mask, replicates=60, seed=2)


def test_a_perfect_prediction_has_no_spread_and_a_column_that_does_not_exist_no_interval():
    t = np.ones((6, 2), dtype=bool)
    found = bootstrap(np.where(t, 0.9, 0.1), t, t, replicates=30)
    assert np.isnan(found.pop("macro_AUROC")).all() and np.isnan(found.pop("mAP")).all()  # nothing is negative
    assert set(found.values()) == {(100.0, 100.0)}


def test_replicates_without_a_column_are_left_out_of_its_interval():
    p, t = np.array([[0.9], [0.8], [0.3]]), np.array([[True], [False], [False]])
    figures = bootstrap(p, t, np.ones_like(t), replicates=200)
    assert figures["mAP"] == (100, 100)  # a third of the resamples lack the one positive
    assert figures["CR"] == (100, 100)


def test_progress_counts_every_replicate_once():
    done = []
    bootstrap(np.full((3, 1), 0.4), np.eye(3, 1, dtype=bool), np.ones((3, 1), bool), replicates=60, step=done.append)
    assert sum(done) == 60 and len(done) > 1


@pytest.mark.parametrize(("images", "replicates"), [(0, 10), (3, 0)])
def test_nothing_to_resample_is_refused(images, replicates):
    empty = np.zeros((images, 1), bool)
    with pytest.raises(ValueError, match=f"got {images} images and {replicates} replicates"):
        bootstrap(empty.astype(float), empty, empty, replicates=replicates)


def test_ends_are_the_resamples_quantiles_mirrored_at_the_figure(rng):
    p, t = rng.random((40, 3)), rng.random((40, 3)) < 0.3
    everything = np.ones_like(t)
    weights = draw(40, 80, np.random.default_rng(5))
    resampled = Resampling(p, t, everything).figures(weights)["mAP"]
    figure = measure(p, t, everything).mAP
    expected = [2 * figure - q for q in np.percentile(resampled, [97.5, 2.5])]
    assert bootstrap(p, t, everything, replicates=80, seed=5)["mAP"] == pytest.approx(expected)


def test_intervals_hold_a_low_map_where_the_quantiles_of_the_resamples_do_not(rng):
    """Scores that say nothing: with many images AP is the share of positives, with few it is higher, resampled higher still."""
    held, bare = [], []
    for seed in range(60):
        p, t = rng.random((200, 5)), rng.random((200, 5)) < 0.05
        everything = np.ones_like(t)
        low, high = bootstrap(p, t, everything, replicates=100, seed=seed)["mAP"]
        figure = measure(p, t, everything).mAP
        held.append(low <= 5 <= high)
        bare.append(2 * figure - high <= 5 <= 2 * figure - low)
    assert np.mean(held) > 0.85 and np.mean(bare) < 0.5
