"""Recipes: one typed truth for YAML, flags, help and errors."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentParser, Namespace

from ctran import methods, recipes, registry
from ctran.data import sources
from ctran.errors import UserError
from ctran.files import write_text
from ctran.labels import nearest
from ctran.methods._base import MethodConfig
from ctran.training.options import Evaluation, Labels, Training

SHORT = {"--absent": "--data.absent", "--root": "--data.root", "--skip-broken": "--data.skip_broken"}


@dataclass(frozen=True)
class Recipe:
    """One experiment: which method on which data, trained how.

    Args:
        method: name of a file in ``ctran/methods``; its ``Config`` types ``model``.
        source: name of a file in ``ctran/data/sources``; its ``Config`` types ``data``.
        seed: of everything random in training.
    """

    method: str
    source: str
    seed: int
    model: MethodConfig
    data: Any
    labels: Labels
    training: Training
    evaluation: Evaluation

    def save(self, path: Path) -> None:
        """Write as YAML that :func:`read_recipe` reads; paths become absolute, so that it works from any folder."""
        text = yaml.safe_dump(_plain(dataclasses.asdict(self)), sort_keys=False, allow_unicode=True)
        write_text(path, text)


class RecipeError(UserError):
    """A recipe or flag that cannot be used; the message names the key and what was expected."""


def _plain(value: Any) -> Any:
    """Only what YAML and JSON know."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value.absolute()) if isinstance(value, Path) else value


def recipe_parser(method: str = "ctran", source: str = "openclipart") -> ArgumentParser:
    """The parser whose ``--help`` lists every key of a recipe with ``method`` and ``source``."""
    parser = ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument("--method", default=method, help=f"one of {', '.join(registry.names(methods))}")
    parser.add_argument("--source", default=source, help=f"one of {', '.join(registry.names(sources))}")
    parser.add_argument("--seed", type=int, default=0, help="of everything random in training")
    parser.add_class_arguments(registry.find(methods, method).Config, "model")
    parser.add_class_arguments(registry.find(sources, source).Config, "data")
    parser.add_class_arguments(Labels, "labels")
    parser.add_class_arguments(Training, "training")
    parser.add_class_arguments(Evaluation, "evaluation")
    return parser


def shipped() -> list[str]:
    """Names of the shipped recipes."""
    folder = Path(recipes.__path__[0])
    return sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml"))


def name_of(path: Path) -> str:
    """Name of a recipe's run folder: ``paper-coco80`` of the shipped ``paper/coco80``, ``mine`` of any ``mine.yaml``."""
    folder = Path(recipes.__path__[0])
    inside = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
    return "-".join(inside.with_suffix("").parts)


def read_tree(path: Path) -> dict[str, Any]:
    """Keys and values of a YAML file; those of the recipe that its key ``base`` names come first.

    Raises:
        RecipeError: no YAML, or a base that is not there or leads back to the file.
    """
    seen: list[Path] = []
    trees: list[dict[str, Any]] = []
    while True:
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise RecipeError(f"{path} is no YAML: {error}") from None
        if not isinstance(tree, dict):
            raise RecipeError(f"{path} must hold keys and values, got {type(tree).__name__}")
        if path in seen:
            raise RecipeError(f"{path}: its base leads back to it")
        seen.append(path)
        base = tree.pop("base", None)
        trees.append(_flat(tree))
        if base is None:
            break
        beside = path.parent / f"{base}.yaml"
        path = beside if beside.is_file() else find_recipe(str(base))
    return {key: value for tree in reversed(trees) for key, value in tree.items()}


def find_recipe(name: str) -> Path:
    """A YAML file by path, or one of the shipped ones by name (``demo``, ``paper/coco80``)."""
    folder = Path(recipes.__path__[0])
    for path in (Path(name), folder / name, folder / f"{name}.yaml"):
        if path.is_file():
            return path
    known = shipped()
    raise RecipeError(f"no recipe {name!r}{nearest(name, known)} (a YAML file, or one of: {', '.join(known)})")


def _nested(flags: Sequence[str]) -> dict[str, Any]:
    """``["--a.b", "1", "--c=2"]`` -> ``{"a.b": "1", "c": "2"}``."""
    pairs: dict[str, Any] = {}
    rest = list(flags)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            raise RecipeError(f"expected --key value, got {flag!r}")
        name, equals, value = flag.partition("=")
        name = SHORT.get(name, name)
        if not equals:
            if not rest or rest[0].startswith("--"):
                if not name.endswith("skip_broken"):
                    raise RecipeError(f"{name} needs a value")
                value = "true"
            else:
                value = rest.pop(0)
        pairs[name.removeprefix("--")] = value
    return pairs


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping -> dotted keys; what users name themselves (``labels.groups``) stays one value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) and name != "labels.groups" else {name: value}
    return flat


def read_recipe(path: Path | None = None, flags: Sequence[str] = ()) -> Recipe:
    """A recipe from a YAML file, then ``--key value`` flags over it.

    Raises:
        RecipeError: no YAML, an unknown key (with the nearest one), or a value of the wrong type.
    """
    keys = read_tree(path) if path else {}
    given = _nested(flags)
    method = str(given.pop("method", keys.pop("method", "ctran")))
    source = str(given.pop("source", keys.pop("source", "openclipart")))
    try:
        parser = recipe_parser(method, source)
        text = _text_keys(method, source)
    except ValueError as error:
        raise RecipeError(str(error)) from None
    for key, value in given.items():
        try:
            keys[key] = value if key in text and value != "null" else yaml.safe_load(value)
        except yaml.YAMLError:
            raise RecipeError(f"--{key}: cannot read {value!r}") from None
    keys.update({key: str(keys[key]) for key in text if keys.get(key) is not None})
    valid = [a.dest for a in parser._actions if "." in a.dest or a.dest == "seed"]
    for key in keys:
        if key not in valid:
            raise RecipeError(f"unknown recipe key {key!r}{nearest(key, valid)}")
    try:
        parsed = parser.parse_object(_tree(keys))
        parts: Namespace = parser.instantiate(parsed)
    except Exception as error:  # jsonargparse and the dataclasses' own checks
        hint = f"; --root says where the data are (ctran datasets {source})" if "required: data.root" in str(error) else ""
        raise RecipeError(str(error).strip() + hint) from None
    if parts.seed is None or parts.seed < 0:
        raise RecipeError(f"seed must be a number from 0 on, got {parts.seed}")
    return Recipe(method, source, parts.seed, parts.model, parts.data, parts.labels, parts.training, parts.evaluation)


def read_run(run: Path, flags: Sequence[str] = ()) -> Recipe:
    """The recipe that a run folder was made by, with ``--key value`` flags over it.

    Files that the source keeps with the run (its ``FROZEN``: option -> file) are read from there, wherever the folder is now.
    """
    if not (run / "recipe.yaml").is_file():
        raise RecipeError(f"{run} is no run folder: recipe.yaml not found")
    recipe = read_recipe(run / "recipe.yaml", flags)
    kept = getattr(registry.find(sources, recipe.source), "FROZEN", {})
    found = {option: run / file for option, file in kept.items() if (run / file).is_file()}
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **found)) if found else recipe


def _tree(flat: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys -> nested mapping."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *outer, last = key.split(".")
        node = tree
        for name in outer:
            node = node.setdefault(name, {})
        node[last] = value
    return tree


def _text_keys(method: str, source: str) -> set[str]:
    """Keys whose values are names and paths, which YAML must not take for numbers, dates or lists."""
    parts = {"model": registry.find(methods, method).Config, "data": registry.find(sources, source).Config}
    parts |= {"labels": Labels, "training": Training, "evaluation": Evaluation}
    hints = {f"{part}.{name}": hint for part, cls in parts.items() for name, hint in get_type_hints(cls).items()}
    several = (Literal, tuple, dict)
    return {key for key, hint in hints.items() if {hint, *get_args(hint)} & {str, Path} and get_origin(hint) not in several}


def print_help(method: str, source: str) -> None:
    """All keys of a recipe, with their types and defaults."""
    recipe_parser(method, source).print_help(sys.stdout)
