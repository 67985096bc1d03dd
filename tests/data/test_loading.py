import pytest
import torch

from ctran.data.feature_cache import FeatureCache
from ctran.data.loading import EpochOrder, FeatureSet, PictureSet, loader
from ctran.data.sources import imagefolder
from ctran.images.transforms import Preprocessing, augmentation
from tests.data.test_feature_cache import ARRAYS, made_of
from tests.data.truths import sparse


@pytest.fixture
def table(folder):
    return imagefolder.build(imagefolder.Config(folder, "negative"))["train"]


def test_an_order_is_a_permutation_that_follows_from_seed_and_epoch():
    order = EpochOrder(10, seed=3)
    first = list(order)
    assert sorted(first) == list(range(10)) and list(order) == first
    order.epoch = 1
    assert list(order) != first


def test_processes_share_an_epoch_and_all_get_as_many():
    parts = [list(EpochOrder(7, 0, rank, 3)) for rank in range(3)]
    assert [len(p) for p in parts] == [3, 3, 3]
    assert {i for part in parts for i in part} == set(range(7))


def test_a_view_depends_on_picture_and_epoch_alone(table):
    pre = Preprocessing(32)
    data = PictureSet(table, table.labels, pre, augmentation("crop", pre), seed=5)
    coloured = int(table.truth.positives_each().argmax())
    other = (coloured + 1) % len(table)
    torch.manual_seed(1)
    one = data.__getitems__([other, coloured]).inputs
    torch.manual_seed(2)
    assert torch.equal(data.__getitems__([coloured]).inputs[0], one[1])
    data.epoch.fill_(1)
    assert not torch.equal(data.__getitems__([coloured]).inputs[0], one[1])


def test_workers_give_the_same_batches(table):
    pre = Preprocessing(32)
    data = PictureSet(table, table.labels, pre, augmentation("crop", pre))
    alone = list(loader(data, batch_size=8, order=EpochOrder(len(data), 0)))
    helped = list(loader(data, batch_size=8, order=EpochOrder(len(data), 0), workers=1))
    assert [len(b.index) for b in alone] == [8, 8, 3]
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.truth, other.truth)
        assert one.inputs.dtype == torch.uint8  # workers hand over bytes
        rows = torch.stack([data.image(i, 0) for i in one.index.tolist()])
        assert torch.equal(other.images, rows)


def test_every_view_is_met_over_the_epochs(tmp_path):
    cache = FeatureCache(tmp_path / "c", (3, 5), ARRAYS, (1, 1), {}).build(made_of)
    data = FeatureSet(cache, sparse([[1, 1]] * 5))
    seen = set()
    for epoch in range(12):
        data.epoch.fill_(epoch)
        batch = data.__getitems__([2, 4])
        assert (batch.inputs.tokens.flatten() % 100).tolist() == [2, 4]
        seen |= {int(v) // 100 for v in batch.inputs.tokens.flatten()}
    assert seen == {0, 1, 2}


def test_views_follow_from_seed_and_epoch_and_not_from_the_order_of_the_batches(tmp_path):
    cache = FeatureCache(tmp_path / "c", (4, 20), ARRAYS, (1, 1), {}).build(made_of)
    one, other = (FeatureSet(cache, sparse([[1, 1]] * 20), seed=s) for s in (0, 1))
    first = one.__getitems__(list(range(20))).inputs.tokens
    one.epoch.fill_(3)
    assert not torch.equal(one.__getitems__(list(range(20))).inputs.tokens, first)
    one.epoch.fill_(0)
    assert torch.equal(one.__getitems__([7, 2]).inputs.tokens, first[[7, 2]])
    assert not torch.equal(other.__getitems__(list(range(20))).inputs.tokens, first)


def test_an_augmented_picture_leaves_the_generators_of_all_devices_where_they_were(table, monkeypatch):
    """On a GPU dropout is drawn by CUDA's generator, which ``torch.manual_seed`` would reseed with each picture."""
    seeded = []
    for backend in (torch.cuda, torch.mps, torch.xpu):
        for name in ("manual_seed", "manual_seed_all", "seed", "seed_all"):
            monkeypatch.setattr(backend, name, lambda *_, name=name: seeded.append(name), raising=False)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)
    torch.manual_seed(1)
    assert "manual_seed_all" in seeded  # so that the seeding of other devices would be seen
    seeded.clear()
    before = torch.get_rng_state()
    pre = Preprocessing(32)
    PictureSet(table, table.labels, pre, augmentation("crop", pre), seed=5).__getitems__([0, 1, 2])
    assert seeded == [] and torch.equal(torch.get_rng_state(), before)


def test_a_picture_that_cannot_be_read_leaves_the_generator_where_it_was(table, monkeypatch):
    pre = Preprocessing(32)
    data = PictureSet(table, table.labels, pre, augmentation("crop", pre))
    monkeypatch.setattr(type(table), "picture", lambda *_: 1 / 0)
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        data.square(0, 1)
    assert torch.equal(torch.get_rng_state(), before)
