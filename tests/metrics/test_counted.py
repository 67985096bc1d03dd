"""Blocks of images, in memory or in files, have the figures of all images at once, in bounded memory."""

import tempfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctran.errors import UserError
from ctran.metrics import PRESETS, Columns, Store, count, measure_all


def drawn(seed, images=157, labels=9):
    """Probabilities with ties, truth with holes, and labels without positives, without negatives or without any entry."""
    generator = np.random.default_rng(seed)
    p = generator.random((images, labels)).round(generator.integers(1, 4))
    positive = generator.random((images, labels)) < 0.3
    positive[:, 0], positive[:, 1] = False, True
    everything = generator.random((images, labels)) < 0.8
    everything[:, 2] = False
    mask = everything & (generator.random((images, labels)) < generator.choice([0.5, 1.0]))
    return p, positive, mask, everything


def in_blocks(p, positive, mask, everything, preset, sizes, limit):
    """Table and rows, from blocks of these sizes."""
    definition, labels = PRESETS[preset], everything.any(axis=0)
    columns, counts, start = Columns(*p.shape, Store(limit)), [], 0
    for size in [*sizes, len(p)]:
        rows = slice(start, start + size)
        if len(p[rows]):
            part = [each[rows] for each in (p, positive, mask)]
            counts.append(count(*part, labels, definition=definition, everything=everything[rows]))
            columns.add(part[0], part[1], (part[2], everything[rows]))
        start = rows.stop
    ranked = columns.rank(0, definition)
    return sum(counts[1:], start=counts[0]).table(ranked, definition), ranked


@pytest.mark.parametrize("preset", PRESETS)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 60), max_size=8), limit=st.sampled_from([0, 2**30]))
@settings(max_examples=20, deadline=None)
def test_blocks_have_the_figures_of_the_whole(preset, seed, sizes, limit):
    p, positive, mask, everything = drawn(seed)
    whole, rows = measure_all(p, positive, mask, definition=PRESETS[preset], everything=everything)
    table, ranked = in_blocks(p, positive, mask, everything, preset, sizes, limit)
    assert table.as_dict() == pytest.approx(whole.as_dict(), rel=1e-12, nan_ok=True)
    aps = np.where(np.isinf(ranked.aps), 1.0, ranked.aps)
    aps[2] = np.nan
    assert 100 * aps == pytest.approx([ap for ap, _ in rows], rel=1e-12, nan_ok=True)
    assert (ranked.positive == (positive & mask).sum(axis=0)).all() and (ranked.counted == mask.sum(axis=0)).all()


def test_memory_does_not_grow_with_the_images():
    peaks = []
    for images in (2_000, 8_000):
        generator, labels = np.random.default_rng(0), np.ones(250, dtype=bool)
        tracemalloc.start()
        columns = Columns(images, 250, Store(0))
        for _ in range(images // 500):
            p = generator.random((500, 250))
            positive, mask = p > 0.9, p > 0.01
            columns.add(p, positive, (mask,))
            count(p, positive, mask, labels)
        assert columns.rank(0, PRESETS["default"]).aps.min() == 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    scores = 8 * 8_000 * 250
    assert peaks[1] < 1.2 * peaks[0] and peaks[1] < scores, f"{peaks} bytes, the scores alone are {scores}"


def test_a_disk_without_room_is_named_before_anything_is_computed():
    with pytest.raises(UserError) as refused:
        Store(0).empty((2**55,), np.uint8)
    assert tempfile.gettempdir() in str(refused.value) and "TMPDIR" in str(refused.value)
