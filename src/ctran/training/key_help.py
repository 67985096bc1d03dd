"""Help of recipe keys: meaning, what values are expected, and the default, each in the words of messages and YAML.

jsonargparse finds keys and meanings in the dataclasses; its own help shows types and defaults as Python does.
"""

import re
from argparse import SUPPRESS, Action
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_origin

from ctran.training.values import expected, option_types
from ctran.training.yaml_text import plain, write_yaml

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def keys_parser(usage: str, parts: Mapping[str, type], top: Mapping[str, tuple[Any, Any, str]]) -> "ArgumentParser":
    """The parser whose help lists every key of some parts of a recipe.

    Args:
        usage: its first line.
        parts: name of a part -> the dataclass of its keys.
        top: keys outside of the parts -> their type, default and meaning.
    """
    from jsonargparse import ArgumentParser, DefaultHelpFormatter

    hints = {f"{part}.{name}": hint for part, cls in parts.items() for name, hint in option_types(cls).items()}
    hints |= {name: hint for name, (hint, _, _) in top.items()}

    class Formatter(DefaultHelpFormatter):
        def _get_help_string(self, action: Action) -> str:
            return f"{action.help} ({_values(action, hints[action.dest])})"

    parser = ArgumentParser(usage=usage, exit_on_error=False, add_help=False, formatter_class=Formatter)
    for name, (hint, default, meaning) in top.items():
        parser.add_argument(f"--{name}", type=hint, default=default, help=meaning)
    for part, cls in parts.items():
        parser.add_class_arguments(cls, part)
    for action in parser._actions:
        if action.dest not in hints:  # jsonargparse's --model FILE and --labels.groups.help, which recipes do not have
            action.help = SUPPRESS
        elif action.help:
            action.help = _without_markup(action.help)
    for group in parser._action_groups:
        group.title = _without_markup(group.title or "")
    return parser


def _values(action: Action, hint: Any) -> str:
    """``a whole number; default: 0``; text, and values that the flag itself lists, are not named."""
    listed = get_origin(hint) is Literal or hint in (bool, str)
    default = "needed" if action.required else f"default: {_as_yaml(action.default)}"
    return default if listed else f"{expected(hint)}; {default}"


def _as_yaml(value: Any) -> str:
    return write_yaml([str(value) if isinstance(value, Path) else plain(value)], flow=True).strip()[1:-1]


def _without_markup(text: str) -> str:
    return re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "")
