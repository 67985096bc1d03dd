"""Callbacks beside :class:`~ctran.training.run_folder.RunFolder`: epoch number, early stopping, progress."""

import math
import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.utilities import rank_zero_only

from ctran.progress import Lines
from ctran.training.checkpoint import finished_epochs
from ctran.training.pipeline import Ingredients
from ctran.training.task import LabelTask


class Bar(RichProgressBar):
    """Lightning's bar without the name of the log folder."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        return {k: v for k, v in super().get_metrics(trainer, pl_module).items() if k != "v_num"}


class EpochLines(Callback):
    """Progress of an epoch as lines, if there is no terminal for a bar."""

    @rank_zero_only
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.lines = Lines(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, batches", int(trainer.num_training_batches)
        )

    @rank_zero_only
    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self.lines.advance(1)


class SetEpoch(Callback):
    """Passes the epoch to the loaders, so that order and augmentation depend on seed and epoch only."""

    def __init__(self, parts: Ingredients) -> None:
        self.parts = parts

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self.set(finished_epochs(checkpoint))  # before the loader's processes draw the order of the first resumed epoch

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.set(trainer.current_epoch)

    def set(self, epoch: int) -> None:
        self.parts.order.epoch = epoch
        self.parts.train.dataset.epoch.fill_(epoch)  # pyright: ignore[reportAttributeAccessIssue]


class Patience(Callback):
    """Stops after ``patience`` epochs in a row without a better validation score; NaN scores do not count.

    A run that is resumed after it has stopped early does not train further.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best, self.best_epoch, self.waited = -math.inf, 0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_epoch, self.waited = (state_dict[k] for k in ("best", "best_epoch", "waited"))

    @property
    def reason(self) -> str:
        """Why training stopped; an empty string if it did not stop early."""
        if self.waited < self.patience:
            return ""
        return (
            f"no better val score for {self.waited} epochs (training.patience {self.patience}); "
            f"the best was {self.best:.2f} in epoch {self.best_epoch}"
        )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, LabelTask)
        if pl_module.report is None or math.isnan(score := pl_module.report.score):
            return
        if score > self.best:
            self.best, self.best_epoch, self.waited = score, trainer.current_epoch, 0
        else:
            self.waited += 1
        stop = trainer.strategy.reduce_boolean_decision(bool(self.reason), all=False)
        trainer.should_stop = trainer.should_stop or stop

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or bool(self.reason)  # resumed after it had stopped

    @rank_zero_only
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.reason and trainer.current_epoch < (trainer.max_epochs or 0):
            print(f"stopped early, after epoch {trainer.current_epoch} of {trainer.max_epochs}: {self.reason}", file=sys.stderr)
