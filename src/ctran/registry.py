"""A file is a registration: the modules of a package by their name, and those that other installed packages add.

A package with ``ENTRY_POINTS``, the name of a group such as ``ctran.methods``, also has the modules that installed packages
declare as entry points of that group. They are read when a name of such a package is requested, not before: reading them takes
some hundredths of a second. A module is imported when it is used, so one that cannot be imported affects no other name.
"""

import os
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from ctran.errors import UserError, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

HOLDS = ("SUMMARY", "Config", "build")
"""What a module of another package must hold."""


class Distribution(NamedTuple):
    """An installed package, by the name under which pip installs it."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def files(package: ModuleType) -> list[str]:
    """Names of the public modules that are files of ``package`` itself, sorted."""
    return list(_listed(tuple((path, _changed(path)) for path in package.__path__)))


def names(package: ModuleType) -> list[str]:
    """Names of the public modules of ``package`` and of those that other packages add to it, sorted."""
    return sorted({*files(package), *(point.name for point in _entry_points(package))})


def find(package: ModuleType, name: str) -> ModuleType:
    """The module ``name`` of ``package``.

    Raises:
        UserError: there is none (the nearest name is in the message), two packages give one of that name, or it cannot be
            imported or lacks what it must hold.
    """
    word = kind(package)
    own, added = name in files(package), [point for point in _entry_points(package) if point.name == name]
    if own + len(added) > 1:
        givers = [*(["ctran"] if own else []), *(f"{_distribution(point)} ({point.value})" for point in added)]
        raise UserError(f"{word} {name!r} is given by {' and by '.join(givers)}: uninstall all of these packages but one")
    if own:
        return import_module(f"{package.__name__}.{name}")
    if added:
        return _load(added[0], package)
    known = names(package)
    raise UserError(f"unknown {word} {name!r}{nearest(name, known)} (there are: {', '.join(known)})")


def each(package: ModuleType) -> Iterator[tuple[str, ModuleType | UserError]]:
    """Every name with its module, or with the reason why it cannot be used."""
    for name in names(package):
        try:
            yield name, find(package, name)
        except UserError as error:
            yield name, error


def distribution_of(package: ModuleType, name: str) -> Distribution | None:
    """The other package that adds the module ``name``; None where it is a file of ``package``, or unknown."""
    if name in files(package):
        return None
    return next((_distribution(point) for point in _entry_points(package) if point.name == name), None)


def installed(name: str) -> Distribution | None:
    """The installed distribution of that name, if there is one."""
    from importlib import metadata

    try:
        return Distribution(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return None


def kind(package: ModuleType) -> str:
    """What one module of ``package`` is: ``loss`` of ``losses``, ``method`` of ``methods``."""
    word = package.__name__.rpartition(".")[2]
    return word.removesuffix("es") if word.endswith("sses") else word.removesuffix("s")


def _load(point: "EntryPoint", package: ModuleType) -> ModuleType:
    """The module that an entry point names."""
    word = kind(package)
    where = f"{word} {point.name!r} of package {_distribution(point)} ({point.value})"
    try:
        module = point.load()
    except Exception as error:  # whatever happens in another package's code
        raise UserError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    if lacks := [each for each in HOLDS if not hasattr(module, each)]:
        raise UserError(f"{where} lacks {', '.join(lacks)}; expected a module with {', '.join(HOLDS)}")
    place, _, name = getattr(package, "CONFIG", "").partition(":")
    base = getattr(import_module(place), name) if place else object
    if not (isinstance(module.Config, type) and issubclass(module.Config, base) and is_dataclass(module.Config)):
        expected = f", a subclass of {place}.{name}" if place else ""
        raise UserError(f"{where}: its Config is not a dataclass{expected}")
    return module


def _entry_points(package: ModuleType) -> "tuple[EntryPoint, ...]":
    """What other packages add to ``package``; nothing where it has no group."""
    group = getattr(package, "ENTRY_POINTS", None)
    return _read(group, tuple((path, _changed(path)) for path in sys.path)) if group else ()


@lru_cache(maxsize=32)
def _listed(folders: tuple[tuple[str, int], ...]) -> tuple[str, ...]:
    """Names of the public modules in folders, listed again where one of them changed."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules([path for path, _ in folders]) if not m.name.startswith("_")))


@lru_cache(maxsize=8)
def _read(group: str, path: tuple[tuple[str, int], ...]) -> "tuple[EntryPoint, ...]":
    """Entry points of a group, read again where ``sys.path`` or one of its folders changed (a package was installed)."""
    from importlib import metadata

    return tuple(metadata.entry_points(group=group))


def _changed(path: str) -> int:
    """Time at which a folder last got or lost a file, 0 if it does not exist."""
    try:
        return os.stat(path or ".").st_mtime_ns  # noqa: PTH116  (pathlib takes four times as long, for each name)
    except OSError:
        return 0


def _distribution(point: "EntryPoint") -> Distribution:
    assert point.dist is not None  # set by metadata.entry_points
    return Distribution(point.dist.name, point.dist.version)
