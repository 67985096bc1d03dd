"""Where a published data set comes from, and whether the files on disk are all of it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ctran.data.notices import warn
from ctran.data.table import DataError


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from.

    Args:
        where: the site that publishes it; None where it is not public.
        size: of what is to be downloaded.
        licence: of annotations and pictures.
        layout: the files that its official archives unpack to, one line each, below the folder given as ``--root``.
        note: what a user should know before the download.
    """

    where: str | None
    size: str
    licence: str
    layout: tuple[str, ...]
    note: str = ""

    def __str__(self) -> str:
        place = f"get it from {self.where}" if self.where else "it is not public"
        layout = "".join(f"\n    {line}" for line in self.layout)
        note = f"\n  {self.note}" if self.note else ""
        return f"  {place} ({self.size}; licence: {self.licence}){note}\n  expected below --root:{layout}"


def require(path: Path, name: str, origin: Origin) -> Path:
    """``path`` itself; if it does not exist, DataError with the path and where to get data set ``name``."""
    if not path.exists():
        raise DataError(f"{name}: {path} not found.\n{origin}")
    return path


def require_pictures(folder: Path, files: Iterable[str], name: str, origin: Origin) -> None:
    """DataError unless every one of ``files`` is there; no picture is opened, each folder is listed once.

    Args:
        folder: what the names start from.
        files: names, with folders in them where pictures lie deeper (``2014/05/a.jpg``).
        name: of the data set.
        origin: where to get what is missing.
    """
    by_folder: dict[str, list[str]] = {}
    for file in files:
        parent, _, last = file.rpartition("/")
        by_folder.setdefault(parent, []).append(last)
    for parent, names in by_folder.items():
        with os.scandir(require(folder / parent, name, origin)) as entries:
            present = {entry.name for entry in entries}
        if missing := [file for file in names if file not in present]:
            raise DataError(
                f"{name}: {len(missing):,} of {len(names):,} pictures are not in {folder / parent} (first: {missing[0]}).\n"
                f"{origin}"
            )


def check_counts(found: Mapping[str, int], known: Mapping[str, int], name: str, *, check: bool) -> None:
    """Compare what was read with what the data set is known to hold.

    Raises:
        DataError: they differ and ``check`` is set; otherwise a warning is printed on stderr.
    """
    wrong = [f"{key}: expected {n:,}, found {found.get(key, 0):,}" for key, n in known.items() if found.get(key, 0) != n]
    if not wrong:
        return
    message = f"{name}: {'; '.join(wrong)}"
    if check:
        raise DataError(f"{message}. An incomplete download? To use what is there: --data.check_counts false")
    warn(message)
