"""What a model was trained on is kept with the run, and found again under any name."""

import shutil

import numpy as np
import pytest

from ctran.data.sources import imagefolder
from ctran.data.table import DataError
from ctran.training import seen


def read(folder):
    return imagefolder.build(imagefolder.Config(folder, "negative"))


@pytest.fixture
def other(folder, tmp_path):
    """A folder of which some pictures are copies of those of ``folder``, under other names."""
    root = tmp_path / "other"
    root.mkdir()
    lines = ["file_name,labels,split"]
    for number, split in enumerate(["train"] * 4 + ["val"] * 3 + ["test"] * 3):
        shutil.copy(folder / f"{number:02}.png", root / f"new{number}.png")
        lines.append(f"new{number}.png,red,{split}")
    (root / "metadata.csv").write_text("\n".join(lines))
    return root


def test_a_test_picture_that_the_model_was_trained_on_is_warned_of_under_another_name(folder, other, tmp_path, capsys):
    tables, run = read(folder), tmp_path / "run"
    (run / "model").mkdir(parents=True)
    seen.record(tables, run, None)
    theirs = read(other)
    capsys.readouterr()
    copies = {f"new{n}.png" for n in range(10) if f"{n:02}.png" in tables["train"].ids}
    counts = {split: len(copies & set(table.ids)) for split, table in theirs.items()}
    assert counts["val"] and counts["test"]
    seen.warn_if_seen(theirs["test"], "test", run)
    err = capsys.readouterr().err
    assert f"{run} was trained on {counts['test']} of the 3 pictures of test (first: 'new" in err
    seen.warn_if_seen(tables["test"], "test", run)
    seen.warn_if_seen(theirs["train"], "train", run)
    seen.warn_if_seen(theirs["test"], "test", tmp_path / "unknown")
    assert not capsys.readouterr().err


def test_a_training_that_starts_from_a_model_warns_and_remembers_its_pictures_too(folder, other, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "model").mkdir(parents=True)
    second.mkdir()
    tables, theirs = read(folder), read(other)
    seen.record(tables, first, None)
    capsys.readouterr()
    seen.record(theirs, second, first / "model")
    err = capsys.readouterr().err
    assert "pictures of test (first:" in err and "pictures of val (first:" in err
    kept = seen.read(second)
    assert kept is not None and set(seen.numbers(tables["train"])) | set(seen.numbers(theirs["train"])) == set(kept)
    assert (second / seen.FILE).stat().st_size <= 128 + 8 * len(kept) and kept.dtype == np.uint64


def test_a_damaged_file_is_refused_by_name(tmp_path):
    (tmp_path / seen.FILE).write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"trained_on.npy: damaged"):
        seen.read(tmp_path)


def test_a_calibration_leaves_out_pictures_that_the_model_was_trained_on(folder, other, tmp_path, capsys):
    tables, run = read(folder), tmp_path / "run"
    (run / "model").mkdir(parents=True)
    with pytest.raises(DataError, match="not known which pictures of train"):
        seen.without_seen(tables["train"], "train", run)
    assert seen.without_seen(tables["val"], "val", run) is tables["val"]
    seen.record(tables, run, None)
    assert seen.without_seen(tables["val"], "val", run) is tables["val"]
    with pytest.raises(DataError, match=f"was trained on all {len(tables['train'])} pictures of train.*--root"):
        seen.without_seen(tables["train"], "train", run)
    trained = {f"new{n}.png" for n in range(10) if f"{n:02}.png" in tables["train"].ids}
    theirs = read(other)
    capsys.readouterr()
    for split in ("train", "val", "test"):
        ids = theirs[split].ids
        new = [name for name in ids if name not in trained]
        if new and len(new) < len(ids):
            left = seen.without_seen(theirs[split], split, run)
            assert left.ids == new
            assert f"was trained on {len(ids) - len(new)} of the {len(ids)} pictures of {split}: they are left" in (
                capsys.readouterr().err
            )
            break
    else:
        raise AssertionError("no split has both kinds")
