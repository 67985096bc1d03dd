"""Recipe -> run folder."""

import logging
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ctran import plots
from ctran.analysis.candidates import candidates, markdown
from ctran.analysis.predict_table import predict_table
from ctran.data.table import SampleTable
from ctran.evaluation.evaluate import report
from ctran.evaluation.report import Report
from ctran.files import write_text
from ctran.folders.card import model_card
from ctran.folders.tagger import Tagger
from ctran.training.budget import within_budget
from ctran.training.callbacks import Bar, EpochLines, Patience, SetEpoch
from ctran.training.checkpoint import Checkpoints, checkpoint_to_resume
from ctran.training.deterministic import deterministic, try_step
from ctran.training.extend import FINISHED, extend
from ctran.training.lock import RunFolderError, locked
from ctran.training.matching import match_labels, own_decoder
from ctran.training.options import Evaluation
from ctran.training.pipeline import Ingredients, build_tables, prepare, training_device
from ctran.training.processes import processes
from ctran.training.recipe import Recipe
from ctran.training.run_folder import (
    RunFolder,
    check_data,
    check_free,
    discard,
    freeze,
    report_skipped,
    start,
    write_json,
    write_metrics,
)
from ctran.training.sizes import check_batches, check_enough, check_unknown_share
from ctran.training.task import LabelTask

CANDIDATES = "candidates.md"
"""In a run folder: what each part of the method predicts alone."""


def quiet() -> None:
    """Hide Lightning's messages, which are meant for authors of trainers."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    warnings.filterwarnings(
        "ignore", message=".*lightning_fabric.*|.*dataloader.*workers.*|.*isinstance.treespec.*|.*worker processes in total.*"
    )


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
    quiet()
    rank, world = processes(recipe.training.devices)
    with deterministic(recipe.training.deterministic):
        if rank:
            train(recipe, run, build_tables(recipe), rank, world, resume=resume, budget=budget)
            sys.exit(0)  # the first process does the rest
        return lead(recipe, run, world, resume=resume, budget=budget)


def lead(recipe: Recipe, run: Path, world: int, *, resume: bool, budget: float | None = None) -> Report:
    """The first process of a training, which alone writes the run folder."""
    if not resume:
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
        except Exception:
            if not resume:
                discard(run)
            raise
        if not (resume and (run / FINISHED).exists()):
            train(recipe, run, tables, 0, world, resume=resume, budget=budget)
        return finish(recipe, run, tables)


def train(
    recipe: Recipe,
    run: Path,
    tables: dict[str, SampleTable],
    rank: int,
    world: int,
    *,
    resume: bool,
    budget: float | None = None,
) -> None:
    """Train in one of ``world`` processes; a resumed run starts from its newest intact checkpoint."""
    try:
        check_enough(recipe, tables, world)
        check_unknown_share(recipe.training, tables["train"].labels)
        parts = prepare(recipe, tables, rank=rank, world=world, resume=resume)
        check_batches(recipe, parts.tagger.model, -(-len(tables["train"]) // world))
        if budget is not None:
            recipe = within_budget(recipe, parts, budget - parts.fit_seconds, run)
        if rank == 0:
            report_skipped(tables, run)
        trainer, task, folder = assemble(recipe, run, parts)
        checkpoint = checkpoint_to_resume(run) if resume and recipe.training.epochs else None
    except Exception:
        if rank == 0 and not resume:
            discard(run)
        raise
    try:
        if recipe.training.epochs:
            try_step(parts.tagger.model, parts.train, training_device(recipe.training, rank))
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


def assemble(recipe: Recipe, run: Path, parts: Ingredients) -> tuple[L.Trainer, LabelTask, RunFolder]:
    """The trainer of a recipe, its module, and the callback that writes the run folder."""
    options = recipe.training
    tables = parts.tables
    task = LabelTask(
        parts.tagger.model,
        parts.labels,
        recipe,
        tables["val"].ids,
        tables["train"].ids,
        parts.tagger.unlearnable.reasons,
    )
    folder = RunFolder(run, parts.tagger)
    callbacks: list[Callback] = [
        SetEpoch(parts),
        folder,
        ModelCheckpoint(run, "last", save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True),
    ]
    callbacks.append(Bar(leave=False) if sys.stderr.isatty() else EpochLines())
    if options.patience:
        callbacks.append(Patience(options.patience))
    strategy = options.strategy
    unused = len(recipe.model.stages(options.epochs)) > 1 or options.hide_image or not parts.tagger.model.uses_image
    if options.devices > 1 and strategy in ("auto", "ddp") and unused:
        strategy = "ddp_find_unused_parameters_true"  # some steps leave parts of the model without a gradient
    try:
        trainer = L.Trainer(
            accelerator=options.accelerator,
            devices=options.devices,
            strategy=strategy,
            precision=options.precision,
            max_epochs=options.epochs,
            gradient_clip_val=options.clip_norm or None,
            logger=TensorBoardLogger(run, name="", version="tensorboard"),
            callbacks=callbacks,
            plugins=[Checkpoints()],
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
            inference_mode=not parts.tagger.model.needs_grad,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise RunFolderError(f"training.accelerator, devices, strategy or precision: {error}") from None
    if options.precision == "16-mixed" and trainer.strategy.root_device.type == "cpu":
        raise RunFolderError("training.precision 16-mixed needs a GPU, and training is on the CPU: set bf16-mixed or 32-true")
    return trainer, task, folder


def evaluate_run(
    tagger: Tagger, table: SampleTable, options: Evaluation, *, split: str = "test", batch_size: int = 32, intervals: int = 0
) -> Report:
    """Evaluate a model on a table of pictures, with images read from it.

    Args:
        options: known labels of each setting, number of draws, and additional published metrics.
        split: name of the table in the report.
        intervals: replicates of the bootstrap over pictures; 0 for no intervals.
    """
    coverage = match_labels(tagger.labels, table.labels)
    truth, outputs = predict_table(
        tagger,
        table,
        options.settings(),
        seed=options.seed,
        draws=options.draws,
        batch_size=batch_size,
        what="evaluating",
    )
    found = report(
        truth,
        outputs,
        tagger.labels,
        presets=options.presets,
        intervals=intervals,
        left_out={**tagger.unlearnable.reasons, **coverage.left_out},
        decoder=own_decoder(tagger),
    )
    coverage = replace(found.coverage, foreign=coverage.foreign, hints=coverage.hints)
    return replace(found, split=split, seed=options.seed, coverage=coverage)


def compare_parts(tagger: Tagger, val: SampleTable, recipe: Recipe, run: Path) -> None:
    """Write what each part of a method predicts alone, if it has parts (``candidates.json``, ``candidates.md``)."""
    options = recipe.evaluation
    found = candidates(tagger, val, options.settings(), seed=options.seed, left_out=tagger.unlearnable.reasons)
    if found:
        write_json(run / "candidates.json", [asdict(each) for each in found])
        write_text(run / CANDIDATES, markdown(found, options.settings(), len(val)))


def finish(recipe: Recipe, run: Path, tables: dict[str, SampleTable]) -> Report:
    """Compare the best model with its parts on ``val`` and evaluate it on ``test``, on the device it was trained on; write
    metrics and the page of predictions."""
    tagger, test = Tagger.load(run, training_device(recipe.training)), tables["test"]
    compare_parts(tagger, tables["val"], recipe, run)
    found = evaluate_run(tagger, test, recipe.evaluation)
    write_metrics(found, run / "metrics")
    write_text(run / "model" / "README.md", model_card(tagger, source=recipe.source, report=found))
    plots.contact_sheet(tagger, test, run / "predictions.png")
    return found
