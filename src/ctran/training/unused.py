"""Keys of a recipe that were set and would have no effect beside the others: an error names them all."""

import shlex
from collections.abc import Iterator

from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.model import Method
from ctran.training import unused_rules
from ctran.training.recipe import Recipe, hints_of

RESET = {"training.feature_views": 1}
"""Keys that are not reset by their default: a method for which further views have no effect needs one view."""


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
    reasons: dict[str, str] = {}
    for key, why in _found(recipe, model, labels):
        if is_set(recipe, key):
            reasons.setdefault(key, why)
    for key, why in reasons.items():
        value = shown_default(RESET[key] if key in RESET else _default(recipe, key))
        yield f"{key} has no effect: {why}; reset it: --{key} {shlex.quote(value)}"


def _found(recipe: Recipe, model: Method | None, labels: LabelSpace | None) -> Iterator[tuple[str, str]]:
    """Keys without effect, set or not, by the rules and by what method, source and loss declare."""
    yield from unused_rules.found(recipe, model, labels)
    own = recipe.model.unused(recipe.training)
    yield from ((key if "." in key else f"model.{key}", why) for key, why in own)
    if declared := getattr(recipe.data, "unused", None):  # a source's options have no base class
        yield from ((f"data.{key}", why) for key, why in declared())
    yield from ((f"loss.{key}", why) for key, why in recipe.loss.unused())


def is_set(recipe: Recipe, key: str) -> bool:
    """Whether the value of a key is not its default."""
    part, _, name = key.partition(".")
    return getattr(getattr(recipe, part), name) != _default(recipe, key)


def _default(recipe: Recipe, key: str) -> object:
    return hints_of(recipe.method, recipe.source, recipe.training.loss)[key][1]


def shown_default(value: object) -> str:
    """A default as in YAML."""
    if isinstance(value, tuple):
        return f"[{', '.join(shown_default(each) for each in value)}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
