"""Lightning's trainer, as a recipe describes it."""

import logging
import sys
import warnings
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ctran.training.callbacks import Bar, EpochLines, Patience, SetEpoch
from ctran.training.checkpoint import Checkpoints
from ctran.training.lock import RunFolderError
from ctran.training.pipeline import Ingredients
from ctran.training.recipe import Recipe
from ctran.training.run_folder import RunFolder
from ctran.training.sync_batch_norm import SyncBatchNorm
from ctran.training.task import LabelTask


def quiet() -> None:
    """Hide Lightning's messages, which are meant for authors of trainers."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    warnings.filterwarnings(
        "ignore", message=".*lightning_fabric.*|.*dataloader.*workers.*|.*isinstance.treespec.*|.*worker processes in total.*"
    )


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
        tables["val"].assumed_for(parts.labels) if tables["val"].unlisted else None,
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
    if options.devices * options.nodes > 1 and strategy in ("auto", "ddp") and unused:
        strategy = "ddp_find_unused_parameters_true"  # some steps leave parts of the model without a gradient
    try:
        trainer = L.Trainer(
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.nodes,
            strategy=strategy,
            precision=options.precision,
            max_epochs=options.epochs,
            accumulate_grad_batches=options.accumulate_grad_batches,
            gradient_clip_val=options.clip_norm or None,
            logger=TensorBoardLogger(run, name="", version="tensorboard"),
            callbacks=callbacks,
            plugins=[Checkpoints(), SyncBatchNorm()] if options.sync_batchnorm else [Checkpoints()],
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
            inference_mode=not parts.tagger.model.needs_grad,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise RunFolderError(f"training.accelerator, devices, nodes, strategy or precision: {error}") from None
    if options.precision == "16-mixed" and trainer.strategy.root_device.type == "cpu":
        raise RunFolderError("training.precision 16-mixed needs a GPU, and training is on the CPU: set bf16-mixed or 32-true")
    return trainer, task, folder
