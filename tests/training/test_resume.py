"""A run that was broken off anywhere and resumed equals one that was not; what is damaged is named."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ctran import files
from ctran.training import checkpoint as checkpoint_module
from ctran.training.checkpoint import Checkpoints, checkpoint_to_resume
from ctran.training.extend import check_epochs
from ctran.training.fit import fit
from ctran.training.lock import HOLDER, LOCK, RunFolderError, locked
from ctran.training.recipe import RecipeError, read_recipe
from tests.conftest import TOY, draw_folder, no_rendering


class Killed(BaseException):
    """Ends a training as a signal does: no handler of errors sees it."""


@pytest.fixture
def recipe(folder):
    return read_recipe(None, [*TOY, "--source", "imagefolder", "--root", str(folder), "--absent", "negative"])


def change(recipe, **options):
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **options))


def results(run):
    """All that a finished run is asked for; no times and no files of the trainer's."""
    names = ("history.json", "finished.json", "metrics.json", "data.json", "labels.json", "recipe.yaml")
    texts = {name: (run / name).read_text() for name in names}
    return texts | {k: v.tolist() for k, v in load_file(run / "model" / "model.safetensors").items()}


def break_off(monkeypatch, recipe, run, *, after_checkpoint):
    """Train until so many checkpoints are written."""
    written, save = [], Checkpoints.save_checkpoint

    def save_and_count(self, *args, **options):
        save(self, *args, **options)
        written.append(1)
        if len(written) == after_checkpoint:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save_checkpoint", save_and_count)
        with pytest.raises(Killed):
            fit(recipe, run)


STOPS_EARLY = {"patience": 1, "epochs": 6, "learning_rate": 0.0}  # after two epochs


@pytest.mark.parametrize(
    ("options", "workers", "first"),
    [
        pytest.param(STOPS_EARLY, 0, 2, id="early, after the last"),  # test_fit.py breaks off before the last
        pytest.param(STOPS_EARLY, 0, 1, id="early", marks=pytest.mark.slow),
        pytest.param(STOPS_EARLY, 2, 1, id="early, workers", marks=pytest.mark.slow),
        pytest.param({"epochs": 3}, 0, 1, id="to the end", marks=pytest.mark.slow),
        pytest.param({"epochs": 3}, 2, 1, id="to the end, workers", marks=pytest.mark.slow),
    ],
)
def test_a_run_broken_off_after_any_epoch_equals_an_unbroken_one(recipe, tmp_path, monkeypatch, workers, options, first):
    recipe = change(recipe, workers=workers, **options)
    fit(recipe, tmp_path / "whole")
    whole = results(tmp_path / "whole")
    epochs = len(json.loads(whole["history.json"]))
    assert epochs == (2 if options is STOPS_EARLY else 3)
    for epoch in range(first, epochs + 1):
        run = tmp_path / f"broken-{epoch}"
        break_off(monkeypatch, recipe, run, after_checkpoint=epoch)
        assert not (run / "finished.json").exists()
        fit(recipe, run, resume=True)
        assert results(run) == whole, f"broken off after epoch {epoch}"


def stop_at_write(patch, number):
    """Raise at one of the moments of a run at which a file is on the disk but not in place yet, or in place."""
    seen, flush = [], files.flush

    def count(path):
        flush(path)
        seen.append(path)
        if len(seen) == number:
            raise Killed

    patch.setattr(files, "flush", count)
    return seen


def train_from_here(recipe, run):
    """What a user does after a kill: resume where there is a recipe, else start."""
    return fit(recipe, run, resume=(run / "recipe.yaml").exists())


def break_at_write(monkeypatch, recipe, run, number):
    with monkeypatch.context() as patch:
        stop_at_write(patch, number)
        with pytest.raises(Killed):
            fit(recipe, run)


def test_a_run_killed_before_anything_was_trained_gets_all_its_files_when_resumed(recipe, tmp_path, monkeypatch):
    recipe = change(recipe, epochs=1)
    fit(recipe, tmp_path / "whole")
    names = {p.name for p in (tmp_path / "whole").iterdir()}
    run = tmp_path / "broken"
    break_at_write(monkeypatch, recipe, run, 2)  # recipe.yaml is in place, and nothing else
    assert not (run / "labels.json").exists()
    train_from_here(recipe, run)
    assert {p.name for p in run.iterdir()} == names
    assert results(run) == results(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"epochs": 2}, STOPS_EARLY], ids=["to the end", "early"])
def test_a_run_killed_at_any_write_equals_an_unbroken_one(recipe, tmp_path, monkeypatch, options):
    recipe = change(recipe, **options)
    with monkeypatch.context() as patch:
        seen = stop_at_write(patch, -1)
        fit(recipe, tmp_path / "whole")
        moments = len(seen)
    whole = results(tmp_path / "whole")
    assert moments > 30
    for number in range(1, moments + 1):
        run = tmp_path / f"broken-{number}"
        break_at_write(monkeypatch, recipe, run, number)
        train_from_here(recipe, run)
        assert results(run) == whole, f"write {number}"
        assert not [p for p in run.rglob("*") if files.is_leftover(p.name)]


def test_resuming_after_the_end_writes_what_is_missing_and_trains_no_more(recipe, tmp_path, monkeypatch, capsys):
    recipe = change(recipe, **STOPS_EARLY)
    fit(recipe, tmp_path / "run")
    before = results(tmp_path / "run")
    finished = json.loads(before["finished.json"])
    assert finished["epochs"] == 2 and finished["planned_epochs"] == 6
    assert "training.patience 1" in finished["stopped_early"]
    assert "stopped early, after epoch 2 of 6: no better val score for 1 epochs" in capsys.readouterr().err
    for name in ("finished.json", "metrics.json", "labels.json", "versions.json"):
        (tmp_path / "run" / name).unlink()
    fit(recipe, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == before and (tmp_path / "run" / "versions.json").exists()
    assert "stopped early" in capsys.readouterr().err


def test_without_a_score_patience_never_stops_and_says_so(recipe, folder, tmp_path, capsys):
    rows = [
        f"{n:02}.png,{'red' if n < 20 else ''},{'val' if n == 20 else 'test' if n % 3 == 0 else 'train'}" for n in range(24)
    ]
    (folder / "metadata.csv").write_text("file_name,labels,split\n" + "\n".join(rows))
    fit(change(recipe, epochs=3, patience=1), tmp_path / "run")
    finished = json.loads((tmp_path / "run" / "finished.json").read_text())
    assert finished["epochs"] == 3 and finished["stopped_early"] is None and finished["best_val_score"] is None
    assert "training.patience has no effect" in capsys.readouterr().err


# ------------------------------------------------------------------ more epochs


@pytest.mark.slow
def test_two_epochs_and_then_two_more_equal_four(recipe, tmp_path, monkeypatch):
    """Also where the second training is killed before its first epoch, in its midst, and repeated by the same command."""
    recipe = change(recipe, ema=0.9, epochs=4)
    fit(recipe, tmp_path / "whole")
    whole = results(tmp_path / "whole")
    fit(change(recipe, epochs=2), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "finished.json").read_text())["planned_epochs"] == 2
    for epochs_done in (0, 1):
        with monkeypatch.context() as patch:
            save, written = Checkpoints.save_checkpoint, []

            def kill(self, *args, save=save, written=written, stop=epochs_done, **options):
                if len(written) == stop:
                    raise Killed
                written.append(save(self, *args, **options))

            patch.setattr(Checkpoints, "save_checkpoint", kill)
            with pytest.raises(Killed):
                fit(recipe, tmp_path / "run", resume=True)
        left = {p.name for p in (tmp_path / "run").iterdir()}
        assert not left & {"finished.json", "metrics.json", "metrics.md", "predictions.png"}  # of the earlier end
    fit(recipe, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == whole
    assert {p.name for p in (tmp_path / "run").iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


@pytest.mark.slow
def test_a_run_killed_while_it_is_extended_is_of_one_number_of_epochs(recipe, tmp_path, monkeypatch):
    """Either number, but never the figures of two epochs in a run that records three."""
    short, longer = change(recipe, epochs=1), change(recipe, epochs=2)
    for run, epochs in (("one", short), ("two", longer), ("run", short)):
        fit(epochs, tmp_path / run)
    with monkeypatch.context() as patch:
        patch.setattr(type(recipe), "save", lambda self, path: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            fit(longer, tmp_path / "run", resume=True)
    fit(read_recipe(tmp_path / "run" / "recipe.yaml"), tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == results(tmp_path / "one")
    fit(longer, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == results(tmp_path / "two")


@pytest.mark.parametrize(
    ("options", "epochs", "reason"),
    [
        ({}, 5, "is planned with 6 epochs; --resume can raise the number, not lower it to 5"),
        ({"patience": 1}, 7, "stopped early and would not train more with 7 epochs either: no better val score"),
        ({"schedule": "cosine"}, 7, r"\(training.schedule cosine\) depend on the number of epochs, 6"),
        ({"schedule": "onecycle"}, 7, r"\(training.schedule onecycle\) depend on the number of epochs, 6"),
    ],
)
def test_epochs_that_cannot_be_added_are_refused_with_the_way_that_goes_on(recipe, tmp_path, options, epochs, reason):
    change(recipe, epochs=6, **options).save(tmp_path / "recipe.yaml")
    stopped = "no better val score for 1 epochs" if "patience" in options else None
    (tmp_path / "finished.json").write_text(json.dumps({"epochs": 6, "planned_epochs": 6, "stopped_early": stopped}))
    way = f"ctran train {tmp_path}/recipe.yaml --training.init_from {tmp_path} --training.epochs {epochs} --output NEW"
    with pytest.raises(RecipeError, match=f"^training.epochs: .*{reason}.*: {way}$"):
        check_epochs(epochs, tmp_path)
    assert not check_epochs(6, tmp_path)  # a command that was interrupted can be repeated
    (tmp_path / "finished.json").unlink()
    change(recipe, epochs=6).save(tmp_path / "recipe.yaml")
    assert check_epochs(7, tmp_path)


# ------------------------------------------------------------------ checkpoints


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A run broken off after its second and last epoch, its recipe, and what the whole run gives; copied by each test."""
    base = tmp_path_factory.mktemp("broken")
    flags = [*TOY, "--source", "imagefolder", "--root", str(draw_folder(base / "pictures")), "--absent", "negative"]
    recipe = read_recipe(None, flags)
    with pytest.MonkeyPatch.context() as patch, no_rendering():
        fit(recipe, base / "whole")
        break_off(patch, recipe, base / "run", after_checkpoint=2)
    return recipe, base / "run", results(base / "whole")


@pytest.fixture
def run(broken, tmp_path):
    import shutil

    return Path(shutil.copytree(broken[1], tmp_path / "run"))


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no checkpoint"),
    "one bit of a tensor": lambda path: flip(path, path.stat().st_size // 2),
    "another file of torch": lambda path: torch.save({"state_dict": {}}, path),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_gives_the_same_model(broken, run, damage, capsys):
    DAMAGES[damage](run / "last.ckpt")
    if damage == "cut":  # the others are found in the same way: not trained again
        fit(broken[0], run, resume=True)
        assert results(run) == broken[2]
    else:
        assert checkpoint_to_resume(run) == run / "previous.ckpt"
    said = capsys.readouterr().err
    assert f"last.ckpt is {'missing' if damage == 'missing' else 'damaged'}" in said
    assert "going on from previous.ckpt, after epoch 1" in said and said.count("\n") == 1


def test_when_both_checkpoints_are_damaged_one_line_says_what_is_left(broken, run):
    for name in ("last.ckpt", "previous.ckpt"):
        DAMAGES["cut"](run / name)
    with pytest.raises(
        RunFolderError, match=r"last.ckpt is damaged .* and previous.ckpt is damaged .*model.* best model so far"
    ) as e:
        fit(broken[0], run, resume=True)
    assert "\n" not in str(e.value) and "weights_only" not in str(e.value) and len(str(e.value)) < 600
    assert (run / "recipe.yaml").exists() and (run / "model").exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_checkpoint_that_cannot_be_written_leaves_both_that_are_there(tmp_path, monkeypatch, links):
    def refused(*args):
        raise OSError("no hard links here")

    if not links:
        monkeypatch.setattr(checkpoint_module.os, "link", refused)
    path, write = tmp_path / "last.ckpt", Checkpoints().save_checkpoint
    for number in range(3):
        write({"number": number}, path)
    monkeypatch.setattr(torch, "save", lambda content, part: part.write(b"half") and refused())
    with pytest.raises(OSError, match="no hard links"):
        write({"number": 3}, path)
    found = {p.name: torch.load(p, weights_only=True)["number"] for p in tmp_path.iterdir()}
    assert found == {"last.ckpt": 2, "previous.ckpt": 1}


@pytest.mark.parametrize("links", [True, False])
def test_a_save_after_one_that_was_killed_half_way_leaves_two_checkpoints_and_nothing_else(tmp_path, links):
    """Killed when the old checkpoint had its second name and the new one was not in place: two names of one file."""
    path, write = tmp_path / "last.ckpt", Checkpoints().save_checkpoint
    write({"number": 0}, path)
    if links:
        os.link(path, tmp_path / "previous.ckpt")
    else:
        (tmp_path / "previous.ckpt").write_bytes(path.read_bytes())
    write({"number": 1}, path)
    found = {p.name: torch.load(p, weights_only=True)["number"] for p in tmp_path.iterdir()}
    assert found == {"last.ckpt": 1, "previous.ckpt": 0}


def test_checkpoints_are_written_beside_the_run_and_not_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr("tempfile.tempdir", None)
    Checkpoints().save_checkpoint({"a": 1}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True) == {"a": 1}


# ----------------------------------------------------------------------- locks


def test_a_run_folder_in_use_is_refused_by_the_name_of_its_holder(recipe, tmp_path, broken, run):
    with locked(run):
        for resume, target in ((True, run), (True, tmp_path / "link")):
            if not target.exists():
                target.symlink_to(run)
            with pytest.raises(RunFolderError, match=f"in use by process {os.getpid()} on {socket.gethostname()} since 20"):
                fit(broken[0], target, resume=resume)
    assert not (run / HOLDER).exists()
    (tmp_path / "new").mkdir()
    with locked(tmp_path / "new"), pytest.raises(RunFolderError, match=r"in use by process .*--output"):
        fit(recipe, tmp_path / "new")


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = f"""
import os, sys
from pathlib import Path
from ctran.training.lock import locked
with locked(Path({str(tmp_path)!r})):
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 9 and (tmp_path / HOLDER).exists()
    with locked(tmp_path):
        assert json.loads((tmp_path / HOLDER).read_text())["pid"] == os.getpid()
    assert {p.name for p in tmp_path.iterdir()} == {LOCK}


def test_a_training_that_could_not_start_frees_its_lock(recipe, folder, tmp_path):
    (folder / "03.png").rename(folder / "moved.png")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"03\.png"):
            fit(recipe, tmp_path / "run")
        assert not (tmp_path / "run").exists()
