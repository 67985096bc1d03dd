"""Recipe -> run folder."""

import hashlib
import json
import logging
import math
import os
import platform
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ctran import plots
from ctran.data.loading import PictureSet, loader
from ctran.data.table import SampleTable
from ctran.evaluation import Report, evaluate, no_nan
from ctran.inference.tagger import Tagger
from ctran.progress import track
from ctran.training.pipeline import Ingredients, build_tables, prepare
from ctran.training.recipe import Recipe
from ctran.training.task import LabelTask

VERSIONED = ("torch", "torchvision", "timm", "lightning", "datasets", "numpy", "pillow")


class RunFolderError(ValueError):
    """A run folder that is in the way, or whose data are others now."""


class RunFolder(Callback):
    """Keeps the run folder true after every epoch: best model, learning curves, what it takes to go on."""

    def __init__(self, run: Path, tagger: Tagger) -> None:
        self.run, self.tagger = run, tagger
        self.best, self.history = -math.inf, list[dict[str, float]]()
        self.started, self.warned = time.monotonic(), False

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
        if math.isnan(score) and not self.warned:
            self.warned = True
            print(
                "val has no label that is positive somewhere, so the latest epoch is kept instead of the best", file=sys.stderr
            )
        if score > self.best or math.isnan(score) or not (self.run / "model").exists():
            self.best = -math.inf if math.isnan(score) else score
            Tagger(pl_module.evaluated, self.tagger.labels, self.tagger.config, self.tagger.preprocessing).save(
                self.run / "model"
            )
        if not sys.stderr.isatty():
            spent = time.monotonic() - self.started
            loss = f"loss {row['train_loss']:.4f}"
            print(f"epoch {row['epoch']}/{trainer.max_epochs}  {loss}  val mAP {score:.2f}  {spent:.0f} s", flush=True)

    @rank_zero_only
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        write_json(self.run / "finished.json", {"epochs": len(self.history), "best_val_score": self.best})


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one step: readers see the old file or the new one, never half of one."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(no_nan(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
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


def digest_of(table: SampleTable) -> str:
    """Digest of ids and truth: two tables of one digest train and test the same."""
    digest = hashlib.sha256("\0".join((*table.labels.names, *table.ids)).encode())
    digest.update(table.truth.numpy().tobytes())
    return digest.hexdigest()[:24]


def check_data(tables: dict[str, SampleTable], run: Path, splits: Sequence[str]) -> str:
    """Compare the data with those that the run began with (``data.json``, written by the first call).

    Returns what has changed in ``splits``; an empty string where nothing has.
    """
    now = {s: {"pictures": len(t), "digest": digest_of(t)} for s, t in tables.items()}
    path = run / "data.json"
    if not path.exists():
        write_json(path, now)
    then = json.loads(path.read_text())
    changed = [f"{s} ({then[s]['pictures']} pictures then, {now[s]['pictures']} now)" for s in splits if then[s] != now[s]]
    return f"pictures, labels or splits are not those that {run} was trained with: {', '.join(changed)}" if changed else ""


def discard(run: Path) -> None:
    """Take back what :func:`start` wrote: a recipe that cannot be used leaves no folder in the way of its correction."""
    for name in ("recipe.yaml", "versions.json", "data.json", "skipped.json"):
        (run / name).unlink(missing_ok=True)
    if not any(run.iterdir()):
        run.rmdir()


def quiet() -> None:
    """Lightning's advice is for people who write trainers; ours is in the README."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    warnings.filterwarnings("ignore", message=".*lightning_fabric.*|.*dataloader.*workers.*|.*isinstance.treespec.*")


def fit(recipe: Recipe, run: Path, *, resume: bool = False) -> Report:
    """Train, keep the best model by ``val``, evaluate it on ``test``; returns that report.

    Everything is written into ``run`` as it becomes known: ``recipe.yaml``, ``versions.json``, ``data.json``,
    ``skipped.json``, ``history.json``, ``curves.png``, ``model/``, ``last.ckpt``, ``finished.json``, ``metrics.json``,
    ``metrics.md``, ``predictions.png``.

    Raises:
        RunFolderError: the folder is in use, or the data of the run to be resumed have changed.
        KeyboardInterrupt: after Ctrl-C; the folder holds all finished epochs and can be resumed.
    """
    quiet()
    rank, world = int(os.environ.get("LOCAL_RANK", 0)), recipe.training.devices
    if rank == 0:
        start(recipe, run, resume=resume)
    try:
        tables = build_tables(recipe)
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
        trainer.fit(task, parts.train, parts.val, ckpt_path=last if resume and last.exists() else None, weights_only=True)
    except SystemExit:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt
    if rank:
        sys.exit(0)  # the first process does the rest
    return finish(recipe, run, tables["test"])


def report_skipped(tables: dict[str, SampleTable], run: Path) -> None:
    """``skipped.json``: pictures that were left out on request; nothing where none was."""
    skipped = [{"split": s, "row": b.row, "reason": b.reason} for s, t in tables.items() for b in t.broken]
    if skipped:
        write_json(run / "skipped.json", skipped)
        print(f"{len(skipped)} pictures that could not be read were left out; {run / 'skipped.json'} lists them")


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
    if options.devices > 1 and strategy in ("auto", "ddp") and (options.apart_epochs or options.hide_image):
        strategy = "ddp_find_unused_parameters_true"  # some steps leave the image tokens, or the anchor, without a gradient
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
    tagger: Tagger, table: SampleTable, shares: Sequence[float], *, seed: int = 0, split: str = "test", batch_size: int = 32
) -> Report:
    """A model on a table of pictures, images read from the table. ``split`` is what the report calls it."""
    batches = loader(PictureSet(table, tagger.labels, tagger.preprocessing), batch_size=batch_size)
    shown = track(batches, "evaluating", len(batches))
    on_device = (batch.to(tagger.device, non_blocking=True) for batch in shown)
    found = evaluate(tagger.model, on_device, table.ids, tagger.labels, shares=shares, seed=seed)
    return replace(found, split=split, seed=seed)


def finish(recipe: Recipe, run: Path, test: SampleTable) -> Report:
    """Evaluate the best model on ``test``; write metrics and the page of predictions."""
    tagger = Tagger.load(run)
    report = evaluate_run(tagger, test, recipe.evaluation.known_share, seed=recipe.evaluation.seed)
    write_metrics(report, run / "metrics")
    plots.contact_sheet(tagger, test, run / "predictions.png")
    return report


def write_metrics(report: Report, stem: Path) -> None:
    """``stem.json`` and ``stem.md``."""
    write_json(stem.with_name(stem.name + ".json"), report.as_dict())
    stem.with_name(stem.name + ".md").write_text(report.markdown() + "\n", encoding="utf-8")
