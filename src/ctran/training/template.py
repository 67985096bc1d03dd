"""A recipe as a commented YAML file to start from."""

import dataclasses
import textwrap
from pathlib import Path
from typing import Any

from ctran.training.recipe import as_yaml, hints_of, named, read_typed, recipe_parser
from ctran.training.values import expected
from ctran.training.yaml_text import write_yaml

WIDTH = 110

HEAD = """\
# {name}, written by ctran new.  Train it:  ctran train {file}
# Keys behind a # have their default values; remove the # to change one. Each is also a flag: --training.epochs 50
"""


def template(path: Path, file: str) -> str:
    """YAML text with every key of the recipe at ``path``: its meaning as a comment, and its value.

    Keys that the recipe sets have their values, all others are commented out with their defaults. Reading the text gives the
    same recipe.

    Args:
        path: a recipe.
        file: name of the file that the text is for, named in its first line.

    Raises:
        RecipeError: the recipe cannot be read.
    """
    method, source, loss = named(path, ())
    given, hints = read_typed(path), hints_of(method, source, loss)
    meanings = {action.dest: action.help or "" for action in recipe_parser(method, source, loss)._actions}
    lines = [HEAD.format(name=path.stem, file=file)]
    for name, value in (("method", method), ("source", source), ("seed", given.get("seed", 0))):
        lines += [*_comment(meanings[name], ""), f"{_entry(name, value)}\n"]
    part = ""
    for key, (hint, default) in hints.items():
        before, (part, _, name) = part, key.partition(".")
        if part != before:
            lines.append(f"\n{part}:")
        lines += _comment(meanings.get(key, ""), "  ")
        if key in given:
            lines.append(f"  {_entry(name, given[key])}")
        elif default is dataclasses.MISSING:
            lines.append(f"  # {name}:    needed: {expected(hint)}")
        else:
            lines.append(f"  # {_entry(name, default)}")
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: str) -> list[str]:
    """``text`` as comment lines."""
    return textwrap.wrap(" ".join(text.split()), WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _entry(name: str, value: Any) -> str:
    """``name: value`` on one line."""
    return write_yaml({name: as_yaml(value)}, flow=True).strip()[1:-1]
