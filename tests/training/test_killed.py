"""kill -9 at random moments of a training, from its start to its report: resumed, it ends as if nothing had happened."""

import multiprocessing
import random
import time
from collections import Counter

import pytest

from ctran.training.fit import fit
from ctran.training.recipe import read_recipe
from tests.conftest import TOY
from tests.training.test_resume import change, results, train_from_here

AT_ONCE = 4
"""Kills of one run, at most, before it may end."""
STAGES = ("model/model.safetensors", "finished.json", "last.ckpt", "recipe.yaml")
"""Files of a run, the latest first: by them the moment of a kill is counted."""


@pytest.fixture
def recipe(folder):
    flags = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative", "--training.epochs", "3"]
    return read_recipe(None, [*TOY, *flags])


def stage(run):
    return next((name for name in STAGES if (run / name).exists()), "nothing")


def kill_after(seconds, recipe, run):
    """Train in a process and kill it after so long; whether it was still alive."""
    process = multiprocessing.get_context("fork").Process(target=train_from_here, args=(recipe, run))
    process.start()
    process.join(seconds)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def files(run):
    """Names of a run's files; those of TensorBoard have the time and the process in their names."""
    return {path.relative_to(run) for path in run.rglob("*") if path.is_file() and path.parent.name != "tensorboard"}


def check(recipe, tmp_path, kills, seed):
    """As many kills, spread over several runs; the moments at which they came."""
    chance, begun = random.Random(seed), time.monotonic()
    fit(recipe, tmp_path / "whole")
    longest, whole = time.monotonic() - begun, results(tmp_path / "whole")
    moments, number = Counter[str](), 0
    while moments.total() < kills:
        run, number = tmp_path / f"run-{number}", number + 1
        for _ in range(min(AT_ONCE, kills - moments.total())):
            if kill_after(chance.uniform(0, longest), recipe, run):
                moments[stage(run)] += 1
            if (run / "finished.json").exists():
                break
        train_from_here(recipe, run)
        assert results(run) == whole, f"run {number} of seed {seed}, after kills at {moments}"
        assert files(run) == files(tmp_path / "whole")
    return moments


@pytest.mark.usefixtures("unrendered")
def test_a_killed_training_ends_with_the_same_weights_and_reports(recipe, tmp_path):
    assert check(recipe, tmp_path, 3, seed=0).total() == 3


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("workers", [0, 1])
def test_fifty_kills_of_a_training_change_nothing(recipe, tmp_path, workers):
    moments = check(change(recipe, workers=workers), tmp_path, 25, seed=1 + workers)
    print(f"killed with {workers} workers, by the latest file: {dict(moments)}")
    assert len(moments) > 1
