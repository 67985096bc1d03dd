"""Processes of one training: a lost one ends all with a clear error; work that they share is done once."""

import os
import signal
import time

import numpy as np
import pytest
import torch

from ctran.data.feature_cache import FeatureCache, is_finished
from ctran.data.feature_cache_parts import build_blocks, finish, missing_blocks
from ctran.errors import UserError
from ctran.model.backbone import Features
from ctran.training.fit import fit
from ctran.training.group import joined
from ctran.training.options import Training
from ctran.training.processes import Place
from ctran.training.recipe import read_recipe
from tests.conftest import TOY
from tests.training.forked import in_processes
from tests.training.test_processes import change, gaps  # noqa: F401  (a fixture)
from tests.training.test_resume import results

OPTIONS = Training(devices=2, accelerator="cpu", heartbeat=15.0)


def meet(folder, then):
    """What a process does: it joins the group, meets the others, and goes on with ``then(group)``."""

    def enter(rank):
        with joined(Place(rank, 2, rank, "torchrun"), OPTIONS, folder / "run") as group:
            group.barrier("met")
            then(group)

    return enter


def test_processes_gather_their_values_and_part_in_peace(tmp_path):
    def talk(group):
        for number in range(3):
            found = group.gather("number", str(10 * number + group.rank))
            assert found == [str(10 * number), str(10 * number + 1)]
        total = torch.ones(3)
        torch.distributed.all_reduce(total)
        assert total.tolist() == [2, 2, 2]

    statuses, printed = in_processes(2, tmp_path, meet(tmp_path, talk))
    assert statuses == [0, 0] and "Traceback" not in printed and "ctran train" not in printed, printed


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_ends_the_other_with_a_clear_error(tmp_path, lost, how):
    """Killed, or stopped as by a machine that hangs; the other one waits in an operation of both."""

    def vanish(group):
        if group.rank == lost:
            os.kill(os.getpid(), how)
        while True:
            torch.distributed.all_reduce(torch.ones(1))

    def watch(started):
        begun = time.monotonic()
        started[1 - lost].join(60)
        assert not started[1 - lost].is_alive() and time.monotonic() - begun < 60

    statuses, printed = in_processes(2, tmp_path, meet(tmp_path, vanish), watch, seconds=1)
    assert statuses[1 - lost] == 1
    lines = [line for line in printed.splitlines() if line.startswith("ctran train: ")]
    assert len(lines) == 1 and f"process {lost} of 2 (from 0) " in lines[0], printed
    assert lines[0].endswith(f"All finished epochs are kept. Go on with: ctran train --resume {tmp_path / 'run'}")
    assert "Traceback" not in printed


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_one_process_ends_the_other_and_names_it_once(tmp_path, failing):
    def fail(group):
        if group.rank == failing:
            raise UserError("no such picture")
        group.barrier("never")

    statuses, printed = in_processes(2, tmp_path, meet(tmp_path, fail))
    assert statuses == [1, 1]
    if failing:
        assert "process 1 of 2 (from 0) stopped with an error: no such picture. All finished" in printed
    assert printed.count("no such picture") == 1


def test_a_run_whose_second_process_is_killed_ends_and_is_resumed_to_the_same_weights(gaps, tmp_path):  # noqa: F811
    flags = [*TOY, "--source", "imagefolder", "--root", str(gaps), "--absent", "unknown", "--training.epochs", "4"]
    recipe = change(read_recipe(None, flags), devices=2, backbone_learning_rate=0.0, heartbeat=30.0)

    def kill_after_an_epoch(started):
        until = time.monotonic() + 200
        while not (tmp_path / "killed" / "last.ckpt").exists() and time.monotonic() < until:
            time.sleep(0.01)
        started[1].kill()
        begun = time.monotonic()
        started[0].join(60)
        assert time.monotonic() - begun < 60 and not started[0].is_alive()

    assert in_processes(2, tmp_path, lambda rank: fit(recipe, tmp_path / "whole"))[0] == [0, 0]
    statuses, printed = in_processes(2, tmp_path, lambda rank: fit(recipe, tmp_path / "killed"), kill_after_an_epoch)
    assert statuses == [1, -signal.SIGKILL], printed
    assert "process 1 of 2" in printed and f"ctran train --resume {tmp_path / 'killed'}" in printed
    statuses, printed = in_processes(2, tmp_path, lambda rank: fit(recipe, tmp_path / "killed", resume=True))
    assert statuses == [0, 0], printed
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


# ------------------------------------------------------------------------------ features


def features_of(view, numbers):
    """Values that follow from view and picture alone."""
    place = torch.tensor([[1000.0 * view + number] for number in numbers])
    return Features.of_arrays({"tokens": place[:, None] + torch.arange(4.0).view(1, 2, 2) / 8}, (1, 2))


def cache_in(folder):
    return FeatureCache(folder, (2, 150), {"tokens": (2, 2)}, (1, 2), {"what": "test"})


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_cache_that_two_processes_have_built_equals_that_of_one(tmp_path):
    """300 rows are five blocks; one of them ends the first view and begins the second. Each is computed once."""
    cache_in(tmp_path / "one").build(features_of)
    cache_in(tmp_path / "two")

    def build(group):
        cache, seen = cache_in(tmp_path / "two"), []
        mine = missing_blocks(cache)[group.rank :: 2]
        group.barrier("planned")

        def make(view, numbers):
            seen.extend(1000 * view + n for n in numbers)
            return features_of(view, numbers)

        build_blocks(cache, mine, group.rank, make, lambda rows: None)
        found = group.gather("seen", ",".join(map(str, seen)))
        rows = [int(row) for each in found for row in each.split(",")]
        assert len(set(rows)) == len(rows) == 300 and min(len(each.split(",")) for each in found) > 100
        if group.rank == 0:
            finish(cache)

    statuses, printed = in_processes(2, tmp_path, meet(tmp_path, build))
    assert statuses == [0, 0], printed
    assert files(tmp_path / "two") == files(tmp_path / "one") and is_finished(tmp_path / "two", 300)
    found = cache_in(tmp_path / "two").read(np.array([1, 0]), np.array([7, 149]))
    assert found.arrays["tokens"][:, 0, 0].tolist() == pytest.approx([1007, 149], rel=1e-3)


def test_blocks_that_a_killed_process_recorded_are_not_computed_again(tmp_path):
    cache = cache_in(tmp_path / "cache")
    build_blocks(cache, [0, 3], 0, features_of, lambda rows: None)
    build_blocks(cache, [1], 1, features_of, lambda rows: None)
    with (tmp_path / "cache" / "blocks-1.txt").open("a") as record:
        record.write("2")  # killed while it was written
    assert missing_blocks(cache_in(tmp_path / "cache")) == [2, 4]
    build_blocks(cache, [2, 4], 1, features_of, lambda rows: None)
    assert missing_blocks(cache) == []
    finish(cache)
    cache_in(tmp_path / "one").build(features_of)
    assert files(tmp_path / "cache") == files(tmp_path / "one")
    (tmp_path / "one" / "tokens.npy").unlink()
    (tmp_path / "one" / "blocks-0.txt").write_text("0.\n1.\n")  # of files that are gone
    assert missing_blocks(cache_in(tmp_path / "one")) == [0, 1, 2, 3, 4]


def test_two_processes_train_on_features_that_each_has_computed_a_part_of(gaps, tmp_path, monkeypatch):  # noqa: F811
    flags = [*TOY, "--source", "imagefolder", "--root", str(gaps), "--absent", "unknown", "--training.epochs", "1"]
    recipe = change(read_recipe(None, flags), backbone_learning_rate=0.0, feature_views=2)
    caches = {}
    for run, devices in (("one", 1), ("two", 2)):
        monkeypatch.setenv("CTRAN_CACHE", str(tmp_path / f"cache-{run}"))
        asked = change(recipe, devices=devices)
        if devices == 1:
            fit(asked, tmp_path / run)
        else:
            statuses, printed = in_processes(2, tmp_path, lambda rank, asked=asked: fit(asked, tmp_path / "two"))
            assert statuses == [0, 0], printed
        found = (tmp_path / f"cache-{run}" / "features").rglob("*")
        caches[run] = {path.relative_to(tmp_path / f"cache-{run}"): path.read_bytes() for path in found if path.is_file()}
    assert len(caches["one"]) >= 6 and caches["two"] == caches["one"]
