import numpy as np
import pytest
import torch

from ctran.data.cache import CHUNK, FeatureCache, key_of
from ctran.data.loading import EpochOrder, PictureSet, TokenSet, loader
from ctran.data.sources import imagefolder
from ctran.images import Preprocessing, augmentation


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
    coloured = int((table.truth == 2).sum(1).argmax())
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


def tokens_of(view, numbers):
    return torch.tensor([[[100.0 * view + n]] for n in numbers])


def test_cache_gives_back_what_was_made(tmp_path):
    cache = FeatureCache(tmp_path / "c", (2, 70, 1, 1)).build(tokens_of)
    views, pictures = np.array([0, 1, 1]), np.array([69, 0, 5])
    assert cache.read(views, pictures).flatten().tolist() == [69, 100, 105]


def test_an_interrupted_build_goes_on_and_makes_nothing_twice(tmp_path):
    made = []

    def make(view, numbers):
        if len(made) >= CHUNK and not broken:
            broken.append(True)
            raise KeyboardInterrupt
        made.extend((view, n) for n in numbers)
        return tokens_of(view, numbers)

    broken: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path / "c", (2, 70, 1, 1)).build(make)
    steps: list[int] = []
    cache = FeatureCache(tmp_path / "c", (2, 70, 1, 1)).build(make, steps.append)
    assert len(made) == len(set(made)) == 140 and sum(steps) == 140
    assert cache.read(np.array([1]), np.array([69])).item() == 169


def test_a_cache_of_another_shape_is_refused(tmp_path):
    FeatureCache(tmp_path / "c", (1, 3, 1, 1))
    with pytest.raises(ValueError, match=r"expected \(2, 3, 1, 1\); delete"):
        FeatureCache(tmp_path / "c", (2, 3, 1, 1))


def test_keys_differ_when_anything_does():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})


def test_every_view_is_met_over_the_epochs(tmp_path):
    cache = FeatureCache(tmp_path / "c", (3, 5, 1, 1)).build(tokens_of)
    data = TokenSet(cache, torch.ones(5, 2, dtype=torch.int8))
    seen = set()
    for epoch in range(12):
        data.epoch.fill_(epoch)
        batch = data.__getitems__([2, 4])
        assert (batch.inputs.flatten() % 100).tolist() == [2, 4]
        seen |= {int(v) // 100 for v in batch.inputs.flatten()}
    assert seen == {0, 1, 2}
