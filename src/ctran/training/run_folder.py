"""The run folder: its files, and how they are kept up to date."""

import hashlib
import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from ctran import losses, methods, plots, registry
from ctran.data import sources
from ctran.data.table import SampleTable
from ctran.evaluation.report import Report, no_nan
from ctran.files import is_leftover, remove_leftovers, write_text
from ctran.folders.tagger import Tagger
from ctran.training import seen
from ctran.training.extend import FINISHED
from ctran.training.lock import HOLDER, LOCK, RunFolderError
from ctran.training.recipe import VERSIONS, Recipe
from ctran.training.task import LabelTask

VERSIONED = ("torch", "torchvision", "timm", "lightning", "datasets", "numpy", "pillow")


class RunFolder(Callback):
    """Updates the run folder after every epoch: best model, history and learning curves."""

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
        epoch = trainer.current_epoch + 1 if trainer.max_epochs else 0
        row = {"epoch": epoch, "train_loss": pl_module.train_loss, "val_score": score}
        row |= pl_module.report.scores
        self.history.append(row)
        write_json(self.run / "history.json", self.history)
        plots.learning_curves(self.history, self.run / "curves.png")
        if math.isnan(score) and not self.warned:
            self.warned = True
            print(
                "val has no label that is positive somewhere, so the latest epoch is kept instead of the best, "
                "and training.patience has no effect",
                file=sys.stderr,
            )
        if score > self.best or math.isnan(score) or not (self.run / "model").exists():
            self.best = -math.inf if math.isnan(score) else score
            Tagger(pl_module.evaluated, self.tagger.labels, self.tagger.config, self.tagger.preprocessing).save(
                self.run / "model"
            )
        if not sys.stderr.isatty():
            spent = time.monotonic() - self.started
            loss = f"epoch {epoch}/{trainer.max_epochs}  loss {row['train_loss']:.4f}  " if epoch else ""
            print(f"{loss}val {pl_module.report.score_name} {score:.2f}  {spent:.0f} s", flush=True)

    def finish(self, planned: int, stopped_early: str) -> None:
        """Write ``finished.json``: trained and planned epochs, and why training stopped early (null: it did not)."""
        found = {
            "epochs": len([row for row in self.history if row["epoch"]]),
            "planned_epochs": planned,
            "best_val_score": self.best,
        }
        write_json(self.run / FINISHED, found | {"stopped_early": stopped_early or None})


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically: readers see the old file or the new one, never a partial one."""
    write_text(path, json.dumps(no_nan(content), indent=1, allow_nan=False) + "\n")


def versions() -> dict[str, str]:
    """Versions of Python and libraries, and the processor."""
    found = {name: metadata.version(name) for name in VERSIONED}
    return {"python": platform.python_version(), "machine": platform.machine(), "ctran": metadata.version("ctran"), **found}


def packages_of(recipe: Recipe) -> dict[str, str]:
    """Name and version of the other packages that the recipe's method, source and loss are of."""
    named = ((methods, recipe.method), (sources, recipe.source), (losses, recipe.training.loss))
    return dict(found for package, name in named if (found := registry.distribution_of(package, name)) is not None)


def start(recipe: Recipe, run: Path, *, resume: bool) -> None:
    """Write recipe and versions into the locked folder before data are read; a resumed run keeps its own."""
    run.mkdir(parents=True, exist_ok=True)
    remove_leftovers(run)
    if not resume:
        check_free(run)
        recipe.save(run / "recipe.yaml")
    if not (run / VERSIONS).exists():
        packages = {"packages": found} if (found := packages_of(recipe)) else {}
        write_json(run / VERSIONS, versions() | packages | {"seed": recipe.seed})


def check_free(run: Path) -> None:
    """Refuse a folder that holds anything but a lock and temporary files of a killed process.

    Raises:
        RunFolderError: the message explains how to go on.
    """
    if run.exists() and any(p.name not in (LOCK, HOLDER) and not is_leftover(p.name) for p in run.iterdir()):
        raise RunFolderError(f"{run} is there already: go on with --resume {run}, or give another folder with --output")


def check_resumable(run: Path) -> None:
    """Refuse to resume a run whose model has come without the files of its training, as shipped and published ones do: it
    would be trained again from the first epoch, over the model.

    Raises:
        RunFolderError: the message explains how to train it further.
    """
    if (run / "model" / "config.json").exists() and not (run / "data.json").exists():
        further = f"ctran train {run}/recipe.yaml --training.init_from {run} --output NEW"
        raise RunFolderError(
            f"{run} holds a model, but neither data.json nor the checkpoints of its training, so there is nothing to resume. "
            f"To train its model further in a new run: {further}"
        )


def describe(table: SampleTable) -> dict[str, Any]:
    """Number of pictures, and digests of ids, label names and truth, by which tables are compared."""
    names = {"ids": table.ids, "labels": table.labels.names}
    digests = {what: hashlib.sha256("\0".join(each).encode()).hexdigest()[:24] for what, each in names.items()}
    return {"pictures": len(table), **digests, "truth": table.truth.fingerprint}


def check_data(tables: dict[str, SampleTable], run: Path, splits: Sequence[str]) -> str:
    """Compare the data with those that the run began with (``data.json``, written by the first call).

    Returns what has changed in ``splits``; an empty string where nothing has.
    """
    path = run / "data.json"
    if not path.exists():
        write_json(path, {split: describe(table) for split, table in tables.items()})
    changed = []
    for split, then in json.loads(path.read_text()).items():
        if split not in splits:
            continue
        now = describe(tables[split])
        if other := [what for what in now if what != "pictures" and now[what] != then[what]]:
            changed.append(f"{split} ({then['pictures']} pictures then, {now['pictures']} now; other {' and '.join(other)})")
    return f"pictures, labels or splits are not those that {run} was trained with: {', '.join(changed)}" if changed else ""


def discard(run: Path) -> None:
    """Delete what :func:`start` and :func:`freeze` wrote, so that an unusable recipe leaves no folder behind."""
    written = ("recipe.yaml", VERSIONS, "data.json", "skipped.json", "labels.json", "vocabulary.txt", seen.FILE)
    for name in (*written, HOLDER, LOCK):
        (run / name).unlink(missing_ok=True)
    if not any(run.iterdir()):
        run.rmdir()


def freeze(recipe: Recipe, tables: dict[str, SampleTable], run: Path) -> None:
    """Write ``labels.json``, and what the source wants kept with the run (COCO-1000's vocabulary; see ``read_run``).

    Files that exist are kept: the run began with them.
    """
    if not (run / "labels.json").exists():
        tables["train"].labels.save(run / "labels.json")
    source = registry.find(sources, recipe.source)
    if hasattr(source, "freeze") and not all((run / name).exists() for name in source.FROZEN.values()):
        source.freeze(tables, run)
    if not (run / seen.FILE).exists():
        seen.record(tables, run, recipe.training.init_from)


def report_skipped(tables: dict[str, SampleTable], run: Path) -> None:
    """Write ``skipped.json``: pictures that were left out on request; no file if there are none."""
    skipped = [{"split": s, "row": b.row, "reason": b.reason} for s, t in tables.items() for b in t.broken]
    if skipped:
        write_json(run / "skipped.json", skipped)
        print(f"{len(skipped)} pictures that could not be read were left out; {run / 'skipped.json'} lists them")


def write_metrics(report: Report, stem: Path) -> None:
    """Write ``stem.json`` and ``stem.md``."""
    write_json(stem.with_name(stem.name + ".json"), report.as_dict())
    write_text(stem.with_name(stem.name + ".md"), report.markdown() + "\n")
