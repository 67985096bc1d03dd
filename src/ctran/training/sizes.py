"""Checks of the numbers of pictures and labels, before the first epoch."""

import copy

import torch
from torch import nn

from ctran.data.table import SampleTable
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.masking import whole_numbers
from ctran.model import Method
from ctran.training.options import Training
from ctran.training.recipe import Recipe


class SizesError(UserError):
    """Too few pictures or labels for the recipe; the message names the key to change."""


def check_enough(recipe: Recipe, tables: dict[str, SampleTable], world: int) -> None:
    """Every process needs a picture of ``train`` and one of ``val``; otherwise the processes would wait forever."""
    for split in ("train", "val"):
        if len(tables[split]) < world:
            nodes = recipe.training.nodes
            what = f"{recipe.training.devices} on each of {nodes} nodes" if nodes > 1 else f"{world}"
            raise SizesError(
                f"training.devices is {what}, and {split} has {len(tables[split])} pictures: each device needs at least one; "
                f"set training.devices{' times nodes' if nodes > 1 else ''} to {max(1, len(tables[split]))} or less"
            )


def check_unknown_share(options: Training, labels: LabelSpace) -> None:
    """Label mask training must hide at least one label: of few labels, a small share is less than one."""
    masked = ~labels.targets if options.mask_over == "extra" else torch.ones_like(labels.targets)
    count = int(masked.sum()) if options.mask_by == "labels" else len(labels.units[masked].unique())
    if not count:
        return
    low, high = options.unknown_share
    least, most = whole_numbers(low, high, count)
    kind = "labels" if options.mask_by == "labels" else "units (groups, and labels without one)"
    what = f"training.unknown_share [{low:g}, {high:g}]"
    if least > most:
        raise SizesError(f"{what} admits no whole number of {count} {kind}: its second share must be at least {least}/{count}")
    if most == 0 and options.all_unknown == 0 and bool(masked[labels.targets].any()):
        raise SizesError(
            f"{what} hides none of {count} {kind}, so nothing is trained: its second share must be at least 1/{count}"
        )


def check_batches(recipe: Recipe, model: Method, pictures: int) -> None:
    """Several batches of a step need as many in an epoch; and batch norm needs two values per channel: a last batch of one
    picture has one if maps are 1 x 1 pixels.

    Args:
        pictures: of ``train``, in each process.
    """
    options = recipe.training
    if options.accumulate_grad_batches > 1 and pictures <= options.batch_size:
        raise SizesError(
            f"training.accumulate_grad_batches has no effect: an epoch has one batch ({pictures} pictures for each device, "
            f"training.batch_size {options.batch_size}); set it to 1, or a smaller training.batch_size"
        )
    last = (pictures - 1) % options.batch_size + 1
    if last > 1 or options.backbone_learning_rate == 0 or not _needs_two(recipe, model):
        return
    fitting = next((b for b in range(options.batch_size + 1, pictures + 1) if pictures % b != 1), None)
    what = f"set training.batch_size to {fitting}" if fitting else "add pictures"
    raise SizesError(
        f"the last batch of an epoch has one picture ({pictures} pictures in batches of {options.batch_size}), and batch norm "
        f"in {model.backbone.name} at {recipe.model.image_size} px needs at least two: {what}, or freeze the backbone "
        "(training.backbone_learning_rate 0)"
    )


def _needs_two(recipe: Recipe, model: Method) -> bool:
    """Whether the backbone cannot train on a single picture."""
    if not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.backbone.modules()):
        return False
    side = recipe.model.image_size
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            copy.deepcopy(model.backbone).train()(torch.zeros(1, 3, side, side))
        except ValueError as error:
            return "more than 1 value per channel" in str(error)
    return False
