"""As many epochs as fit into a given time."""

import copy
import dataclasses
import sys
import time
from pathlib import Path

import torch

from ctran.errors import UserError
from ctran.evaluation.evaluate import features_of
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.masking import label_mask_training
from ctran.model import TrainingStep
from ctran.progress import duration
from ctran.training.extend import recorded_recipe
from ctran.training.pipeline import Ingredients
from ctran.training.recipe import Recipe

STEPS = 3
"""Steps that are timed, after one that is not."""
REST = 1.3
"""Time of an epoch, with validation and saving, in units of that of its steps."""


def within_budget(recipe: Recipe, parts: Ingredients, seconds: float, run: Path) -> Recipe:
    """The recipe with at most as many epochs as fit into some seconds, at least the fewest that its stages allow.

    The number is written to the run's ``recipe.yaml``, so that a resumed run, or another with that recipe, trains the same.

    Args:
        parts: model and pictures of the training.
        seconds: for all epochs; none are left where it is negative.

    Raises:
        UserError: several devices, which would have to agree on a number.
    """
    planned = recipe.training.epochs
    if not planned:
        return recipe
    if recipe.training.devices * recipe.training.nodes > 1:
        raise UserError("--budget works on one device; with several, set --training.epochs")
    least, each = _fewest(recipe), REST * len(parts.train) * _seconds_of_a_step(recipe, parts)
    epochs = min(planned, max(least, int(seconds / each)))
    left = f"the {duration(seconds)} that are left of the budget" if seconds > 0 else "a budget that the fits have used up"
    print(
        f"{epochs} of {planned} epochs, of about {duration(each)} each, in {left}"
        + (f"; fewer than {least} are not possible" if epochs * each > seconds else ""),
        file=sys.stderr,
    )
    if epochs == planned:
        return recipe
    recorded = recorded_recipe(run)
    dataclasses.replace(recorded, training=dataclasses.replace(recorded.training, epochs=epochs)).save(run / "recipe.yaml")
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, epochs=epochs))


def _fewest(recipe: Recipe) -> int:
    """The least number of epochs that the method's stages allow."""
    for epochs in range(1, recipe.training.epochs):
        try:
            recipe.model.stages(epochs)
        except UserError:
            continue
        return epochs
    return recipe.training.epochs


def _seconds_of_a_step(recipe: Recipe, parts: Ingredients) -> float:
    """Mean time of a few training steps of a copy of the model; random numbers of the training are not used up."""
    model = copy.deepcopy(parts.tagger.model).train()
    helper, stage = recipe.model.helper(model), recipe.model.stages(recipe.training.epochs)[0].name
    generator, spent = torch.Generator().manual_seed(0), list[float]()
    with torch.random.fork_rng(devices=[]):
        for number, batch in enumerate(parts.train):
            if number > STEPS:
                break
            started = time.monotonic()
            states = label_mask_training(batch.truth, unknown_share=(0.1, 1.0), generator=generator)
            step = TrainingStep(features_of(model, batch), batch.truth, states, batch.index, stage=stage, helper=helper)
            torch.stack(list(model.loss(step, LabelLoss(BCE())).values())).sum().backward()
            spent.append(time.monotonic() - started)
    timed = spent[1:] or spent
    return sum(timed) / len(timed)
