"""Keys of a recipe that were set and would have no effect beside the others: an error names them all."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ctran import losses, registry
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.model import Method
from ctran.training import unused_rules
from ctran.training.recipe import Recipe, default_loss, default_of

RESET = {"training.feature_views": 1, "training.augmentation": "none"}
"""Keys that are not reset by their default, which would have an effect, or none as well: what leaves it out."""


def refuse_unused(recipe: Recipe, model: Method | None = None, labels: LabelSpace | None = None) -> None:
    """Refuse keys that differ from their defaults and have no effect.

    Args:
        model, labels: without them, only what follows from the recipe alone is found: before data are read.

    Raises:
        UserError: one line for each key: why it has no effect, and the flag that resets it.
    """
    if lines := list(unused(recipe, model, labels)):
        raise UserError("\n".join(lines))


def unused(recipe: Recipe, model: Method | None = None, labels: LabelSpace | None = None) -> Iterator[str]:
    """A line for each key without effect."""
    for key, why in _reasons(recipe, model, labels).items():
        yield f"{key} has no effect: {why}; reset it: --{key} {shlex.quote(shown_default(_reset(recipe, key)))}"


def without_unused(recipe: Recipe, model: Method, labels: LabelSpace) -> Recipe:
    """The recipe with the keys that have no effect reset: for a method that takes over the recipe of another."""
    while changes := [(key, _reset(recipe, key)) for key in _reasons(recipe, model, labels)]:
        key, value = changes[0]
        part, _, name = key.partition(".")
        changed: dict[str, Any] = {part: replace(getattr(recipe, part), **{name: value})}
        if key == "training.loss":  # the options in loss are those of the other one
            changed["loss"] = registry.find(losses, str(value)).Config()
        if (new := replace(recipe, **changed)) == recipe:  # training refuses it by name
            break
        recipe = new
    return recipe


def _reasons(recipe: Recipe, model: Method | None, labels: LabelSpace | None) -> dict[str, str]:
    """Keys that are set without effect, each with the first reason."""
    reasons: dict[str, str] = {}
    for key, why in _found(recipe, model, labels):
        if is_set(recipe, key):
            reasons.setdefault(key, why)
    return reasons


def has_effect(recipe: Recipe, model: Method, labels: LabelSpace, key: str) -> bool:
    """Whether a key would have an effect, set or not."""
    return all(each != key for each, _ in _found(recipe, model, labels))


def _reset(recipe: Recipe, key: str) -> object:
    """The value that leaves a key out."""
    return RESET[key] if key in RESET else _default(recipe, key)


def _found(recipe: Recipe, model: Method | None, labels: LabelSpace | None) -> Iterator[tuple[str, str]]:
    """Keys without effect, set or not, by the rules and by what method, source and loss declare."""
    yield from unused_rules.found(recipe, model, labels)
    for key, why in recipe.model.unused(recipe.training):
        yield from ((each, why) for each in unused_rules.expanded(key if "." in key else f"model.{key}", recipe))
    if declared := getattr(recipe.data, "unused", None):  # a source's options have no base class
        yield from ((f"data.{key}", why) for key, why in declared())
    yield from ((f"loss.{key}", why) for key, why in recipe.loss.unused())


def is_set(recipe: Recipe, key: str) -> bool:
    """Whether the value of a key is not its default."""
    part, _, name = key.partition(".")
    return getattr(getattr(recipe, part), name) != _default(recipe, key)


def _default(recipe: Recipe, key: str) -> object:
    if key == "training.loss":
        return default_loss(getattr(recipe.data, "absent", None))
    return default_of(key, recipe.method, recipe.source, recipe.training.loss)


def shown_default(value: object) -> str:
    """A default as in YAML."""
    if isinstance(value, tuple):
        return f"[{', '.join(shown_default(each) for each in value)}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
