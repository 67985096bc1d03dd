"""Recipe -> run folder."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lightning.pytorch.callbacks import Callback

from ctran.data.table import SampleTable
from ctran.evaluation.report import Report
from ctran.training.budget import within_budget
from ctran.training.callbacks import Patience
from ctran.training.checkpoint import checkpoint_to_resume, epochs_of
from ctran.training.deterministic import deterministic, try_step
from ctran.training.evaluation import finish
from ctran.training.extend import FINISHED, extend
from ctran.training.group import Group, joined
from ctran.training.lock import RunFolderError, locked
from ctran.training.pipeline import build_tables, prepare, training_device
from ctran.training.processes import processes
from ctran.training.recipe import Recipe
from ctran.training.run_folder import check_data, check_free, check_resumable, discard, freeze, report_skipped, start
from ctran.training.sizes import check_batches, check_enough, check_unknown_share
from ctran.training.trainer import assemble, quiet

Result = TypeVar("Result")


def fit(recipe: Recipe, run: Path, *, resume: bool = False, budget: float | None = None) -> Report:
    """Train, keep the best model by ``val``, evaluate it on ``test``; returns that report.

    Files are written into ``run`` as soon as possible: ``recipe.yaml``, ``versions.json``, ``data.json``, ``labels.json``,
    ``skipped.json``, ``history.json``, ``curves.png``, ``model/``, ``last.ckpt`` and the one before it, ``previous.ckpt``,
    ``finished.json``, ``metrics.json``, ``metrics.md``, ``predictions.png``; of a method that is made of simpler predictors
    ``candidates.json`` and ``candidates.md``. A resumed run writes the files that are still
    missing. A run resumed with more epochs (``training.epochs``) than it recorded trains further, see
    :mod:`ctran.training.extend`.

    Args:
        resume: go on with the run in the folder.
        budget: seconds for fits and epochs, once image features are stored: fewer epochs than the recipe's where these would
            take longer (:mod:`ctran.training.budget`). None for no limit.

    Raises:
        RunFolderError: the folder is in use, its checkpoints are damaged, or the data of the run to be resumed have changed.
        DivergedError: the loss became NaN or infinite; what was saved before is kept.
        KeyboardInterrupt: after Ctrl-C; the folder holds all finished epochs and can be resumed.
    """
    return _run(recipe, run, finish, resume=resume, budget=budget)


def fit_only(recipe: Recipe, run: Path, *, resume: bool = False, budget: float | None = None) -> None:
    """As :func:`fit`, without the evaluation at the end: for a run of which only the score on ``val`` is of interest.

    :func:`fit` with ``resume`` writes what is missing.
    """
    _run(recipe, run, lambda recipe, run, tables: None, resume=resume, budget=budget)


def _run(
    recipe: Recipe,
    run: Path,
    end: Callable[[Recipe, Path, dict[str, SampleTable]], Result],
    *,
    resume: bool,
    budget: float | None,
) -> Result:
    """Train in every process; the first then does what belongs to the end."""
    quiet()
    place = processes(recipe.training.devices, recipe.training.nodes)
    with joined(place, recipe.training, run) as group, deterministic(recipe.training.deterministic):
        if not place.rank:
            return lead(recipe, run, group, end, resume=resume, budget=budget)
        group.barrier("ready")  # tables and run folder are checked
        train(recipe, run, build_tables(recipe), group, resume=resume, budget=budget)
    sys.exit(0)  # the first process does the rest


def lead(
    recipe: Recipe,
    run: Path,
    group: Group,
    end: Callable[[Recipe, Path, dict[str, SampleTable]], Result],
    *,
    resume: bool,
    budget: float | None = None,
) -> Result:
    """The first process of a training, which alone writes the run folder."""
    if resume:
        check_resumable(run)
    else:
        check_free(run)
        run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        start(recipe, run, resume=resume)
        try:
            tables = build_tables(recipe)
            if changed := check_data(tables, run, tuple(tables)):
                raise RunFolderError(f"{changed}. Start a new training with --output")
            freeze(recipe, tables, run)
            if resume:
                extend(recipe, run)
            check_enough(recipe, tables, group.world)
            check_unknown_share(recipe.training, tables["train"].labels)
        except Exception:
            if not resume:
                discard(run)
            raise
        if not (resume and (run / FINISHED).exists()):
            group.join()
            group.barrier("ready")
            train(recipe, run, tables, group, resume=resume, budget=budget)
            group.leave()
        return end(recipe, run, tables)


def train(
    recipe: Recipe,
    run: Path,
    tables: dict[str, SampleTable],
    group: Group,
    *,
    resume: bool,
    budget: float | None = None,
) -> None:
    """Train in one of the processes of ``group``; a resumed run starts from its newest intact checkpoint."""
    rank = group.rank
    try:
        parts = prepare(recipe, tables, group=group, resume=resume)
        check_batches(recipe, parts.tagger.model, -(-len(tables["train"]) // group.world))
        if budget is not None:
            recipe = within_budget(recipe, parts, budget - parts.fit_seconds, run)
        if rank == 0:
            report_skipped(tables, run)
        trainer, task, folder = assemble(recipe, run, parts)
        checkpoint = checkpoint_to_resume(run) if resume and recipe.training.epochs else None
        _check_shared(group, run, checkpoint)
    except Exception:
        if rank == 0 and not resume:
            discard(run)
        raise
    try:
        if recipe.training.epochs:
            try_step(parts.tagger.model, parts.train, training_device(recipe.training, group.place.local_rank))
            trainer.fit(task, parts.train, parts.val, ckpt_path=checkpoint, weights_only=True)
        else:
            trainer.validate(task, parts.val, verbose=False)
    except SystemExit:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt
    if rank == 0:
        callbacks: list[Callback] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]  (set by a part of it)
        patience = next((c for c in callbacks if isinstance(c, Patience)), None)
        folder.finish(recipe.training.epochs, patience.reason if patience else "")


def _check_shared(group: Group, run: Path, checkpoint: Path | None) -> None:
    """Refuse processes that go on from different checkpoints: of a run folder that is not the same for all machines."""
    found = group.gather("checkpoint", "" if checkpoint is None else f"{checkpoint.name}, epoch {epochs_of(checkpoint)}")
    if len(set(found)) > 1:
        seen = "; ".join(f"process {rank} sees {name or 'none'}" for rank, name in enumerate(found))
        raise RunFolderError(
            f"{run}: the processes do not see the same checkpoint ({seen}): use a folder that all machines share"
        )
