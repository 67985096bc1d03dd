"""Recipes: one typed definition for YAML, flags, help and errors."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctran import losses, methods, registry
from ctran.data import sources
from ctran.errors import UserError, wrong_folder
from ctran.files import write_text
from ctran.losses._base import LossConfig
from ctran.methods._base import MethodConfig
from ctran.training import wrong_keys
from ctran.training.key_help import keys_parser
from ctran.training.label_options import Labels
from ctran.training.options import Evaluation, Training
from ctran.training.recipe_files import PARTS, SHORT, Keys, read_keys
from ctran.training.values import convert, expected, is_structured, may_be_null, missing, option_types, shown
from ctran.training.yaml_text import NULL, Plain, RecipeError, read_yaml, write_yaml

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

PACKAGES = {"method": methods, "source": sources, "training.loss": losses}
"""Keys that name a file of a package, whose ``Config`` types a part of the recipe; the default is the package's ``DEFAULT``
(of the loss: :func:`default_loss`)."""

VERSIONS = "versions.json"
"""File of a run folder: versions of Python and libraries, and of other packages that the recipe names something of."""


@dataclass(frozen=True)
class Recipe:
    """One experiment: which method on which data, trained how.

    Args:
        method: name of a file in ``ctran/methods``; its ``Config`` types ``model``.
        source: name of a file in ``ctran/data/sources``; its ``Config`` types ``data``.
        seed: of everything random in training.
        loss: options of the loss that ``training.loss`` names, a file in ``ctran/losses``.

    Raises:
        UserError: ``loss`` has the options of another one.
    """

    method: str
    source: str
    seed: int
    model: MethodConfig
    data: Any
    labels: Labels
    training: Training
    loss: LossConfig
    evaluation: Evaluation

    def __post_init__(self) -> None:
        self.model.stages(self.training.epochs)  # refuses stages that do not fit
        if not isinstance(self.loss, registry.find(losses, self.training.loss).Config):
            raise UserError(f"training.loss is {self.training.loss}, but the options in loss are those of another loss")

    def save(self, path: Path) -> None:
        """Write as YAML that :func:`read_recipe` reads; paths become absolute, so that it works from any folder."""
        write_text(path, write_yaml(as_yaml(dataclasses.asdict(self))))


def as_yaml(value: Any) -> Any:
    """A value of a recipe as text, numbers, lists and mappings; paths become absolute."""
    if isinstance(value, dict):
        return {k: as_yaml(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_yaml(v) for v in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return as_yaml(dataclasses.asdict(value))
    return str(value.absolute()) if isinstance(value, Path) else value


def recipe_parser(method: str = methods.DEFAULT, source: str = sources.DEFAULT, loss: str = losses.DEFAULT) -> "ArgumentParser":
    """The parser whose ``--help`` lists every key of a recipe with ``method``, ``source`` and ``loss``."""
    top = {
        "method": (str, method, f"one of {', '.join(registry.names(methods))}"),
        "source": (str, source, f"one of {', '.join(registry.names(sources))}"),
        "seed": (int, 0, "of everything random in training"),
    }
    parser = keys_parser("ctran train [RECIPE] [--KEY VALUE ...]", parts_of(method, source, loss), top)
    parser.set_defaults({"training.loss": loss})
    return parser


def named(path: Path | None, flags: Sequence[str]) -> tuple[str, str, str]:
    """The method, the source and the loss of a recipe, whatever else it holds."""
    return _names_of(read_keys(path, flags))


def parts_of(method: str, source: str, loss: str = losses.DEFAULT) -> dict[str, Any]:
    """The dataclass of each part of a recipe."""
    configs = {
        "model": registry.find(methods, method).Config,
        "data": registry.find(sources, source).Config,
        "labels": Labels,
        "training": Training,
        "loss": registry.find(losses, loss).Config,
        "evaluation": Evaluation,
    }
    return {part: configs[part] for part in PARTS}


def hints_of(method: str, source: str, loss: str = losses.DEFAULT) -> dict[str, tuple[Any, Any]]:
    """Type and default of every key in the parts of a recipe; the default is ``MISSING`` if a value is required."""
    found: dict[str, tuple[Any, Any]] = {}
    for part, cls in parts_of(method, source, loss).items():
        defaults = {field.name: _default(field) for field in dataclasses.fields(cls)}
        found |= {f"{part}.{name}": (hint, defaults[name]) for name, hint in option_types(cls).items()}
    return found


def default_of(key: str, method: str, source: str, loss: str) -> Any:
    """Default of one key of a part, as :func:`hints_of`."""
    part, _, name = key.partition(".")
    return next(_default(field) for field in dataclasses.fields(parts_of(method, source, loss)[part]) if field.name == name)


def default_loss(absent: Any) -> str:
    """The loss of a recipe that names none, by its ``data.absent``."""
    return losses.UNLISTED if absent == "unlisted" else losses.DEFAULT


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def read_typed(path: Path) -> dict[str, Any]:
    """Keys and typed values of a YAML file and of its bases; defaults are not filled in.

    Raises:
        RecipeError: as :func:`read_recipe`, except for required values that are missing.
    """
    keys = read_keys(path, ())
    return _typed(keys, _names_of(keys))


def _names_of(keys: Keys) -> tuple[str, str, str]:
    """Method, source and loss."""
    absent, _ = keys.get("data.absent", (None, None))
    defaults = {name: package.DEFAULT for name, package in PACKAGES.items()} | {"training.loss": default_loss(absent)}
    method, source, loss = (_name_of(keys, name, default) for name, default in defaults.items())
    return method, source, loss


def _typed(keys: Keys, names: tuple[str, str, str]) -> dict[str, Any]:
    """The value of each key of the parts, converted to its type; ``names`` are method, source and loss."""
    hints = {key: hint for key, (hint, _) in hints_of(*names).items()} | {"seed": int}
    chosen: dict[str, str] = dict(zip(("model", "data", "loss"), names, strict=True))
    found: dict[str, Any] = {}
    for key, (value, file) in keys.items():
        if key in ("method", "source"):
            continue
        where = f"{file}: " if file else ""
        if key not in hints:
            raise RecipeError(f"{where}{wrong_keys.explain(key, hints, chosen)}")
        found[key] = _value(value, hints[key], f"{where}{key}", flag=file is None)
    return found


def read_recipe(path: Path | None = None, flags: Sequence[str] = ()) -> Recipe:
    """A recipe from a YAML file, overridden by ``--key value`` flags.

    The type of a key decides what the text of its value means: ``yes``, ``12`` or ``null`` in a list of labels are names.

    Raises:
        RecipeError: no YAML, an unknown key (with the nearest one), or a value of the wrong type.
    """
    return recipe_of(read_keys(path, flags))


def recipe_of(keys: Keys) -> Recipe:
    """A recipe from keys, as :func:`read_recipe`."""
    names = _names_of(keys)
    found = _typed(keys, names)
    found.setdefault("training.loss", names[2])
    seed = found.pop("seed", 0)
    if seed < 0:
        raise RecipeError(f"seed must be a number from 0 on, got {seed}")
    method, source, _ = names
    built = {part: _build(part, cls, found, source) for part, cls in parts_of(*names).items()}
    try:
        return Recipe(method, source, seed, **built)
    except UserError as error:  # parts that do not fit each other
        raise RecipeError(str(error)) from None


def _name_of(keys: Keys, name: str, default: str) -> str:
    """A key that names a method, a source or a loss, and one of that name exists."""
    value, file = keys.get(name, (default, None))
    if not isinstance(value, str):
        raise RecipeError(f"{f'{file}: ' if file else '--'}{name}: expected a name, got {shown(value) if file else 'nothing'}")
    try:
        registry.find(PACKAGES[name], str(value))
    except UserError as error:
        raise RecipeError(f"{f'{file}: ' if file else ''}{name}: {error}") from None
    return str(value)


def _value(value: Any, hint: Any, key: str, *, flag: bool) -> Any:
    """One key's value, converted to its type."""
    if flag and value is None:
        if hint is not bool:
            raise RecipeError(f"--{key} needs a value: {expected(hint)}")
        return True
    if flag and is_structured(hint):
        try:
            value = read_yaml(value)
        except RecipeError as error:
            raise RecipeError(f"--{key}: cannot read {value!r}: {error}") from None
    elif flag and value == "null" and may_be_null(hint):
        return None
    elif hint is str and isinstance(value, Plain) and value in NULL:
        raise RecipeError(f"{key}: expected text, got {shown(value)}; leave the key out for its default, or quote the text")
    return convert(value, hint, key)


def _build(part: str, cls: Any, found: dict[str, Any], source: str) -> Any:
    """One part of a recipe; errors for missing and invalid values name the key."""
    given = {key.partition(".")[2]: value for key, value in found.items() if key.startswith(f"{part}.")}
    if lacks := missing(cls, given):
        short = {full.removeprefix("--"): flag for flag, full in SHORT.items()}
        hints = option_types(cls)
        names = (f"{part}.{name}" for name in lacks)
        each = (f"{key} ({short.get(key, f'--{key}')}): {expected(hints[key.partition('.')[2]])}" for key in names)
        raise RecipeError(f"source {source} needs {'; '.join(each)} (its options: ctran data {source})")
    try:
        return cls(**given)
    except ValueError as error:  # the checks of the options themselves
        raise RecipeError(str(error)) from None


def read_run(run: Path, flags: Sequence[str] = ()) -> Recipe:
    """The recipe of a run folder, overridden by ``--key value`` flags.

    Files that the source keeps with the run (its ``FROZEN``: option -> file) are read from there, wherever the folder is now.
    """
    if not (run / "recipe.yaml").is_file():
        raise RecipeError(wrong_folder(run, "run folder", ["recipe.yaml"]))
    try:
        recipe = read_recipe(run / "recipe.yaml", flags)
    except RecipeError as error:
        raise RecipeError(f"{error}{_not_installed(run)}") from None
    kept = getattr(registry.find(sources, recipe.source), "FROZEN", {})
    found = {option: run / file for option, file in kept.items() if (run / file).is_file()}
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **found)) if found else recipe


def _not_installed(run: Path) -> str:
    """What to install of the packages that the run was made with; an empty string where nothing is known to be missing."""
    try:
        packages = json.loads((run / VERSIONS).read_text())["packages"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    missing = [name for name in packages if registry.installed(name) is None]
    return f"; the run was made with a package that is not installed: pip install {' '.join(missing)}" if missing else ""


def print_help(method: str, source: str, loss: str = losses.DEFAULT) -> None:
    """All keys of a recipe, with their types and defaults."""
    recipe_parser(method, source, loss).print_help(sys.stdout)
