"""Conditions of the rules in :mod:`ctran.training.unused_rules` that are longer than a line."""

import torch
from torch import nn

from ctran.labels import LabelSpace
from ctran.model import Method
from ctran.training.recipe import Recipe


def after_the_end(recipe: Recipe) -> bool:
    """Whether all milestones, which are counted in epochs of their stage, come when training is over."""
    milestones, training = recipe.training.milestones, recipe.training
    longest = max(stage.epochs for stage in recipe.model.stages(training.epochs))
    return training.schedule == "steps" and min(milestones) >= longest


def groups_are_single(recipe: Recipe, labels: LabelSpace) -> bool:
    """Whether no two of the labels that may be known in training are in one group."""
    masked = ~labels.targets
    if recipe.training.mask_over == "all" or not masked.any():
        masked = torch.ones_like(masked)
    return len(labels.units[masked].unique()) == int(masked.sum())


def trains_backbone_alone(recipe: Recipe, model: Method) -> bool:
    """Whether all that trains has the backbone's learning rate."""
    options = recipe.training
    alone = options.trainable and all(_of_backbone(prefix) for prefix in options.trainable)
    own = options.backbone_learning_rate is not None and recipe.model.helper(model) is None
    return bool(alone) and own and _usual_groups(model)


def freezes_backbone(recipe: Recipe, model: Method) -> bool:
    """Whether the backbone has a learning rate and does not train."""
    options = recipe.training
    frozen = options.trainable and not any(_of_backbone(prefix) for prefix in options.trainable)
    return bool(options.backbone_learning_rate) and _usual_groups(model) and (bool(frozen) or not model.uses_image)


def trains_batch_norm(recipe: Recipe, model: Method) -> bool:
    """Whether a batch norm takes its statistics from batches of the training."""
    options = recipe.training
    names = [name for name, each in model.named_modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    if options.backbone_learning_rate == 0 or not model.uses_image:
        names = [name for name in names if not _of_backbone(name)]
    inside = [f"{prefix}." for prefix in options.trainable]
    return any(not inside or any(f"{name}.weight".startswith(prefix) for prefix in inside) for name in names)


def _of_backbone(prefix: str) -> bool:
    return prefix.partition(".")[0] == "backbone"


def trains_with_known(model: Method) -> bool:
    """Whether known labels are drawn in training."""
    return model.uses_states and model.trains_with_known


def _usual_groups(model: Method) -> bool:
    """Whether the parameters have the learning rates of the recipe, not rates that the method makes of them."""
    return type(model).parameter_groups is Method.parameter_groups
