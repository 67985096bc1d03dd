"""Folders that hold a model: replaced only when the new one is complete, and never if they hold other files."""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ctran.errors import UserError
from ctran.files import atomic_folder, is_leftover

_ANNOTATIONS = "annotations"
"""Subfolder of a model folder in which earlier versions of ``ctran serve`` saved; it is kept."""


class ModelFolderError(UserError):
    """A folder that holds no model, or one of another format; the message names what was expected."""


def refuse_foreign(folder: Path, own: Collection[str]) -> None:
    """Refuse a file, and a folder with anything but the files ``own`` and the leftovers of killed saves."""
    if folder.is_file():
        raise ModelFolderError(f"{folder} is a file; name a folder that is new, or one to replace")
    names = [p.name for p in folder.iterdir()] if folder.exists() else []
    if foreign := sorted(name for name in names if name not in {*own, _ANNOTATIONS} and not is_leftover(name)):
        raise ModelFolderError(f"{folder} holds {foreign[0]!r}, which is not part of a model: give another folder")


@contextmanager
def replacing(folder: Path, own: Collection[str]) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``folder`` when the block ends; after an error it is gone.

    Annotations that lie in the folder move into the new one.

    Args:
        own: names of files that may be in ``folder`` before.

    Raises:
        ModelFolderError: the folder holds something else.
    """
    refuse_foreign(folder, own)
    with atomic_folder(folder) as part:
        yield part
        if (kept := folder / _ANNOTATIONS).is_dir():
            shutil.copytree(kept, part / _ANNOTATIONS, copy_function=_link)


def _link(source: str, target: str) -> None:
    """A hard link, or a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
