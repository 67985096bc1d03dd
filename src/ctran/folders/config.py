"""``config.json`` of a model folder: the method with its options, and the preprocessing."""

import dataclasses
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ctran import methods, registry
from ctran.folders.model_folder import ModelFolderError
from ctran.images.transforms import Preprocessing
from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.methods._base import build as build_method
from ctran.model import Method
from ctran.version import __version__

FORMAT = 1
_PREPROCESSING = tuple(field.name for field in dataclasses.fields(Preprocessing))
"""Keys that must be there: where one is missing, a default would silently give other predictions."""


def config_of(method: str, options: MethodConfig, prepared: Preprocessing) -> dict[str, Any]:
    """``config.json`` of a new model. A method of another package also has ``package``: its name and version."""
    found = {
        "format": FORMAT,
        "ctran": __version__,
        "method": method,
        "model": dataclasses.asdict(options),
        "preprocessing": dataclasses.asdict(prepared),
    }
    package = registry.distribution_of(methods, method)
    return found if package is None else found | {"package": package._asdict()}


def tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with JSON's lists turned back into tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def build(config: Mapping[str, Any], labels: LabelSpace) -> Method:
    """The module that a model folder's ``config.json`` describes, with random weights."""
    _check_distribution(config)
    method = registry.find(methods, config["method"])
    known = {f.name for f in dataclasses.fields(method.Config)}
    if unknown := config["model"].keys() - known:
        raise ModelFolderError(f"config.json: method {config['method']} has no option {sorted(unknown)[0]!r}")
    return build_method(config["method"], method.Config(**tuples(config["model"])), labels)


def without_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration that can be published: files of this machine (``file:PATH``, absolute paths) without their folders."""
    model = {key: _without_folder(value) for key, value in config.get("model", {}).items()}
    return {**config, "model": model} if "model" in config else dict(config)


def _without_folder(value: Any) -> Any:
    """The value; of a path, its last part."""
    if not isinstance(value, str):
        return value
    kind, path = ("file:", value.removeprefix("file:")) if value.startswith("file:") else ("", value)
    slashed = path.replace("\\", "/")
    return kind + PurePath(slashed).name if kind or slashed.startswith("/") or slashed[1:3] == ":/" else value


def lacking_key(config: Mapping[str, Any]) -> str:
    """A key that ``config.json`` must have and does not; an empty string where all are there."""
    for key in ("method", "model", "preprocessing"):
        if key not in config:
            return key
    return next((f"preprocessing.{name}" for name in _PREPROCESSING if name not in config["preprocessing"]), "")


def _check_distribution(config: Mapping[str, Any]) -> None:
    """Refuse a model whose method is of a package that is not installed.

    Raises:
        ModelFolderError: it has what to install.
    """
    if "package" not in config:
        return
    method, package = config["method"], registry.Distribution(**config["package"])
    here = registry.distribution_of(methods, method)
    if here is None and (other := registry.installed(package.name)):
        raise ModelFolderError(
            f"the model was saved with package {package}; {other} is installed, which has no method {method!r}: "
            f"pip install {package.name}=={package.version}"
        )
    if here is None:
        raise ModelFolderError(
            f"the model's method {method!r} is of package {package.name}, which is not installed: pip install {package.name} "
            f"(the model was saved with {package})"
        )
    if here.name != package.name:
        raise ModelFolderError(
            f"the model's method {method!r} is of package {package}; the one that is installed here is of {here}: "
            f"install {package.name}, and uninstall {here.name}"
        )
