"""What is wrong with a key of a recipe, and which one was probably meant."""

from collections.abc import Mapping
from typing import Any

from ctran import losses, methods, registry
from ctran.data import sources
from ctran.errors import UserError, nearest
from ctran.training.options import RENAMED
from ctran.training.values import expected, is_structured, option_types


def explain(key: str, hints: dict[str, Any], chosen: Mapping[str, str]) -> str:
    """The error message for a key that a recipe does not have.

    Args:
        hints: type of each key that it has.
        chosen: part of a recipe -> name of its method, source or loss.
    """
    return _renamed(key) or _of_another(key, chosen) or _unknown(key, hints)


def _renamed(key: str) -> str:
    """Today's name of a key that had another one, as an error message; an empty string for other keys."""
    if key in RENAMED:
        return f"{key} is now {RENAMED[key]}"
    for name, module in registry.each(methods):
        if not isinstance(module, UserError) and (new := getattr(module.Config, "renamed", {}).get(key)):
            return f"{key} is now {new}, a key of method {name}"
    return ""


def _of_another(key: str, chosen: Mapping[str, str]) -> str:
    """What is wrong with a key that another method, source or loss has; an empty string where none has it."""
    part, _, name = key.partition(".")
    if part not in chosen:
        return ""
    package = {"model": methods, "data": sources, "loss": losses}[part]
    usable = ((each, module) for each, module in registry.each(package) if not isinstance(module, UserError))
    those = [each for each, module in usable if name in option_types(module.Config)]
    kind = registry.kind(package)
    if not those:
        return ""
    return f"{key} is a key of {kind} {', '.join(those)}, and this recipe has {kind} {chosen[part]}: leave it out"


def _unknown(key: str, hints: dict[str, Any]) -> str:
    """The error message for an unknown key."""
    for whole, hint in hints.items():
        if key.startswith(f"{whole}.") and is_structured(hint):
            return f"{key}: {whole} is given as a whole: {expected(hint)}"
    last = key.rpartition(".")[2]
    same = [known for known in hints if known.rpartition(".")[2] == last]
    return f"unknown recipe key {key!r}{nearest(key, hints) if not same else f'; did you mean {same[0]!r}?'}"
