"""Recipe -> run folder."""

import logging
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ctran import plots
from ctran.data.loading import PictureSet, loader
from ctran.data.table import SampleTable
from ctran.evaluation import predict, report
from ctran.inference.tagger import Tagger
from ctran.progress import track
from ctran.report import Report
from ctran.training.deterministic import deterministic, try_step
from ctran.training.options import Evaluation
from ctran.training.pipeline import Ingredients, build_tables, prepare, training_device
from ctran.training.recipe import Recipe
from ctran.training.run_folder import (
    RunFolder,
    RunFolderError,
    check_data,
    discard,
    freeze,
    report_skipped,
    start,
    write_metrics,
)
from ctran.training.task import LabelTask


def quiet() -> None:
    """Lightning's advice is for people who write trainers; ours is in the README."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    warnings.filterwarnings(
        "ignore", message=".*lightning_fabric.*|.*dataloader.*workers.*|.*isinstance.treespec.*|.*worker processes in total.*"
    )


def fit(recipe: Recipe, run: Path, *, resume: bool = False) -> Report:
    """Train, keep the best model by ``val``, evaluate it on ``test``; returns that report.

    Everything is written into ``run`` as it becomes known: ``recipe.yaml``, ``versions.json``, ``data.json``, ``labels.json``,
    ``skipped.json``, ``history.json``, ``curves.png``, ``model/``, ``last.ckpt``, ``finished.json``, ``metrics.json``,
    ``metrics.md``, ``predictions.png``.

    Raises:
        RunFolderError: the folder is in use, or the data of the run to be resumed have changed.
        KeyboardInterrupt: after Ctrl-C; the folder holds all finished epochs and can be resumed.
    """
    quiet()
    with deterministic(recipe.training.deterministic):
        return train(recipe, run, resume=resume)


def train(recipe: Recipe, run: Path, *, resume: bool) -> Report:
    """:func:`fit`, with the settings of PyTorch that are in force."""
    rank, world = int(os.environ.get("LOCAL_RANK", 0)), recipe.training.devices
    if rank == 0:
        start(recipe, run, resume=resume)
    try:
        tables = build_tables(recipe)
        if rank == 0 and not resume:
            freeze(recipe, tables, run)
        if rank == 0 and (changed := check_data(tables, run, tuple(tables))):
            raise RunFolderError(f"{changed}. Train anew with --output")
        if resume and (run / "finished.json").exists():
            return finish(recipe, run, tables["test"])
        parts = prepare(recipe, tables, rank=rank, world=world)
        if rank == 0:
            report_skipped(tables, run)
        trainer, task = assemble(recipe, run, parts)
    except Exception:
        if rank == 0 and not resume:
            discard(run)
        raise
    last = run / "last.ckpt"
    try:
        try_step(parts.tagger.model, parts.train, training_device(recipe.training, rank))
        trainer.fit(task, parts.train, parts.val, ckpt_path=last if resume and last.exists() else None, weights_only=True)
    except SystemExit:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt
    if rank:
        sys.exit(0)  # the first process does the rest
    return finish(recipe, run, tables["test"])


class Bar(RichProgressBar):
    """Lightning's bar without the name of the log folder."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        return {k: v for k, v in super().get_metrics(trainer, pl_module).items() if k != "v_num"}


class SetEpoch(Callback):
    """Tells loaders which epoch it is, so that order and augmentation follow from seed and epoch."""

    def __init__(self, parts: Ingredients) -> None:
        self.parts = parts

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.set(trainer.current_epoch)

    def set(self, epoch: int) -> None:
        self.parts.order.epoch = epoch
        self.parts.train.dataset.epoch.fill_(epoch)  # pyright: ignore[reportAttributeAccessIssue]


def assemble(recipe: Recipe, run: Path, parts: Ingredients) -> tuple[L.Trainer, LabelTask]:
    """The trainer of a recipe and what it trains."""
    options = recipe.training
    task = LabelTask(parts.tagger.model, parts.labels, recipe, parts.tables["val"].ids)
    callbacks: list[Callback] = [
        SetEpoch(parts),
        RunFolder(run, parts.tagger),
        ModelCheckpoint(run, "last", save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True),
    ]
    if sys.stderr.isatty():
        callbacks.append(Bar(leave=False))
    if options.patience:
        callbacks.append(EarlyStopping("val_score", mode="max", patience=options.patience, check_finite=False))
    strategy = options.strategy
    unused = options.apart_epochs or options.hide_image or not getattr(recipe.model, "use_image", True)
    if options.devices > 1 and strategy in ("auto", "ddp") and unused:
        strategy = "ddp_find_unused_parameters_true"  # some steps leave the image's part, or the anchor, without a gradient
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
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise RunFolderError(f"training.accelerator, devices, strategy or precision: {error}") from None
    return trainer, task


def evaluate_run(
    tagger: Tagger, table: SampleTable, options: Evaluation, *, split: str = "test", batch_size: int = 32, intervals: int = 0
) -> Report:
    """A model on a table of pictures, images read from the table.

    Args:
        options: what the model is told, how often that is drawn, which published metrics are reported as well.
        split: what the report calls the table.
        intervals: replicates of the bootstrap over pictures; 0 gives no intervals.
    """
    batches = loader(PictureSet(table, tagger.labels, tagger.preprocessing), batch_size=batch_size)
    shown = track(batches, "evaluating", len(batches))
    on_device = (batch.to(tagger.device, non_blocking=True) for batch in shown)
    settings = options.settings()
    truth, answers = predict(
        tagger.model, on_device, table.ids, tagger.labels, settings, seed=options.seed, draws=options.draws
    )
    found = report(truth, answers, tagger.labels, presets=options.presets, intervals=intervals)
    return replace(found, split=split, seed=options.seed)


def finish(recipe: Recipe, run: Path, test: SampleTable) -> Report:
    """Evaluate the best model on ``test``; write metrics and the page of predictions."""
    tagger = Tagger.load(run)
    found = evaluate_run(tagger, test, recipe.evaluation)
    write_metrics(found, run / "metrics")
    plots.contact_sheet(tagger, test, run / "predictions.png")
    return found
