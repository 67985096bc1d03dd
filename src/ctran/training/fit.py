"""Recipe -> run folder."""

import json
import logging
import os
import platform
import sys
import time
import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from ctran import plots
from ctran.data.loading import PictureSet, loader
from ctran.data.table import SampleTable
from ctran.evaluation import Report, evaluate
from ctran.inference.tagger import Tagger
from ctran.progress import track
from ctran.training.pipeline import Ingredients, prepare
from ctran.training.recipe import Recipe
from ctran.training.task import LabelTask

VERSIONED = ("torch", "torchvision", "timm", "lightning", "datasets", "numpy", "pillow")


class RunFolderError(ValueError):
    """A run folder that is in the way, or that cannot be resumed."""


class RunFolder(Callback):
    """Keeps the run folder true after every epoch: best model, learning curves, what it takes to go on."""

    def __init__(self, run: Path, tagger: Tagger) -> None:
        self.run, self.tagger = run, tagger
        self.best, self.history = float("-inf"), list[dict[str, float]]()
        self.started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.history = state_dict["best"], state_dict["history"]

    @rank_zero_only
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, LabelTask)
        if trainer.sanity_checking or pl_module.report is None:
            return
        score = pl_module.report.score
        row = {"epoch": trainer.current_epoch + 1, "train_loss": pl_module.train_loss, "val_score": score}
        row |= {f"val_mAP_{100 * s.known_share:g}": s.hidden.mAP for s in pl_module.report.settings}
        self.history.append(row)
        write_json(self.run / "history.json", self.history)
        plots.learning_curves(self.history, self.run / "curves.png")
        if score > self.best or not (self.run / "model").exists():
            self.best = score
            Tagger(pl_module.evaluated, self.tagger.labels, self.tagger.config, self.tagger.preprocessing).save(
                self.run / "model"
            )
        if not sys.stderr.isatty():
            spent = time.monotonic() - self.started
            loss = f"loss {row['train_loss']:.4f}"
            print(f"epoch {row['epoch']}/{trainer.max_epochs}  {loss}  val mAP {score:.2f}  {spent:.0f} s", flush=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one step: readers see the old file or the new one, never half of one."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)


def versions() -> dict[str, str]:
    """What made a run: Python, libraries, processor."""
    found = {name: metadata.version(name) for name in VERSIONED}
    return {"python": platform.python_version(), "machine": platform.machine(), "ctran": metadata.version("ctran"), **found}


def start(recipe: Recipe, run: Path, *, resume: bool) -> None:
    """Make the run folder, or check that there is one to resume."""
    if resume:
        return
    if run.exists() and any(run.iterdir()):
        raise RunFolderError(f"{run} is there already: go on with --resume {run}, or give another folder with --output")
    run.mkdir(parents=True, exist_ok=True)
    recipe.save(run / "recipe.yaml")
    write_json(run / "versions.json", versions() | {"seed": recipe.seed})


def discard(run: Path) -> None:
    """Take back what :func:`start` wrote: a recipe that cannot be used leaves no folder in the way of its correction."""
    for name in ("recipe.yaml", "versions.json"):
        (run / name).unlink(missing_ok=True)
    run.rmdir()


def quiet() -> None:
    """Lightning's advice is for people who write trainers; ours is in the README."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    warnings.filterwarnings("ignore", message=".*lightning_fabric.*|.*dataloader.*workers.*|.*isinstance.treespec.*")


def fit(recipe: Recipe, run: Path, *, resume: bool = False) -> Report:
    """Train, keep the best model by ``val``, evaluate it on ``test``; returns that report.

    Everything is written into ``run`` as it becomes known: ``recipe.yaml``, ``versions.json``, ``history.json``,
    ``curves.png``, ``model/``, ``last.ckpt``, ``metrics.json``, ``metrics.md``, ``predictions.png``, ``skipped.json``.

    Raises:
        KeyboardInterrupt: after Ctrl-C; the folder holds all finished epochs and can be resumed.
    """
    quiet()
    rank, world = int(os.environ.get("LOCAL_RANK", 0)), recipe.training.devices
    if rank == 0:
        start(recipe, run, resume=resume)
    try:
        parts = prepare(recipe, rank=rank, world=world)
    except Exception:
        if rank == 0 and not resume:
            discard(run)
        raise
    if rank == 0:
        report_skipped(parts.tables, run)
    trainer, task = assemble(recipe, run, parts)
    last = run / "last.ckpt"
    try:
        trainer.fit(task, parts.train, parts.val, ckpt_path=last if resume and last.exists() else None, weights_only=True)
    except SystemExit:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt
    if rank:
        sys.exit(0)  # the first process does the rest
    return finish(recipe, run, parts.tables["test"])


def report_skipped(tables: dict[str, SampleTable], run: Path) -> None:
    """``skipped.json``: pictures that were left out on request; nothing where none was."""
    skipped = [{"split": s, "row": b.row, "reason": b.reason} for s, t in tables.items() for b in t.broken]
    if skipped:
        write_json(run / "skipped.json", skipped)
        print(f"{len(skipped)} pictures that could not be read were left out; {run / 'skipped.json'} lists them")


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
        callbacks.append(RichProgressBar(leave=False))
    if options.patience:
        callbacks.append(EarlyStopping("val_score", mode="max", patience=options.patience))
    strategy = options.strategy
    if options.devices > 1 and strategy in ("auto", "ddp") and (options.apart_epochs or options.hide_image):
        strategy = "ddp_find_unused_parameters_true"  # some steps leave the image tokens, or the anchor, without a gradient
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
    return trainer, task


def evaluate_run(tagger: Tagger, table: SampleTable, shares: Sequence[float], *, seed: int = 0, batch_size: int = 32) -> Report:
    """A model on a table of pictures, images read from the table."""
    batches = loader(PictureSet(table, tagger.labels, tagger.preprocessing), batch_size=batch_size)
    shown = track(batches, "evaluating", len(batches))
    on_device = (batch.to(tagger.device, non_blocking=True) for batch in shown)
    return evaluate(tagger.model, on_device, table.ids, tagger.labels, shares=shares, seed=seed)


def finish(recipe: Recipe, run: Path, test: SampleTable) -> Report:
    """Evaluate the best model on ``test``; write metrics and the page of predictions."""
    tagger = Tagger.load(run)
    report = evaluate_run(tagger, test, recipe.evaluation.known_share, seed=recipe.evaluation.seed)
    write_metrics(report, run / "metrics")
    plots.contact_sheet(tagger, test, run / "predictions.png")
    return report


def write_metrics(report: Report, stem: Path) -> None:
    """``stem.json`` and ``stem.md``."""
    write_json(stem.with_suffix(".json"), report.as_dict())
    stem.with_suffix(".md").write_text(report.markdown() + "\n")
