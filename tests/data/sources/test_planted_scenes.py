"""The second planted world: its enumeration against plain loops, limits of its posterior, and what is drawn large and small."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from ctran.data.planted_canvas import drawn
from ctran.data.planted_world import World, kl
from ctran.data.scene_world import SceneWorld
from ctran.data.sources import planted_scenes
from ctran.data.table import SampleTable
from ctran.labels import LabelState

SMALL = planted_scenes.Config(train=60, val=10, test=20, canvas=96, drawn_share=0.6, seed=3)
UNKNOWN, NEGATIVE, POSITIVE = (int(s) for s in LabelState)


@pytest.fixture
def tiny(rng) -> SceneWorld:
    """Two scene types, four labels, two triples that share a label."""
    upper = np.triu(rng.normal(size=(2, 4, 4)), 1)
    triples = {(0, 1, 2): 1.1, (3, 0, 2): -0.7}
    share = np.array([0.3, 0.7])
    return SceneWorld(share, rng.normal(size=(2, 4)), upper + upper.swapaxes(1, 2), triples, np.array([0.3, 0.8, 0.5, 0.0]))


@pytest.fixture(scope="module")
def tables() -> dict[str, SampleTable]:
    return planted_scenes.build(SMALL)


def joint_by_hand(world: SceneWorld) -> dict[tuple[int, tuple[int, ...]], float]:
    """P(scene, labels) in plain loops, straight from the definition."""
    n, found = len(world.drawn_share), {}
    for t, share in enumerate(world.scene_share):
        weights = {}
        for y in itertools.product((0, 1), repeat=n):
            s = [2 * v - 1 for v in y]
            energy = sum(world.field[t, i] * s[i] for i in range(n))
            energy += sum(world.coupling[t, i, j] * s[i] * s[j] for i in range(n) for j in range(i + 1, n))
            energy += sum(k * s[a] * s[b] * s[c] for (a, b, c), k in world.triples.items())
            weights[y] = np.exp(energy)
        total = sum(weights.values())
        found |= {(t, y): share * weight / total for y, weight in weights.items()}
    return found


def by_hand(world: SceneWorld, shown: np.ndarray, states: np.ndarray) -> np.ndarray:
    """P(y = 1 | drawn, known) of one picture, over all scene types and label sets."""
    total, ones = 0.0, np.zeros(len(shown))
    for (_, y), weight in joint_by_hand(world).items():
        if any(s != UNKNOWN and (s == POSITIVE) != bool(v) for s, v in zip(states, y, strict=True)):
            continue
        for i, q in enumerate(world.drawn_share):
            weight *= q * y[i] if shown[i] else 1 - q * y[i]
        total += weight
        ones += weight * np.array(y)
    return ones / total


def test_the_joint_distribution_is_that_of_plain_loops(tiny):
    expected = joint_by_hand(tiny)
    states = [tuple(int(v) for v in y) for y in tiny.all_states]
    assert np.allclose(tiny.joint, [[expected[t, y] for y in states] for t in range(2)], atol=1e-14)
    assert np.isclose(tiny.joint.sum(), 1) and np.allclose(tiny.joint.sum(1), tiny.scene_share)


def test_the_exact_posterior_is_that_of_plain_loops(tiny, rng):
    y = tiny.sample(rng.random(40))
    shown = y & (rng.random(y.shape) < tiny.drawn_share)
    states = np.where(rng.random(y.shape) < 0.4, y + 1, UNKNOWN)
    expected = np.stack([by_hand(tiny, d, k) for d, k in zip(shown, states, strict=True)])
    assert np.allclose(tiny.posterior(shown, states), expected, atol=1e-12)


def test_marginals_are_those_of_the_mixture_and_of_samples(tiny, rng):
    by_scene = [World(h, j, tiny.drawn_share) for h, j in zip(tiny.field, tiny.coupling, strict=True)]
    pairs = replace(tiny, triples={})
    assert np.allclose(pairs.prevalence, tiny.scene_share @ np.stack([w.prevalence for w in by_scene]))
    n, p = 100_000, tiny.prevalence
    assert (np.abs(tiny.sample(rng.random(n)).mean(0) - p) < 4 * np.sqrt(p * (1 - p) / n)).all()


def test_with_nothing_drawable_and_nothing_known_the_posterior_is_the_prevalence(tiny):
    hidden = replace(tiny, drawn_share=np.zeros(4))
    assert np.allclose(hidden.posterior(np.zeros((1, 4), dtype=bool), np.zeros((1, 4), dtype=int))[0], tiny.prevalence)


def test_where_everything_is_known_the_posterior_is_certain(tiny):
    states = np.array([[NEGATIVE, POSITIVE, POSITIVE, NEGATIVE]])
    assert tiny.posterior(np.zeros((1, 4), dtype=bool), states).tolist() == [[0, 1, 1, 0]]


def test_a_triple_alone_shows_in_no_pair_and_decides_once_two_labels_are_known():
    k = 0.9
    world = SceneWorld(np.ones(1), np.zeros((1, 3)), np.zeros((1, 3, 3)), {(0, 1, 2): k}, np.zeros(3))
    states = np.array([[UNKNOWN, UNKNOWN, POSITIVE], [UNKNOWN, POSITIVE, POSITIVE], [UNKNOWN, NEGATIVE, POSITIVE]])
    p = world.posterior(np.zeros((3, 3), dtype=bool), states)[:, 0]
    assert np.allclose(p, [0.5, 1 / (1 + np.exp(-2 * k)), 1 / (1 + np.exp(2 * k))])


def test_a_scene_type_that_turns_couplings_shows_in_pairs_of_pairs_alone():
    """Labels 0 and 1 attract exactly where 2 and 3 do; no pair of labels depends on each other."""
    j = np.zeros((4, 4))
    j[0, 1] = j[1, 0] = j[2, 3] = j[3, 2] = 1.0
    world = SceneWorld(np.full(2, 0.5), np.zeros((2, 4)), np.stack([j, -j]), {}, np.zeros(4))
    states = np.array([[UNKNOWN, POSITIVE, UNKNOWN, UNKNOWN], [UNKNOWN, POSITIVE, POSITIVE, POSITIVE]])
    p = world.posterior(np.zeros((2, 4), dtype=bool), states)[:, 0]
    assert np.isclose(p[0], 0.5) and p[1] > 0.75


def test_scene_worlds_that_cannot_be_are_refused(tiny):
    with pytest.raises(ValueError, match="shares of scene types that sum to 1"):
        replace(tiny, scene_share=np.array([0.5, 0.6]))
    with pytest.raises(ValueError, match="three different labels, numbers 0 to 3"):
        replace(tiny, triples={(0, 1, 4): 1.0})
    with pytest.raises(ValueError, match="three different labels"):
        replace(tiny, triples={(0, 1, 1): 1.0})
    with pytest.raises(ValueError, match="symmetric coupling"):
        replace(tiny, coupling=np.triu(np.ones((2, 4, 4))))
    with pytest.raises(ValueError, match=r"data.small must be two shares, the least and the greatest, got \(0.4, 0.3\)"):
        planted_scenes.Config(small=(0.4, 0.3))


def test_a_larger_split_starts_with_the_rows_of_a_smaller_one(tables):
    fewer = planted_scenes.build(replace(SMALL, train=10, val=1, test=1))["train"]
    assert fewer.fingerprint == tables["train"].select(range(10)).fingerprint
    assert fewer.truth.dense().tolist() == tables["train"].truth.dense()[:10].tolist()


def test_only_present_objects_are_drawn_and_the_scene_type_is_no_label(tables):
    for table in tables.values():
        shown, present = drawn(table), (table.truth.dense() == POSITIVE).numpy()
        assert shown.any() and not (shown & ~present).any()
        assert table.labels.names == planted_scenes.OBJECTS and not table.labels.extra


def test_large_and_small_drawings_have_their_sizes(tables):
    table = tables["train"]
    for objects, boxes in zip(table.rows["drawn"], table.rows["boxes"], strict=True):
        if len(objects) > 2:  # they may have had to shrink
            continue
        for label, (left, top, right, low) in zip(objects, boxes, strict=True):
            large = table.labels.names[label] in planted_scenes.LARGE
            least, most = SMALL.large if large else SMALL.small
            assert least * SMALL.canvas - 2 < max(right - left, low - top) <= most * SMALL.canvas


def test_pairs_are_far_from_the_posterior_of_the_default_world(rng):
    """What the world is for: two labels of a triple known, the best guess from each alone is far from the posterior."""
    world = planted_scenes.world(planted_scenes.Config())
    states = np.zeros((4, 9), dtype=int)
    states[:, 1:3] = list(itertools.product((NEGATIVE, POSITIVE), repeat=2))
    p = world.posterior(np.zeros((4, 9), dtype=bool), states)[:, 0]
    log_odds = np.log(p / (1 - p))
    interaction = log_odds[0] + log_odds[3] - log_odds[1] - log_odds[2]  # 0 in any model of pairs
    assert interaction > 4
    assert kl(p, np.full(4, p.mean())).mean() > 0.05
