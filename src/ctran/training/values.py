"""Text of a YAML file or flag -> typed values of the options: the type hint of a key decides what its text means.

YAML's own guesses (``yes`` is true, ``12`` a number, ``2020-01-01`` a date, ``~`` nothing) are not used, because each of these
can be the name of a label, a column or a file. jsonargparse lists the keys and their help; values are converted here because
of its messages: they do not name the file, and several are many lines of Python types (``docs/architecture.md``).
"""

import types
from collections.abc import Container
from dataclasses import MISSING, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from ctran.errors import nearest
from ctran.training.yaml_text import NULL, Plain, RecipeError, plain, write_yaml

TRUE, FALSE = ("true", "yes", "on"), ("false", "no", "off")
SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
"""YAML's names of numbers that are not finite."""
LONGEST = 80
"""Characters of a received value that a message shows."""


def expected(hint: Any) -> str:
    """Description of the values of a type for messages: ``a whole number``, ``one of bce, asl``."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        some = [expected(each) for each in inner if each is not type(None)]
        return " or ".join([*some, "null"] if type(None) in inner else some)
    if origin is Literal:
        return f"{'one of ' * (len(inner) > 1)}{', '.join(map(str, inner))}"
    if origin in (tuple, list):
        if origin is tuple and inner[-1] is not Ellipsis:
            return f"a list of {len(inner)} values such as [{', '.join(_example(each) for each in inner)}]"
        return f"a list such as [{_example(inner[0])}, ...]"
    if origin is dict:
        return f"names and values in braces, such as {{name: {_example(inner[1])}}}"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    return names.get(hint) or f"a {getattr(hint, '__name__', hint)}"


def _example(hint: Any) -> str:
    if get_origin(hint) in (tuple, list):
        return f"[{_example(get_args(hint)[0])}]"
    if hasattr(hint, "__dataclass_fields__"):
        return f"{{{', '.join(f'{k}: {_example(h)}' for k, h in option_types(hint).items())}}}"
    return {int: "1", float: "0.5", bool: "true"}.get(hint, "name")


def option_types(cls: type) -> dict[str, Any]:
    """Type of each field of a dataclass, without class variables."""
    return dict(_option_types(cls))


@lru_cache(maxsize=256)
def _option_types(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def shown(value: Any) -> str:
    """A received value in a message, shortened."""
    if isinstance(value, str):
        text = "nothing" if isinstance(value, Plain) and not value else repr(str(value))
    else:
        text = write_yaml(plain(value), flow=True).strip()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def convert(value: Any, hint: Any, key: str) -> Any:
    """The value of an option, of the type ``hint``.

    Args:
        value: text, or lists and mappings of text, as :func:`read_yaml` gives them.
        hint: a type: bool, int, float, str, Path, Literal, tuple, list, dict, a dataclass, or a union of these.
        key: its name in messages.

    Raises:
        RecipeError: the value cannot be of that type; the message names the key, what was expected and what was received.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(value, inner, hint, key)
    if origin is Literal:
        found = {str(each): each for each in inner}
        if isinstance(value, str) and value in found:
            return found[value]
        raise wrong(value, hint, key, nearest(value, found) if isinstance(value, str) else "")
    if origin in (tuple, list):
        return _several(value, origin, inner, hint, key)
    if origin is dict:
        if not isinstance(value, dict):
            raise wrong(value, hint, key)
        return {convert(k, inner[0], key): convert(v, inner[1], f"{key}.{k}") for k, v in value.items()}
    if hasattr(hint, "__dataclass_fields__"):
        return _record(value, hint, key)
    if hint not in (str, Path, bool, int, float):
        try:
            return msgspec.convert(plain(value), hint, strict=False)
        except msgspec.ValidationError as error:
            raise RecipeError(f"{key}: {error}") from None
    if not isinstance(value, str):
        raise wrong(value, hint, key)
    return _scalar(value, hint, key)


def wrong(value: Any, hint: Any, key: str, hint_text: str = "") -> RecipeError:
    """The error about a value that is not of its type."""
    return RecipeError(f"{key}: expected {expected(hint)}, got {shown(value)}{hint_text}")


def _scalar(text: str, hint: Any, key: str) -> Any:
    """Convert text to one value."""
    try:
        if hint is str:
            return str(text)
        if hint is Path:
            if not text:
                raise ValueError
            return Path(str(text))
        if hint is bool:
            if (lower := text.strip().lower()) not in (*TRUE, *FALSE):
                raise ValueError
            return lower in TRUE
        return float(SPECIAL.get(text.strip().lower(), text)) if hint is float else int(text)
    except ValueError:
        raise wrong(text, hint, key) from None


def _union(value: Any, inner: tuple[Any, ...], hint: Any, key: str) -> Any:
    """Convert to the first type that accepts the value; null if the type allows it."""
    if type(None) in inner and (value is None or (isinstance(value, Plain) and value in NULL)):
        return None
    for each in (each for each in inner if each is not type(None)):
        try:
            return convert(value, each, key)
        except RecipeError:
            continue
    raise wrong(value, hint, key)


def _several(value: Any, origin: Any, inner: tuple[Any, ...], hint: Any, key: str) -> Any:
    """Convert a list to the tuple or list of its type."""
    if not isinstance(value, list):
        raise wrong(value, hint, key)
    kinds = [inner[0]] * len(value) if origin is list or inner[-1] is Ellipsis else list(inner)
    if len(kinds) != len(value):
        raise wrong(value, hint, key)
    return origin(convert(each, kind, key) for each, kind in zip(value, kinds, strict=True))


def _record(value: Any, hint: Any, key: str) -> Any:
    """Convert a mapping to the dataclass of its type."""
    hints = option_types(hint)
    if not isinstance(value, dict):
        raise RecipeError(f"{key}: expected {_example(hint)}, got {shown(value)}")
    for name in value:
        if name not in hints:
            raise RecipeError(f"{key}: unknown key {str(name)!r}{nearest(name, hints)} (there are: {', '.join(hints)})")
    given = {str(name): convert(each, hints[name], f"{key}.{name}") for name, each in value.items()}
    if lacks := missing(hint, given):
        raise RecipeError(f"{key}: {lacks[0]} is missing; expected {_example(hint)}")
    return hint(**given)


def missing(cls: Any, given: Container[str]) -> list[str]:
    """Fields of a dataclass that have no default and are not given."""
    return [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING and f.name not in given]


def is_structured(hint: Any) -> bool:
    """Whether values of a type are lists, mappings or records, which a flag gives as YAML."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(map(is_structured, get_args(hint)))
    return get_origin(hint) in (tuple, list, dict) or hasattr(hint, "__dataclass_fields__")


def may_be_null(hint: Any) -> bool:
    """Whether a type has null among its values."""
    return type(None) in get_args(hint)
