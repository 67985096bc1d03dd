"""The shards of a job as tasks of a Ray cluster: the same function, on whatever nodes there are.

Tasks, not actors: a task whose node has died is run again on another, and a process keeps its model for the next shard.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from ctran.collection.options import Job
from ctran.collection.predict_shard import Done, Work, predict_shard
from ctran.collection.rows import Shard
from ctran.collection.run import Meter, Summary, left, make_work, open_model, prepare, shards, summary
from ctran.folders.runtimes import require

_loaded: dict[str, Work] = {}
"""The job of this process, loaded once."""


def predict_one(job: Job, shard: Shard, name: str) -> Done:
    """What a task does: one shard, by the model that its process has, or loads now."""
    key = repr(job)
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = make_work(job, open_model(job))
    return predict_shard(_loaded[key], shard, name)


def run_with_ray(job: Job) -> Summary:
    """:func:`ctran.collection.run.run` on a Ray cluster: that of ``RAY_ADDRESS``, or this machine.

    The model folder, and places that are paths, must be the same on all nodes. A task takes a GPU where the cluster has any, or
    else a processor; and one for each process that decodes.

    Raises:
        MissingRuntimeError: Ray is not installed.
        UserError: as :func:`~ctran.collection.run.run`.
    """
    ray = require("ray", "ray")
    prepared = prepare(replace(job, device="cpu", workers=0))
    mine, todo, with_errors = left(job, prepared.planned)
    own = not ray.is_initialized()
    if own:
        ray.init(log_to_driver=False)  # RAY_ADDRESS, or this machine
    try:
        needs: dict[str, Any] = {"num_cpus": max(1, job.workers)}
        gpus = ray.cluster_resources().get("GPU", 0) if job.device == "auto" else 0
        needs |= {"num_gpus": 1} if gpus else {}
        task = ray.remote(max_retries=-1, **needs)(predict_one)
        most = 2 * max(1, int(gpus or ray.cluster_resources().get("CPU", 1) / needs["num_cpus"]))
        done: list[Done] = []
        with Meter(prepared.planned, mine, todo) as meter:
            for shard, found in _each(ray, task, job, shards(prepared, todo), most):
                done.append(found)
                meter.advance(found.predicted + found.failed)
                meter.finished(shard)
    finally:
        if own:
            ray.shutdown()
    return summary(prepared.planned, mine, todo, with_errors, done)


def _each(ray: Any, task: Any, job: Job, found: Iterator[tuple[Shard, str]], most: int) -> Iterator[tuple[Shard, Done]]:
    """What was done of each shard, as it ends; so many are in flight at most."""
    flying = {task.remote(job, shard, name): shard for shard, name in islice(found, most)}
    while flying:
        (ready, *_), _ = ray.wait(list(flying), num_returns=1)
        shard = flying.pop(ready)
        yield shard, ray.get(ready)
        for shard, name in islice(found, 1):
            flying[task.remote(job, shard, name)] = shard
