"""Recipes as text: YAML files with their bases, shipped recipes by name, and flags, as dotted keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctran import recipes
from ctran.errors import nearest
from ctran.training.values import shown
from ctran.training.yaml_text import NULL, Plain, RecipeError, read_yaml

PARTS = ("model", "data", "labels", "training", "loss", "evaluation")

Keys = dict[str, tuple[Any, Path | None]]
"""Dotted key -> value, and the file that it comes from (None: a flag)."""

SHORT = {"--absent": "--data.absent", "--root": "--data.root", "--skip-broken": "--data.skip_broken"}


def read_keys(path: Path | None, flags: Sequence[str]) -> Keys:
    """Keys of a file and of its bases, overridden by flags.

    Raises:
        RecipeError: a file is not YAML, its base does not exist, or a flag has no name.
    """
    keys = _read_files(path) if path else {}
    return keys | {key: (value, None) for key, value in _read_flags(flags).items()}


def shipped() -> list[str]:
    """Names of the shipped recipes."""
    folder = Path(recipes.__path__[0])
    return sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml"))


def name_of(path: Path) -> str:
    """Name of a recipe's run folder: ``paper-coco80`` of the shipped ``paper/coco80``, ``mine`` of any ``mine.yaml``."""
    folder = Path(recipes.__path__[0])
    inside = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
    return "-".join(inside.with_suffix("").parts)


def _read_files(path: Path) -> Keys:
    """Dotted keys, each with its value (text, or lists and mappings of text) and the file that it comes from: the YAML file,
    or a recipe that its key ``base`` names.

    Raises:
        RecipeError: a file is not YAML, or its base does not exist or leads back to it.
    """
    seen: list[Path] = []
    found: Keys = {}
    while True:
        if path in seen:
            raise RecipeError(f"{path}: its base leads back to it")
        seen.append(path)
        try:
            tree = read_yaml(path.read_bytes())
        except RecipeError as error:
            raise RecipeError(f"{path} is not YAML: {error}") from None
        if not isinstance(tree, dict):
            kind = "nothing" if tree is None or tree == "" else "a list" if isinstance(tree, list) else "text"
            raise RecipeError(f"{path} must hold keys and values, got {kind}")
        base = tree.pop("base", None)
        found = {key: (value, path) for key, value in _dotted(tree, path).items()} | found
        if base is None:
            return found
        sibling = path.parent / f"{base}.yaml"
        path = sibling if sibling.is_file() else find_recipe(str(base))


def _dotted(tree: dict[Any, Any], path: Path) -> dict[str, Any]:
    """``{part: {name: value}}`` -> ``{"part.name": value}``; values are not split further."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if key not in PARTS:
            found[str(key)] = value
        elif isinstance(value, dict):
            found |= {f"{key}.{name}": each for name, each in value.items()}
        elif not (isinstance(value, Plain) and value in NULL):  # all keys below it may be commented out
            raise RecipeError(f"{path}: {key}: expected keys and values, got {shown(value)}")
    return found


def find_recipe(name: str) -> Path:
    """A YAML file by path, or one of the shipped ones by name (``demo``, ``paper/coco80``)."""
    folder = Path(recipes.__path__[0])
    for path in (Path(name), folder / name, folder / f"{name}.yaml"):
        if path.is_file():
            return path
    if name.endswith((".yaml", ".yml")):
        raise RecipeError(f"{name}: no such file, expected a recipe in YAML; ctran new writes one")
    known = shipped()
    plain = [each for each in known if "/" not in each]
    folders = sorted({each.partition("/")[0] for each in known if "/" in each})
    listed = f"{', '.join(plain)}, or one in {', '.join(f'{folder}/' for folder in folders)}: docs/recipes.md"
    raise RecipeError(f"no recipe {name!r}{nearest(name, known)} (a YAML file, or one of: {listed})")


def _read_flags(flags: Sequence[str]) -> dict[str, str | None]:
    """``["--a.b", "1", "--c=2"]`` -> ``{"a.b": "1", "c": "2"}``; None for a flag without a value."""
    pairs: dict[str, str | None] = {}
    rest = list(flags)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            raise RecipeError(f"expected --key value, got {flag!r}")
        name, equals, value = flag.partition("=")
        key = SHORT.get(name, name).removeprefix("--")
        pairs[key] = value if equals else rest.pop(0) if rest and not rest[0].startswith("--") else None
    return pairs
