"""Annotations from one format of users to another: what a source with ``read`` and ``write`` can do."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ctran import registry
from ctran.data import sources
from ctran.data.notices import few, warn
from ctran.data.output import Output
from ctran.data.readers.annotations import checked
from ctran.data.readers.found import exists
from ctran.data.reading import naming
from ctran.data.rows import Annotated
from ctran.data.table import HINT, DataError
from ctran.errors import UserError
from ctran.files import atomic_folder


def formats() -> dict[str, ModuleType]:
    """The sources that are formats of users' own annotations, by name."""
    found = ((name, module) for name, module in registry.each(sources) if not isinstance(module, UserError))
    return {name: module for name, module in found if hasattr(module, "read") and hasattr(module, "SAYS")}


def writable() -> list[str]:
    """Names of the formats that can be written."""
    return [name for name, module in formats().items() if hasattr(module, "write")]


def reader(name: str) -> ModuleType:
    """The format ``name``, to read.

    Raises:
        UserError: there is none, or it is a published data set.
    """
    module = registry.find(sources, name)
    if name not in formats():
        raise UserError(f"{name} is a data set, not a format of users' own files; expected one of {', '.join(formats())}")
    return module


def writer(name: str) -> ModuleType:
    """The format ``name``, to write.

    Raises:
        UserError: there is none, or it cannot be written.
    """
    module = reader(name)
    if not hasattr(module, "write"):
        raise UserError(f"{name} is read, not written; expected one of {', '.join(writable())}")
    return module


def read(module: ModuleType, config: Any, *, keep_missing: bool = False) -> Annotated:
    """The annotation that a source's options name, checked; pictures are looked for, not decoded.

    Args:
        module: the format.
        config: its options.
        keep_missing: rows of missing pictures stay.

    Raises:
        DataError: a wrong record, or a missing picture (unless ``skip_broken``, which leaves it out).
    """
    with naming(config):
        annotated = checked(module.read(config), config.splits)
        missing = set[str]() if keep_missing else {row.id for row in annotated.rows if not exists(row.path)}
        if missing and not config.skip_broken:
            row = next(row for row in annotated.rows if row.id in missing)
            raise DataError(f"{row.where}: {row.path}: no such file ({len(missing):,} such pictures in all). {HINT}")
        if missing:
            warn(f"{len(missing):,} of {len(annotated.rows):,} pictures are missing and left out: {few(sorted(missing))}")
        rows = [row for row in annotated.rows if row.id not in missing]
        if not rows:
            raise DataError("no picture to work with: no row has a picture that exists")
    return Annotated(rows, annotated.absent, annotated.labels, annotated.folder)


def write(module: ModuleType, annotated: Annotated, out: Path, *, link: bool = False) -> Mapping[str, Any]:
    """Write the annotation and its pictures into ``out``, which must be new or empty.

    Returns:
        The options with which the format reads it, ``root`` among them.

    Raises:
        DataError: the format cannot say what is known; nothing is written.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; name a new folder")
    if not getattr(module, "SPLITS", True) and any(row.split for row in annotated.rows):
        warn("this format has no splits: those of the pictures are not written")
    with atomic_folder(out) as part:
        options: dict[str, Any] = module.write(annotated, Output(part, link=link))
    return {key: out / value if isinstance(value, Path) else value for key, value in options.items()}
