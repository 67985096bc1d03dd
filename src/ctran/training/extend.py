"""More epochs for a resumed run, if training 2 epochs and then 2 more equals training 4."""

import dataclasses
import json
from pathlib import Path

from ctran.training.recipe import Recipe, RecipeError, read_recipe

FINISHED = "finished.json"
"""A run with this file is not trained further when it is resumed, unless it is extended."""

OF_THE_END = (FINISHED, "metrics.json", "metrics.md", "predictions.png")
"""Files that a training writes after its last epoch."""


def recorded_recipe(run: Path) -> Recipe:
    """``recipe.yaml`` as written, without the paths of files that the source keeps with the run."""
    return read_recipe(run / "recipe.yaml")


def check_epochs(epochs: int, run: Path) -> bool:
    """Whether a run is to be trained for more epochs than its ``recipe.yaml`` has.

    Args:
        epochs: ``training.epochs`` of the resumed training; the recorded number changes nothing, so that a command that was
            interrupted can be repeated.

    Raises:
        RecipeError: fewer epochs; or more, if that would have changed the earlier epochs or the run stopped early.
    """
    training = recorded_recipe(run).training
    if epochs == training.epochs:
        return False
    if not training.epochs:
        raise RecipeError(f"training.epochs: the model of {run} was fitted in one step, without epochs; there are none to add")
    further = f"To train its model further as a new run: {new_run(run, '--training.epochs', str(epochs))}"
    if epochs < training.epochs:
        raise RecipeError(
            f"training.epochs: {run} is planned with {training.epochs} epochs; --resume can raise the number, not lower it to "
            f"{epochs}. {further}"
        )
    if training.schedule != "constant":
        raise RecipeError(
            f"training.epochs: the learning rates of {run} (training.schedule {training.schedule}) depend on the number of "
            f"epochs, {training.epochs}, from the first step on; with {epochs} all epochs would have been others. {further}"
        )
    if (run / FINISHED).exists() and (reason := json.loads((run / FINISHED).read_text())["stopped_early"]):
        raise RecipeError(
            f"training.epochs: {run} stopped early and would not train more with {epochs} epochs either: {reason}. {further}"
        )
    return True


def new_run(run: Path, flag: str, value: str = "VALUE") -> str:
    """The command that starts from the model of a run, with another setting."""
    return f"ctran train {run}/recipe.yaml --training.init_from {run} {flag} {value} --output NEW"


def extend(recipe: Recipe, run: Path) -> None:
    """If ``recipe`` has more epochs than ``run`` recorded, delete what the earlier end wrote, then record the new number.

    In this order, so that a run killed in between counts as unfinished, and its metrics are never those of an older model.
    """
    if not check_epochs(recipe.training.epochs, run):
        return
    for name in OF_THE_END:
        (run / name).unlink(missing_ok=True)
    recorded = recorded_recipe(run)
    training = dataclasses.replace(recorded.training, epochs=recipe.training.epochs)
    dataclasses.replace(recorded, training=training).save(run / "recipe.yaml")
