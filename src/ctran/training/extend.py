"""More epochs for a run that is resumed: where training 2 epochs and then 2 more is the same as training 4."""

import dataclasses
import json
from pathlib import Path

from ctran.training.recipe import Recipe, RecipeError, read_recipe

FINISHED = "finished.json"
"""A run that has it is not trained further when it is resumed, unless it is extended."""

OF_THE_END = (FINISHED, "metrics.json", "metrics.md", "predictions.png")
"""Files that a training writes after its last epoch."""


def recorded_recipe(run: Path) -> Recipe:
    """``recipe.yaml`` as it was written; files that the source keeps with the run are not put in."""
    return read_recipe(run / "recipe.yaml")


def check_epochs(epochs: int, run: Path) -> bool:
    """Whether a run is to be trained longer than its ``recipe.yaml`` says.

    Args:
        epochs: ``training.epochs`` of the resumed training; the recorded number changes nothing, so that a command that was
            interrupted can be repeated.

    Raises:
        RecipeError: fewer epochs; or more of a run that, had it been planned with more, would have trained otherwise.
    """
    training = recorded_recipe(run).training
    if epochs == training.epochs:
        return False
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
    """Where ``recipe`` has more epochs than ``run`` recorded, record its number and delete what the earlier end wrote.

    In this order, so that a run killed between the two is one that was not finished, and not one whose figures are of another
    model than it holds.
    """
    if not check_epochs(recipe.training.epochs, run):
        return
    for name in OF_THE_END:
        (run / name).unlink(missing_ok=True)
    recorded = recorded_recipe(run)
    training = dataclasses.replace(recorded.training, epochs=recipe.training.epochs)
    dataclasses.replace(recorded, training=training).save(run / "recipe.yaml")
