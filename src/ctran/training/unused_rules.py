"""When keys of ``training``, ``loss`` and ``evaluation`` have no effect; methods, sources and losses declare their own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

from ctran.labels import LabelSpace
from ctran.model import Method
from ctran.training.options import VAL_BATCH
from ctran.training.recipe import Recipe
from ctran.training.unused_conditions import (
    after_the_end,
    freezes_backbone,
    groups_are_single,
    trains_backbone_alone,
    trains_batch_norm,
    trains_with_known,
)

MASKS = ("training.unknown_share", "training.all_unknown", "training.mask_by", "training.mask_over")
LOSS = ("training.loss", "loss.*")
STEPS = (
    *("training.optimizer", "training.momentum", "training.nesterov", "training.learning_rate", "training.weight_decay"),
    "training.accumulate_grad_batches",
    *("training.schedule", "training.warmup", "training.milestones", "training.factor", "training.clip_norm"),
    *("training.reduction", "training.exclusive", "training.hide_image", "training.ema", "training.patience"),
    *("training.trainable", "training.activation_checkpointing", "training.prior_bias", *LOSS, *MASKS),
)
"""Keys of training by gradient steps."""


@dataclass(frozen=True)
class Rule:
    """Keys that have no effect in some case.

    Args:
        keys: their names; ``loss.*`` is all of a part.
        applies: the case, from the recipe.
        why: completes "KEY has no effect: ..."; ``{recipe...}`` is replaced.
    """

    keys: tuple[str, ...]
    applies: Callable[[Recipe], bool]
    why: str


@dataclass(frozen=True)
class ModelRule:
    """A rule that depends on the model and on the labels too."""

    keys: tuple[str, ...]
    applies: Callable[[Recipe, Method, LabelSpace], bool]
    why: str


RULES = (
    Rule(
        ("training.momentum", "training.nesterov"),
        lambda recipe: recipe.training.optimizer != "sgd",
        "it belongs to training.optimizer sgd, and this is {recipe.training.optimizer}",
    ),
    Rule(
        ("training.milestones", "training.factor"),
        lambda recipe: recipe.training.schedule != "steps",
        "it belongs to training.schedule steps, and this is {recipe.training.schedule}",
    ),
    Rule(("training.milestones", "training.factor"), after_the_end, "training ends before the first of training.milestones"),
    Rule(
        ("training.warmup",),
        lambda recipe: recipe.training.schedule == "onecycle",
        "training.schedule onecycle has a warm-up of its own",
    ),
    Rule(
        ("training.patience",),  # with a constant learning rate the run can be resumed with more epochs
        lambda recipe: recipe.training.schedule != "constant" and recipe.training.patience >= recipe.training.epochs,
        "training.epochs {recipe.training.epochs} are over before",
    ),
    Rule(
        ("training.all_unknown", "training.mask_by", "training.mask_over"),
        lambda recipe: recipe.training.unknown_share == (1, 1),
        "training.unknown_share [1, 1] leaves all labels unknown",
    ),
    Rule(
        ("training.unknown_share", "training.mask_by", "training.mask_over"),
        lambda recipe: recipe.training.all_unknown == 1 and recipe.training.unknown_share != (1, 1),
        "training.all_unknown 1 leaves all labels unknown",
    ),
    Rule(
        ("training.augmentation",),
        lambda recipe: recipe.training.feature_views == 1 and recipe.training.augmentation != "none",
        "of one view (training.feature_views 1), none is augmented",
    ),
    Rule(
        ("training.strategy", "training.sync_batchnorm", "training.heartbeat"),
        lambda recipe: recipe.training.devices * recipe.training.nodes == 1,
        "training.devices and training.nodes are 1",
    ),
    Rule(
        ("evaluation.known_share",),
        lambda recipe: bool(recipe.evaluation.known_groups),
        "evaluation.known_groups takes its place",
    ),
    Rule(
        ("evaluation.reveal",),
        lambda recipe: not any(setting.share or setting.groups for setting in recipe.evaluation.settings()),
        "no label is known in evaluation",
    ),
    Rule(
        ("evaluation.seed", "evaluation.draws"),
        lambda recipe: not any(setting.is_drawn for setting in recipe.evaluation.settings()),
        "no known labels are drawn in evaluation",
    ),
)

MODEL_RULES = (
    ModelRule(STEPS, lambda recipe, model, labels: model.needs_epochs and not recipe.training.epochs, "training.epochs is 0"),
    ModelRule(STEPS, lambda recipe, model, labels: not model.needs_epochs, "method {recipe.method!r} is fitted in one step"),
    ModelRule(
        ("training.batch_size",),
        lambda recipe, model, labels: not model.needs_epochs and recipe.training.batch_size <= VAL_BATCH,
        f"method {{recipe.method!r}} is fitted in one step, and validation has batches of at least {VAL_BATCH}",
    ),
    ModelRule(
        ("training.init_from",),
        lambda recipe, model, labels: not model.needs_epochs,
        "method {recipe.method!r} is fitted to the training pictures alone",
    ),
    ModelRule(
        ("training.unknown_share",),
        lambda recipe, model, labels: not trains_with_known(model) and recipe.training.unknown_share != (1, 1),
        "method {recipe.method!r} does not use known labels in training, so all are unknown",
    ),
    ModelRule(
        ("training.all_unknown", "training.mask_by", "training.mask_over"),
        lambda recipe, model, labels: not trains_with_known(model),
        "method {recipe.method!r} does not use known labels in training, so all are unknown",
    ),
    ModelRule(
        ("training.mask_over",),
        lambda recipe, model, labels: bool(labels.targets.all()),
        "there are no extra labels, so all labels would be unknown in training; training.unknown_share [1, 1] does that",
    ),
    ModelRule(
        ("training.mask_by",),
        lambda recipe, model, labels: groups_are_single(recipe, labels),
        "no two labels that may be known in training are in one group",
    ),
    ModelRule(
        ("training.exclusive",),
        lambda recipe, model, labels: not labels.exclusive,
        "there are no exclusive groups of labels",
    ),
    ModelRule(
        LOSS,
        lambda recipe, model, labels: recipe.training.exclusive == "softmax" and sum(map(len, labels.exclusive)) == len(labels),
        "training.exclusive softmax trains all labels, as all are in exclusive groups",
    ),
    ModelRule(
        ("training.prior_bias",),
        lambda recipe, model, labels: type(model).set_prior is Method.set_prior,
        "method {recipe.method!r} has no bias for each label",
    ),
    ModelRule(
        ("training.hide_image",),
        lambda recipe, model, labels: not model.hides_images,
        "method {recipe.method!r} cannot leave images out",
    ),
    ModelRule(
        ("training.hide_image",),
        lambda recipe, model, labels: (
            not any(stage.hide_images for stage in recipe.model.stages(recipe.training.epochs) if stage.epochs)
        ),
        "no stage of this training hides images",
    ),
    ModelRule(
        ("training.augmentation",),
        lambda recipe, model, labels: not model.uses_image and recipe.training.augmentation != "none",
        "the model does not use the image",
    ),
    ModelRule(
        ("training.sync_batchnorm",),
        lambda recipe, model, labels: not trains_batch_norm(recipe, model),
        "no batch norm is trained",
    ),
    ModelRule(
        ("training.learning_rate",),
        lambda recipe, model, labels: trains_backbone_alone(recipe, model),
        "all of training.trainable has training.backbone_learning_rate",
    ),
    ModelRule(
        ("training.backbone_learning_rate",),
        lambda recipe, model, labels: freezes_backbone(recipe, model),
        "the backbone is not trained",
    ),
)


def found(recipe: Recipe, model: Method | None, labels: LabelSpace | None) -> Iterator[tuple[str, str]]:
    """Keys of the rules that apply, each with the reason, whether they are set or not."""
    for rule in RULES:
        if rule.applies(recipe):
            yield from _each(rule, recipe)
    for rule in MODEL_RULES if model is not None and labels is not None else ():
        if rule.applies(recipe, model, labels):  # pyright: ignore[reportArgumentType]
            yield from _each(rule, recipe)


def _each(rule: Rule | ModelRule, recipe: Recipe) -> Iterator[tuple[str, str]]:
    why = rule.why.format(recipe=recipe)
    for key in rule.keys:
        yield from ((each, why) for each in expanded(key, recipe))


def expanded(key: str, recipe: Recipe) -> list[str]:
    """The keys that a name stands for: ``loss.*`` is all of a part."""
    part, _, name = key.partition(".")
    return [f"{part}.{field.name}" for field in fields(getattr(recipe, part))] if name == "*" else [key]
