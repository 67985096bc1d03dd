"""A disk that is full for real: the error names the file, nothing is half-written, all goes on when there is room again."""

import json
import shutil
from dataclasses import replace

import pytest

from ctran.analysis.calibrate import write_calibration
from ctran.collection.run import run
from ctran.constraints.calibration import Calibration
from ctran.folders.tagger import Tagger
from ctran.labelling.folder import Edit, LabelledFolder
from ctran.training.fit import fit
from tests.collection.conftest import NAMES, changed, rows
from tests.faults.disk import contents, mounted, refused
from tests.training.test_resume import change, results, train_from_here


@pytest.fixture
def disk(tmp_path):
    with mounted(tmp_path / "disk", 24) as small:
        yield small


def size_of(folder):
    return sum(len(content) for content in contents(folder).values())


def fill_at(disk, share, recipe, size):
    """Train where there is room for a share of what a run needs, then with room for all; the message in between."""
    folder = disk.root / f"run-{share}"
    disk.leave(int(share * size))
    with refused(disk.root) as messages:
        fit(recipe, folder)
    disk.free()
    train_from_here(recipe, folder)
    return folder, messages[0]


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize(
    "shares",
    [pytest.param((0.4,), id="one"), pytest.param(tuple(n / 20 for n in range(20)), id="twenty", marks=pytest.mark.faults)],
)
def test_a_training_that_fills_the_disk_names_the_file_and_goes_on(recipe, tmp_path, disk, shares):
    fit(recipe, tmp_path / "whole")
    whole, size = results(tmp_path / "whole"), size_of(tmp_path / "whole")
    for share in shares:
        folder, message = fill_at(disk, share, recipe, size)
        assert results(folder) == whole, message
        assert contents(folder).keys() - {n for n in contents(folder) if "tensorboard" in n} == {
            n for n in contents(tmp_path / "whole") if "tensorboard" not in n
        }, message
        shutil.rmtree(folder)


def test_a_cache_of_features_that_finds_no_room_is_named_and_made_later(recipe, tmp_path, disk, monkeypatch):
    cached = change(recipe, feature_views=1, augmentation="none", backbone_learning_rate=0.0)
    monkeypatch.setenv("CTRAN_CACHE", str(disk.root / "cache"))
    disk.leave(16 * 1024)
    with refused(disk.root):
        fit(cached, tmp_path / "run")
    disk.free()
    train_from_here(cached, tmp_path / "run")
    assert list((disk.root / "cache").rglob("*.npy"))


def test_a_model_folder_stays_as_it_was(model, disk):
    tagger = Tagger.load(model)
    tagger.save(disk.root / "model")
    before = contents(disk.root)
    disk.leave(20 * 1024)
    with refused(disk.root):
        tagger.save(disk.root / "model")
    assert contents(disk.root) == before
    calibration = Calibration((0.0,), (2.0,), {f"label {n}": 0.5 for n in range(5000)}, "greatest F1", ())
    with refused(disk.root):
        write_calibration(calibration, disk.root / "model")
    assert contents(disk.root) == before
    disk.free()
    assert write_calibration(calibration, disk.root / "model").exists()


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_collection_goes_on_with_the_same_rows(job, tmp_path, disk, form):
    job = changed(job, form=form, part_size=2, dense=True)
    run(job)
    expected, there = rows(job.output), replace(job, output=str(disk.root / "out"))
    disk.leave(16 * 1024)
    with refused(disk.root):
        run(there)
    halfway = rows(there.output)
    assert halfway == expected[: len(halfway)] and len(halfway) < len(NAMES)
    disk.free()
    run(there)
    assert rows(there.output) == expected


def test_the_studio_keeps_what_is_saved_and_saves_the_rest_when_there_is_room(disk, photos):
    shutil.copytree(photos, disk.root / "photos")
    folder = LabelledFolder(disk.root / "photos")
    folder.annotate("w", [Edit(name, {"dog": True}, {}) for name in folder.pictures])
    folder.flush()
    before = (disk.root / "photos/metadata.jsonl").read_bytes()
    disk.leave(0)
    saved = 0
    with refused(disk.root):
        for number in range(2000):
            folder.annotate("w", [Edit(name, {f"label {number}": True}, {}) for name in folder.pictures])
            saved += 1
    assert len(folder.known(folder.pictures[0])) == 1 + saved
    if saved:
        with refused(disk.root):
            folder.flush()
    assert (disk.root / "photos/metadata.jsonl").read_bytes() == before
    disk.free()
    folder.annotate("w", [Edit(folder.pictures[0], {"late": True}, {})])
    folder.close()
    lines = [json.loads(line) for line in (disk.root / "photos/metadata.jsonl").read_text().splitlines()]
    assert len(lines[0]["labels"]) == 2 + saved and "late" in lines[0]["labels"]


def test_a_disk_that_can_only_be_read_is_named_and_stays_as_it_is(recipe, model, job, photos, disk):
    tagger, out = Tagger.load(model), replace(job, output=str(disk.root / "out"))
    tagger.save(disk.root / "model")
    shutil.copytree(photos, disk.root / "photos")
    before = contents(disk.root)
    disk.read_only()
    for write in (
        lambda: fit(recipe, disk.root / "run"),
        lambda: tagger.save(disk.root / "model"),
        lambda: write_calibration(Calibration((0.0,), (2.0,), {}, "greatest F1", ()), disk.root / "model"),
        lambda: run(out),
        lambda: LabelledFolder(disk.root / "photos"),
    ):
        with refused(disk.root, "read-only", "readonly"):
            write()
    assert contents(disk.root) == before
