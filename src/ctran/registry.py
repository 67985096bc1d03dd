"""A file is a registration: the modules of a package, found by their name."""

import pkgutil
from importlib import import_module
from types import ModuleType

from ctran.errors import UserError, nearest


def names(package: ModuleType) -> list[str]:
    """Names of the public modules in ``package``, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def find(package: ModuleType, name: str) -> ModuleType:
    """The module ``name`` of ``package``; UserError with the nearest name where there is none."""
    known = names(package)
    if name not in known:
        raise UserError(f"unknown {kind(package)} {name!r}{nearest(name, known)} (there are: {', '.join(known)})")
    return import_module(f"{package.__name__}.{name}")


def kind(package: ModuleType) -> str:
    """What one module of ``package`` is: ``loss`` of ``losses``, ``method`` of ``methods``."""
    word = package.__name__.rpartition(".")[2]
    return word.removesuffix("es") if word.endswith("sses") else word.removesuffix("s")
