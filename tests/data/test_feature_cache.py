"""Image features on disk: round trips, interruptions, and folders that hold something else than what is wanted."""

import json
import os
import resource

import numpy as np
import pytest
import torch

from ctran.data import feature_cache_blocks as cache_blocks
from ctran.data.cache_folder import key_of
from ctran.data.feature_cache import CHUNK, FeatureCache, StaleCacheError, is_finished
from ctran.data.picture_digest import _stamp
from ctran.model import Features

ROWS = (2, 70)
ARRAYS = {"tokens": (1, 1), "maps.inner": (2, 1, 3)}
FILES = ["done.json", "key.json", "maps.inner.npy", "tokens.npy"]
GIVEN = (ROWS, ARRAYS, (1, 1))
PARTS = {
    "weights": "abc",
    "transform": {"size": 224, "mean": (0.5, 0.5)},
    "data": "def",
    "views": 2,
    "precision": "cpu bf16",
}


def made_of(view, numbers):
    """Features whose values name view and picture."""
    value = torch.tensor([100.0 * view + n for n in numbers])
    inner = value[:, None, None, None] + torch.arange(6).reshape(2, 1, 3) * 1000
    return Features(value[:, None, None], (1, 1), maps={"inner": inner})


def test_cache_gives_back_what_was_made(tmp_path):
    cache = FeatureCache(tmp_path / "c", *GIVEN, PARTS).build(made_of)
    views, pictures = np.array([0, 1, 1]), np.array([69, 0, 5])
    found = cache.read(views, pictures)
    assert found.tokens.flatten().tolist() == [69, 100, 105] and found.grid == (1, 1) and found.image_cache is None
    expected = torch.cat([made_of(int(v), [int(n)]).maps["inner"] for v, n in zip(views, pictures, strict=True)])
    assert torch.equal(found.maps["inner"], expected.half().float()) and found.tokens.dtype == torch.float32


def test_an_interrupted_build_goes_on_makes_nothing_twice_and_ends_with_the_same_bytes(tmp_path):
    made = []

    def make(view, numbers):
        if len(made) >= CHUNK and not broken:
            broken.append(True)
            raise KeyboardInterrupt
        made.extend((view, n) for n in numbers)
        return made_of(view, numbers)

    broken: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path / "c", *GIVEN, PARTS).build(make)
    steps: list[int] = []
    FeatureCache(tmp_path / "c", *GIVEN, PARTS).build(make, steps.append)
    assert len(made) == len(set(made)) == 140 and sum(steps) == 140
    FeatureCache(tmp_path / "whole", *GIVEN, PARTS).build(made_of)
    for name in FILES:
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_was_interrupted_before_the_first_chunk_starts_again(tmp_path):
    whole = FeatureCache(tmp_path / "whole", *GIVEN, PARTS).build(made_of)
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "tokens.part").write_bytes((whole.folder / "tokens.npy").read_bytes()[:100])
    (folder / "key.json").write_text("{")
    FeatureCache(folder, *GIVEN, PARTS).build(made_of)
    assert (folder / "tokens.npy").read_bytes() == (whole.folder / "tokens.npy").read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == FILES


@pytest.mark.parametrize("mark", ["", "{", "[]", "{}", '{"rows": "64"}', '{"rows": -1}', '{"rows": 141}', '{"rows": null}'])
def test_where_the_mark_of_progress_is_damaged_all_is_made_again_with_a_warning(tmp_path, mark):
    first = FeatureCache(tmp_path / "c", *GIVEN, PARTS).build(made_of)
    np.lib.format.open_memmap(first.folder / "tokens.npy", mode="r+")[:] = 0  # the cache itself is read-only
    (tmp_path / "c" / "done.json").write_text(mark)
    with pytest.warns(UserWarning, match=r"done.json is damaged; all image features are computed again"):
        cache = FeatureCache(tmp_path / "c", *GIVEN, PARTS).build(made_of)
    assert cache.done == 140 and cache.read(np.array([1]), np.array([69])).tokens.item() == 169


def test_a_finished_cache_makes_nothing(tmp_path):
    FeatureCache(tmp_path / "c", *GIVEN, PARTS).build(made_of)
    FeatureCache(tmp_path / "c", *GIVEN, PARTS).build(lambda view, numbers: pytest.fail("made again"))


def test_a_cache_of_another_shape_is_refused(tmp_path):
    FeatureCache(tmp_path / "c", (1, 3), {"tokens": (1, 1)}, (1, 1), PARTS)
    with pytest.raises(
        StaleCacheError, match=r"holds float16 of shape \(1, 3, 1, 1\), expected .* \(2, 3, 1, 1\); delete .*/c and"
    ):
        FeatureCache(tmp_path / "c", (2, 3), {"tokens": (1, 1)}, (1, 1), PARTS)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"weights": "xyz"}, r"of other weights \(there: abc, wanted: xyz\): delete .*/c and run again"),
        ({"data": "xyz"}, r"of other data \(there: def, wanted: xyz\)"),
        ({"views": 3}, r"of other views \(there: 2, wanted: 3\)"),
        ({"precision": "cuda bf16"}, r"of other precision \(there: cpu bf16, wanted: cuda bf16\)"),
        ({"transform": {"size": 448, "mean": (0.5, 0.5)}}, r"of other transform.size \(there: 224, wanted: 448\):"),
        ({"weights": "x", "views": 3}, r"of other views \(there: 2, wanted: 3\); weights \(there: abc, wanted: x\):"),
        ({"augmentation": "flip"}, r"of other augmentation \(there: None, wanted: flip\)"),
    ],
)
def test_a_cache_of_anything_else_is_refused_with_what_differs(tmp_path, other, message):
    FeatureCache(tmp_path / "c", *GIVEN, PARTS).build(made_of)
    with pytest.raises(StaleCacheError, match=message):
        FeatureCache(tmp_path / "c", *GIVEN, PARTS | other)


@pytest.mark.parametrize("text", [None, "", "[1]", "{"])
def test_a_cache_without_a_record_of_its_inputs_is_refused(tmp_path, text):
    FeatureCache(tmp_path / "c", *GIVEN, PARTS)
    (tmp_path / "c" / "key.json").unlink()
    if text is not None:
        (tmp_path / "c" / "key.json").write_text(text)
    with pytest.raises(StaleCacheError, match=r"key.json is missing or damaged.*delete"):
        FeatureCache(tmp_path / "c", *GIVEN, PARTS)


def test_keys_differ_when_anything_does():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})


@pytest.fixture
def finished(tmp_path):
    return FeatureCache(tmp_path / "done", *GIVEN, PARTS).build(made_of).folder


@pytest.mark.parametrize("length", [0, 5, 100, 128, 200, -2, 300])
@pytest.mark.parametrize("whole", [True, False])
def test_a_file_of_another_length_is_refused_by_name_and_stays_as_it_is(finished, length, whole):
    path = finished / "tokens.npy"
    content = path.read_bytes()
    path.write_bytes(content[:length] if length < 300 else content + b"\0")
    if not whole:
        (finished / "done.json").write_text('{"rows": 64}')
    cut = path.read_bytes()
    with pytest.raises(StaleCacheError, match=r"tokens.npy is damaged.*delete .* and run again"):
        FeatureCache(finished, *GIVEN, PARTS)
    assert path.read_bytes() == cut


@pytest.mark.parametrize("name", ["tokens.npy", "maps.inner.npy"])
@pytest.mark.parametrize("block", [64, 16 * 2**20])
def test_a_changed_bit_of_a_finished_cache_is_found(tmp_path, monkeypatch, block, name):
    monkeypatch.setattr(cache_blocks, "BLOCK", block)
    path = FeatureCache(tmp_path / "done", *GIVEN, PARTS).build(made_of).folder / name
    for at in (130, 250, path.stat().st_size - 1):
        content = bytearray(path.read_bytes())
        content[at] ^= 4
        path.write_bytes(content)
        with pytest.raises(StaleCacheError, match=rf"{name} is damaged: bytes .* are not those that were written"):
            FeatureCache(tmp_path / "done", *GIVEN, PARTS)
        content[at] ^= 4
        path.write_bytes(content)
    FeatureCache(tmp_path / "done", *GIVEN, PARTS)


def test_a_finished_cache_is_read_only_and_opening_it_writes_nothing(finished):
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in finished.iterdir()}
    cache = FeatureCache(finished, *GIVEN, PARTS)
    assert not any(array.flags.writeable for array in cache.arrays.values())
    assert is_finished(finished, 140) and not is_finished(finished, 141)
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in finished.iterdir()} == before


@pytest.mark.parametrize("files", [None, {}, {"tokens.npy": {}}])
def test_a_finished_cache_without_the_checksums_of_each_array_is_computed_again(finished, files):
    whole = (finished / "done.json").read_text()
    (finished / "done.json").write_text(json.dumps({"rows": 140} | ({} if files is None else {"files": files})))
    with pytest.warns(UserWarning, match=r"done.json is damaged; all image features are computed again"):
        FeatureCache(finished, *GIVEN, PARTS).build(made_of)
    assert (finished / "done.json").read_text() == whole


def test_a_cache_that_lost_an_array_is_computed_again(finished):
    before = {name: (finished / name).read_bytes() for name in FILES}
    (finished / "maps.inner.npy").unlink()
    assert not is_finished(finished, 140)
    FeatureCache(finished, *GIVEN, PARTS).build(made_of)
    assert {name: (finished / name).read_bytes() for name in FILES} == before


def test_a_full_disk_is_named_before_any_token_is_made(tmp_path):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, old[1]))
    try:
        with pytest.raises(OSError, match=r"image features need 2,000,128 bytes, [\d,]+ are free .*tokens.npy"):
            FeatureCache(tmp_path / "c", (1, 100), {"tokens": (100, 100)}, (10, 10), PARTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["key.json"]


@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_picture_replaced_with_equal_size_and_time_is_noticed(tmp_path, at):
    path = tmp_path / "a.bmp"
    path.write_bytes(bytes(100))
    stat, before = path.stat(), _stamp(path)
    assert _stamp(path) == before
    content = bytearray(100)
    content[at] = 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = _stamp(path)
    assert path.stat().st_mtime_ns == stat.st_mtime_ns and after != before
    assert after.split(b" ", 3)[3] != before.split(b" ", 3)[3]  # by its content also where the times of the entries are equal
