"""Keys of a recipe that were set and would have no effect with the method and the labels at hand: each is an error."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.model import Method
from ctran.training.options import Training
from ctran.training.recipe import Recipe

MASKS = ("unknown_share", "all_unknown", "mask_by", "mask_over")
STEPS = (
    *("optimizer", "momentum", "nesterov", "learning_rate", "weight_decay", "schedule", "warmup", "milestones", "factor"),
    *("clip_norm", "loss", "reduction", "exclusive", "hide_image", "ema", "patience", "trainable"),
    *("activation_checkpointing", "prior_bias", *MASKS),
)
"""Keys of training by gradient steps."""


@dataclass(frozen=True)
class Rule:
    """Keys of the part ``training`` that have no effect in some case.

    Args:
        keys: their names.
        applies: the case, from recipe, model and labels.
        why: completes "training.KEY has no effect: ...".
    """

    keys: tuple[str, ...]
    applies: Callable[[Recipe, Method, LabelSpace], bool]
    why: str


RULES = (
    Rule(STEPS, lambda recipe, model, labels: not model.needs_epochs, "method {method!r} is fitted in one step"),
    Rule(
        ("unknown_share",),
        lambda recipe, model, labels: not model.uses_states and recipe.training.unknown_share != (1, 1),
        "method {method!r} does not use known labels, so all are unknown in training",
    ),
    Rule(
        ("all_unknown", "mask_by", "mask_over"),
        lambda recipe, model, labels: not model.uses_states,
        "method {method!r} does not use known labels, so all are unknown in training",
    ),
    Rule(("hide_image",), lambda recipe, model, labels: not model.hides_images, "method {method!r} cannot leave images out"),
    Rule(
        ("init_from",),
        lambda recipe, model, labels: not model.needs_epochs,
        "method {method!r} is fitted to the training pictures alone",
    ),
    Rule(("mask_by",), lambda recipe, model, labels: not labels.groups, "there are no groups of labels"),
    Rule(("exclusive",), lambda recipe, model, labels: not labels.exclusive, "there are no exclusive groups of labels"),
)


def refuse_unused(recipe: Recipe, model: Method, labels: LabelSpace) -> None:
    """Refuse keys that differ from their defaults and have no effect.

    Raises:
        UserError: the message names the key, why it has no effect, and its default.
    """
    for message in unused(recipe, model, labels):
        raise UserError(message)


def unused(recipe: Recipe, model: Method, labels: LabelSpace) -> Iterator[str]:
    """A message for each key without effect."""
    plain = {field.name: field.default for field in dataclasses.fields(Training)}
    for rule in RULES:
        if not rule.applies(recipe, model, labels):
            continue
        why = rule.why.format(method=recipe.method)
        for key in rule.keys:
            if getattr(recipe.training, key) != plain[key]:
                default = shown_default(plain[key])
                yield f"training.{key} has no effect: {why}; leave it out, or set it to its default, {default}"
    if not model.needs_epochs and recipe.loss != type(recipe.loss)():
        yield f"loss has options that have no effect: method {recipe.method!r} is fitted in one step; leave them out"


def shown_default(value: object) -> str:
    """A default as in YAML."""
    if isinstance(value, tuple):
        return f"[{', '.join(shown_default(each) for each in value)}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
