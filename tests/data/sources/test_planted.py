"""The planted world: its exact posterior against other ways to count, its pictures, and that training comes near the answer."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ctran.data import planted_canvas
from ctran.data.planted_world import World, kl
from ctran.data.sources import openclipart, planted
from ctran.data.table import SampleTable
from ctran.images.transforms import Preprocessing
from ctran.labels import LabelState
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.masking import EvalSetting, known_labels, label_mask_training, reveal
from ctran.model import Backbone, CTran, Features

SMALL = planted.Config(train=150, val=30, test=60, canvas=96, drawn_share=0.6, seed=3)
UNKNOWN, NEGATIVE, POSITIVE = (int(s) for s in LabelState)


@pytest.fixture
def tiny(rng) -> World:
    upper = np.triu(rng.normal(size=(4, 4)), 1)
    return World(rng.normal(size=4), upper + upper.T, np.array([0.3, 0.8, 0.5, 0.0]))


@pytest.fixture(scope="module")
def tables() -> dict[str, SampleTable]:
    return planted.build(SMALL)


def by_hand(world: World, drawn: np.ndarray, states: np.ndarray) -> np.ndarray:
    """P(y = 1 | drawn, known) of one picture in plain loops, straight from the definition."""
    n = len(world.field)
    total, ones = 0.0, np.zeros(n)
    for y in itertools.product((0, 1), repeat=n):
        if any(s != UNKNOWN and (s == POSITIVE) != bool(v) for s, v in zip(states, y, strict=True)):
            continue
        energy = sum(world.field[i] * (2 * y[i] - 1) for i in range(n))
        energy += sum(world.coupling[i, j] * (2 * y[i] - 1) * (2 * y[j] - 1) for i in range(n) for j in range(i + 1, n))
        weight = np.exp(energy)
        for i in range(n):
            chance = world.drawn_share[i] * y[i]
            weight *= chance if drawn[i] else 1 - chance
        total += weight
        ones += weight * np.array(y)
    return ones / total


def test_the_exact_posterior_is_that_of_plain_loops(tiny, rng):
    y = tiny.sample(rng.random(40))
    drawn = y & (rng.random(y.shape) < tiny.drawn_share)
    states = np.where(rng.random(y.shape) < 0.4, y + 1, UNKNOWN)
    expected = np.stack([by_hand(tiny, d, k) for d, k in zip(drawn, states, strict=True)])
    assert np.allclose(tiny.posterior(drawn, states), expected, atol=1e-12)


def test_the_exact_posterior_is_the_frequency_among_many_draws(tiny, rng):
    y = tiny.sample(rng.random(500_000))
    drawn = y & (rng.random(y.shape) < tiny.drawn_share)
    like = ~drawn[:, 0] & drawn[:, 1] & ~drawn[:, 2] & ~y[:, 3]  # label 1 drawn, label 3 known to be absent
    assert like.sum() > 2000
    exact = tiny.posterior(np.array([[False, True, False, False]]), np.array([[UNKNOWN, UNKNOWN, UNKNOWN, NEGATIVE]]))[0]
    noise = np.sqrt(exact * (1 - exact) / like.sum())
    assert (np.abs(y[like].mean(0) - exact) <= 4 * noise + 1e-12).all()


def test_samples_have_the_prevalence_of_the_world(tiny, rng):
    n = 100_000
    p = tiny.prevalence
    assert (np.abs(tiny.sample(rng.random(n)).mean(0) - p) < 4 * np.sqrt(p * (1 - p) / n)).all()


def test_what_is_drawn_is_certain_and_what_is_known_stays(tiny):
    drawn = np.array([[True, False, False, False]])
    states = np.array([[UNKNOWN, NEGATIVE, POSITIVE, UNKNOWN]])
    p = tiny.posterior(drawn, states)[0]
    assert np.allclose(p[:3], [1, 0, 1], atol=1e-12)
    assert 0 < p[3] < 1


def test_where_everything_is_known_the_picture_does_not_matter(tiny):
    states = np.array([[NEGATIVE, POSITIVE, POSITIVE, NEGATIVE]] * 2)
    drawn = np.array([[False] * 4, [False, True, True, False]])
    assert tiny.posterior(drawn, states).tolist() == [[0, 1, 1, 0]] * 2


def test_known_labels_explain_nothing_about_labels_without_coupling():
    q = 0.4
    world = World(np.array([0.0, 0.7]), np.zeros((2, 2)), np.array([q, q]))
    states = np.array([[UNKNOWN, UNKNOWN], [UNKNOWN, NEGATIVE], [UNKNOWN, POSITIVE]])
    p = world.posterior(np.zeros((3, 2), dtype=bool), states)[:, 0]
    assert np.allclose(p, (1 - q) / (1 - q + 1))  # Bayes: prior one half, "not drawn" has chance 1 - q


def test_impossible_evidence_is_refused(tiny):
    with pytest.raises(ValueError, match="drawn that is known to be absent or is never drawn"):
        tiny.posterior(np.array([[True, False, False, False]]), np.array([[NEGATIVE, UNKNOWN, UNKNOWN, UNKNOWN]]))
    with pytest.raises(ValueError, match="is never drawn"):
        tiny.posterior(np.array([[False, False, False, True]]), np.zeros((1, 4), dtype=int))


def test_worlds_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="at most 16 labels, got 17"):
        World(np.zeros(17), np.zeros((17, 17)), np.zeros(17))
    with pytest.raises(ValueError, match="symmetric coupling"):
        World(np.zeros(2), np.array([[0.0, 1.0], [0.0, 0.0]]), np.zeros(2))
    with pytest.raises(ValueError, match=r"data.objects must lie between 2 and 11, got 12"):
        planted.Config(objects=12)


def test_divergence_is_zero_at_the_posterior_and_positive_elsewhere():
    p = np.array([0.0, 0.2, 1.0])
    assert np.allclose(kl(p, p), 0, atol=1e-8)
    assert np.isclose(kl(np.array([1.0]), np.array([0.5])), np.log(2))
    assert (kl(p, np.full(3, 0.6)) > 0).all()


def test_drawn_objects_never_overlap_and_lie_on_the_canvas(tables):
    for table in tables.values():
        for boxes in table.rows["boxes"]:
            for left, top, right, bottom in boxes:
                assert 0 <= left < right <= SMALL.canvas and 0 <= top < bottom <= SMALL.canvas
            for (l1, t1, r1, b1), (l2, t2, r2, b2) in itertools.combinations(boxes, 2):
                assert r1 <= l2 or r2 <= l1 or b1 <= t2 or b2 <= t1


def test_nothing_is_painted_outside_the_boxes(tables):
    table = tables["test"]
    for row in range(10):
        pixels = np.asarray(table.picture(row)).copy()
        for left, top, right, bottom in table.rows[row]["boxes"]:
            pixels[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8] = 255  # JPEG blocks reach 7 pixels further
        assert (pixels == 255).all()


def test_only_present_objects_are_drawn_and_never_the_scene(tables):
    for table in tables.values():
        drawn, present = planted_canvas.drawn(table), (table.truth.dense() == POSITIVE).numpy()
        assert drawn.any() and not (drawn & ~present).any()
        assert not drawn[:, table.labels.index(planted.SCENE)].any()
        assert table.labels.extra == (planted.SCENE,)
        assert [len(c) for c in table.rows["clipart"]] == drawn.sum(1).tolist()


def test_clip_art_of_the_splits_is_disjoint_and_shows_its_label(tables):
    used = {}
    for split, clipart in openclipart.build(openclipart.Config()).items():
        at = {name: row for row, name in enumerate(clipart.ids)}
        used[split] = set()
        for objects, names in zip(tables[split].rows["drawn"], tables[split].rows["clipart"], strict=True):
            for label, name in zip(objects, names, strict=True):
                column = clipart.labels.index(tables[split].labels.names[label])
                assert clipart.truth.dense()[at[name], column] == POSITIVE
            used[split] |= set(names)
    assert not used["train"] & used["test"] and not used["train"] & used["val"] and not used["val"] & used["test"]


def test_present_objects_are_drawn_with_probability_q(tables):
    present = (tables["train"].truth.dense()[:, :-1] == POSITIVE).numpy()
    count = present.sum()
    share = planted_canvas.drawn(tables["train"]).sum() / count
    assert abs(share - 0.6) < 4 * np.sqrt(0.6 * 0.4 / count)


def test_same_seed_same_pictures_and_another_seed_others(tables):
    again, other = planted.build(SMALL), planted.build(replace(SMALL, seed=4))
    for split, table in tables.items():
        assert again[split].fingerprint == table.fingerprint
        assert other[split].fingerprint != table.fingerprint
        assert torch.equal(again[split].truth.dense(), table.truth.dense())


def test_a_larger_split_starts_with_the_rows_of_a_smaller_one(tables):
    fewer = planted.build(replace(SMALL, train=20))["train"]
    assert fewer.fingerprint == tables["train"].select(range(20)).fingerprint


def test_eleven_large_drawings_still_find_room(rng):
    boxes = planted_canvas.place([(40, 40)] * 11, 96, rng)
    painted = np.zeros((96, 96), dtype=int)
    for left, top, right, bottom in boxes:
        painted[top:bottom, left:right] += 1
    assert len(boxes) == 11 and painted.max() == 1


def test_clip_art_without_an_object_is_refused():
    clipart = openclipart.build(openclipart.Config())["test"]
    cards = [i for i, name in enumerate(clipart.ids) if "games/cards" in name]
    with pytest.raises(ValueError, match=r"no 'flag' in folder .*; is root the whole library"):
        planted_canvas.read_drawings(clipart.select(cards), ("card", "flag"))


# ------------------------------------------------------------------------------------------------- a small trained version

LEARNT = planted.Config(train=1500, val=1, test=200, objects=4, canvas=64, drawn_share=0.25, coupling=0.9, drawing=(0.4, 0.5))


def train(model: CTran, look: Callable[[Tensor], Features], truth: Tensor, *, epochs: int) -> None:
    """Label mask training, 60 pictures a step, learning rate down to 0. ``look``: features of the pictures of these rows."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * len(truth) // 60, pct_start=0.1)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(truth), generator=generator).split(60):
            states = label_mask_training(truth[rows], all_unknown=0.2, generator=generator)
            loss = LabelLoss(BCE())(model.predict_labels(look(rows), states), truth[rows], states)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


@pytest.mark.slow
def test_a_trained_model_uses_known_labels():
    tables, world = planted.build(LEARNT), planted.world(LEARNT)
    see = Preprocessing(LEARNT.canvas, "pad", (0.5,) * 3, (0.5,) * 3)
    images = {s: torch.stack([see(t.picture(i)) for i in range(len(t))]) for s, t in tables.items()}
    model = CTran(Backbone("test_resnet"), num_labels=5, token_dim=32, num_layers=2, num_heads=4, dropout=0.0)
    train(model, lambda rows: model.encode_images(images["train"][rows]), tables["train"].truth.dense().long(), epochs=12)

    test, drawn = tables["test"], planted_canvas.drawn(tables["test"])
    truth = test.truth.dense().long()
    states = reveal(truth, known_labels(EvalSetting(0.5), truth, test.ids, test.labels))
    with torch.no_grad():
        answer = model(images["test"], states).sigmoid().double().numpy()
    asked = (states == UNKNOWN).numpy() & test.labels.targets.numpy()
    exact = world.posterior(drawn, states.numpy())
    ignoring = world.posterior(drawn, np.zeros_like(states.numpy()))
    assert kl(exact, answer)[asked].mean() < 0.5 * kl(exact, ignoring)[asked].mean()


@pytest.mark.slow
def test_a_model_without_image_knows_the_training_prevalence():
    truth = planted.build(replace(LEARNT, train=2400, test=1))["train"].truth.dense().long()
    model = CTran(Backbone("test_resnet"), num_labels=5, token_dim=32, num_layers=2, num_heads=4, dropout=0.0, use_image=False)
    unseen = Features(torch.zeros(1, 1, model.backbone.channels), (1, 1))
    train(model, lambda rows: unseen, truth, epochs=10)
    with torch.no_grad():
        answer = model.predict_labels(unseen, torch.zeros(1, 5, dtype=torch.long)).sigmoid()[0]
    prevalence = (truth == POSITIVE).float().mean(0)
    assert (answer - prevalence).abs().max() < 0.02
