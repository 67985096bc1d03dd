"""Folders that hold a model: refused by name, replaced only when the new one is complete."""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ctran.errors import UserError


class ModelFolderError(UserError):
    """A folder that holds no model, or one of another format; the message says what was expected."""


def refuse_foreign(folder: Path, own: Collection[str]) -> None:
    """Refuse a file, and a folder with anything but the files ``own``."""
    if folder.is_file():
        raise ModelFolderError(f"{folder} is a file; name a folder that is new, or one to replace")
    if folder.exists() and (foreign := sorted(p.name for p in folder.iterdir() if p.name not in own)):
        raise ModelFolderError(f"{folder} holds {foreign[0]!r}, which is no part of a model: give another folder")


@contextmanager
def replacing(folder: Path, own: Collection[str]) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``folder`` when the block ends; after an error it is gone.

    Args:
        own: names of files that may be in ``folder`` before.

    Raises:
        ModelFolderError: the folder holds something else.
    """
    refuse_foreign(folder, own)
    folder = folder.resolve()  # "." has no name
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    if folder.exists():
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old)
    else:
        part.rename(folder)
