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
from ctran.images import Augmentation
from ctran.labels import nearest
from ctran.methods._base import MethodConfig

SHORT = {"--absent": "--data.absent", "--root": "--data.root", "--skip-broken": "--data.skip_broken"}


@dataclass(frozen=True)
class Training:
    """How the model is trained; the defaults are the paper's (Sec. 3.4, 3.5) where it says.

    Args:
        epochs: passes over the training pictures.
        batch_size: pictures a step.
        optimizer: adam, or adamw (weight decay apart from the gradient).
        learning_rate: of everything but the backbone and the anchor.
        backbone_learning_rate: null is the same; 0 freezes the backbone (its batch-norm statistics too).
        anchor_learning_rate: of an anchored model's linear layer; null is the same, 0 freezes it (after apart_epochs).
        weight_decay: on matrices; never on biases, norms and embeddings.
        anchor_weight_decay: of the anchor; null is the same.
        schedule: constant, or cosine to zero after a warm-up of 5 % of the steps (apart_epochs have their own).
        clip_norm: largest norm of the gradient; 0 is no limit.
        unknown_share: label mask training hides a uniform random share of the labels in this range; [1, 1] is training
            without label masks (all labels unknown).
        all_unknown: share of the pictures that are told nothing at all, beyond the sampling above.
        hide_image: share of the pictures whose image is hidden. Beyond the paper.
        label_smoothing: 0 is none.
        prior_bias: start the classifier's bias at the log-odds of each label's frequency.
        apart_epochs: so many of the epochs come first, in which the encoder of an anchored model learns from labels alone and
            its anchor from images alone; the sum of the two is where the other epochs start. Beyond the paper.
        anchor_folds: so many copies of the anchor, each without its share of the pictures, learn in the apart_epochs; in the
            others the encoder learns on what the copy says that has not seen the picture. 0 is none. Beyond the paper.
        apart_learning_rate: in these epochs, of both; null is learning_rate.
        ema: decay of the moving average of the weights that is evaluated and saved; 0 is none.
        augmentation: random transform of the training pictures.
        feature_views: with a frozen backbone: compute image tokens of this many views of each training picture once (the first
            is not augmented) and keep them on disk; 0 runs the backbone in every step.
        patience: stop after this many epochs without a better validation score; 0 never stops early.
        precision: numbers of the arithmetic: 32-true, bf16-mixed or 16-mixed.
        devices: how many devices; strategies of Lightning over them.
        strategy: auto, ddp, fsdp, ...
        accelerator: auto, cpu, gpu, ...
        workers: processes that load pictures.
        init_from: a model folder to start from; labels with the same name keep their weights.
    """

    epochs: int = 100
    batch_size: int = 16
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-5
    backbone_learning_rate: float | None = None
    anchor_learning_rate: float | None = None
    weight_decay: float = 0.0
    anchor_weight_decay: float | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    clip_norm: float = 0.0
    unknown_share: tuple[float, float] = (0.25, 1.0)
    all_unknown: float = 0.0
    hide_image: float = 0.0
    label_smoothing: float = 0.0
    prior_bias: bool = False
    apart_epochs: int = 0
    anchor_folds: int = 0
    apart_learning_rate: float | None = None
    ema: float = 0.0
    augmentation: Augmentation = "ctran576"
    feature_views: int = 0
    patience: int = 0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    devices: int = 1
    strategy: str = "auto"
    accelerator: str = "auto"
    workers: int = 0
    init_from: Path | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "devices"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} must be at least 1, got {getattr(self, name)}")
        rates = ("learning_rate", "backbone_learning_rate", "anchor_learning_rate", "apart_learning_rate")
        amounts = ("weight_decay", "anchor_weight_decay", "clip_norm", "feature_views", "patience", "workers")
        for name in (*rates, *amounts):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"training.{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.unknown_share[0] <= self.unknown_share[1] <= 1:
            raise ValueError(f"training.unknown_share must be two shares, 0 <= least <= most <= 1, got {self.unknown_share}")
        for name in ("all_unknown", "hide_image", "label_smoothing", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"training.{name} must lie between 0 and 1, got {getattr(self, name)}")
        if self.anchor_folds < 0 or self.anchor_folds == 1:
            raise ValueError(f"training.anchor_folds must be 0 or at least 2, got {self.anchor_folds}")
        if not 0 <= self.apart_epochs <= self.epochs:
            raise ValueError(f"training.apart_epochs must lie between 0 and training.epochs, got {self.apart_epochs}")
        if self.feature_views and self.backbone_learning_rate != 0:
            raise ValueError("training.feature_views needs a frozen backbone: set training.backbone_learning_rate 0")


@dataclass(frozen=True)
class Evaluation:
    """How the model is evaluated, in training on ``val`` and afterwards on ``test``.

    Args:
        known_share: shares of the labels that the model is told, one column each.
        seed: of the choice of known labels.
    """

    known_share: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.known_share or not all(0 <= share <= 1 for share in self.known_share):
            raise ValueError(f"evaluation.known_share must be shares between 0 and 1, got {list(self.known_share)}")


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
    training: Training
    evaluation: Evaluation

    def save(self, path: Path) -> None:
        """Write as YAML that :func:`read_recipe` reads; paths become absolute, so that it works from any folder."""
        text = yaml.safe_dump(_plain(dataclasses.asdict(self)), sort_keys=False, allow_unicode=True)
        path.write_text(text, encoding="utf-8")


class RecipeError(ValueError):
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
    parser.add_class_arguments(Training, "training")
    parser.add_class_arguments(Evaluation, "evaluation")
    return parser


def find_recipe(name: str) -> Path:
    """A YAML file by path, or one of the shipped ones by name."""
    folder = Path(recipes.__path__[0])
    for path in (Path(name), folder / name, folder / f"{name}.yaml"):
        if path.is_file():
            return path
    known = sorted(p.stem for p in folder.glob("*.yaml"))
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
    """Nested mapping -> dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def read_recipe(path: Path | None = None, flags: Sequence[str] = ()) -> Recipe:
    """A recipe from a YAML file, then ``--key value`` flags over it.

    Raises:
        RecipeError: no YAML, an unknown key (with the nearest one), or a value of the wrong type.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) if path else {}
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is no YAML: {error}") from None
    if not isinstance(tree, dict):
        raise RecipeError(f"{path} must hold keys and values, got {type(tree).__name__}")
    keys: dict[str, Any] = _flat(tree)
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
        raise RecipeError(str(error).strip()) from None
    if parts.seed is None or parts.seed < 0:
        raise RecipeError(f"seed must be a number from 0 on, got {parts.seed}")
    return Recipe(method, source, parts.seed, parts.model, parts.data, parts.training, parts.evaluation)


def read_run(run: Path) -> Recipe:
    """The recipe that a run folder was made by."""
    if not (run / "recipe.yaml").is_file():
        raise RecipeError(f"{run} is no run folder: recipe.yaml not found")
    return read_recipe(run / "recipe.yaml")


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
    parts |= {"training": Training, "evaluation": Evaluation}
    hints = {f"{part}.{name}": hint for part, cls in parts.items() for name, hint in get_type_hints(cls).items()}
    return {key for key, hint in hints.items() if {hint, *get_args(hint)} & {str, Path} and get_origin(hint) is not Literal}


def print_help(method: str, source: str) -> None:
    """All keys of a recipe, with their types and defaults."""
    recipe_parser(method, source).print_help(sys.stdout)
