"""Rows of a folder: read from any metadata file that training reads, written as one ``metadata.jsonl``."""

import json
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ctran.data.readers.cells import names_of
from ctran.data.readers.tabular import read_rows
from ctran.data.sources.imagefolder import metadata_files
from ctran.data.table import DataError
from ctran.errors import UserError
from ctran.files import write_text

FILE, LOCK = "metadata.jsonl", ".metadata.lock"
OLD = ".old"
"""Appended to the name of a metadata file whose rows are in :data:`FILE` now."""
PATIENCE = 10.0
"""Seconds that a write waits for another process."""


class BusyError(UserError):
    """Another process has held the folder's lock for :data:`PATIENCE` seconds."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock that every writer of the folder's file waits for.

    Raises:
        BusyError: another process holds it.
    """
    try:
        held = FileLock(folder / LOCK, timeout=PATIENCE).acquire()
    except Timeout:
        raise BusyError(
            f"{folder / LOCK} has been held by another process for {PATIENCE:g} s; nothing is saved: try again"
        ) from None
    with held:
        yield


def stamp(folder: Path) -> list[int] | None:
    """Changes whenever the folder's file does; None without one."""
    try:
        stat = (folder / FILE).stat()
    except FileNotFoundError:
        return None
    return [stat.st_ino, stat.st_ctime_ns, stat.st_mtime_ns, stat.st_size]


@dataclass
class Rows:
    """Rows of a folder, by the name of the picture.

    Args:
        raw: all columns of each row, ``file_name`` relative to the folder.
        known: labels that the rows list as present and absent; one in both lists is present, as in training.
        files: metadata files that were read.
        has_negatives: a row lists labels that are absent.
    """

    raw: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: dict[str, dict[str, bool]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    has_negatives: bool = False


def read(folder: Path, pictures: Collection[str] = ()) -> Rows:
    """All rows of a folder.

    Args:
        pictures: names of files; a row whose name differs from one of them by its Unicode form alone is of that one.

    Raises:
        DataError: a row that cannot be read, or two of one picture; the message names file and row.
    """
    found, at = Rows(), dict[str, str]()
    forms = {unicodedata.normalize("NFC", name): name for name in pictures}
    files = metadata_files(folder)
    for file, split in files:
        for where, raw in read_rows(file):
            name = raw.get("file_name")
            if not isinstance(name, str) or not name:
                raise DataError(f"{where}: expected a file_name, the picture of the row, got {name!r}")
            name = (file.parent / name).relative_to(folder).as_posix() if file.parent != folder else name
            name = forms.get(unicodedata.normalize("NFC", name), name)
            if name in at:
                raise DataError(f"{where}: {name!r} is listed already ({at[name]}); make one row of the two")
            at[name] = where
            present, absent = (names_of(raw.get(column), ",", where) for column in ("labels", "negatives"))
            found.raw[name] = {**raw, "file_name": name} | ({"split": raw.get("split") or split} if split else {})
            found.known[name] = dict.fromkeys(present, True) | {n: False for n in absent if n not in present}
            found.has_negatives |= bool(absent)
    found.files = tuple(file for file, _ in files)
    return found


def write(folder: Path, raw: Mapping[str, Mapping[str, Any]], known: Mapping[str, Mapping[str, bool]]) -> None:
    """Write the rows as the folder's one metadata file; earlier files of another name are kept, with :data:`OLD` appended.

    Args:
        raw: other columns, kept as they are.
        known: labels of each picture; those without any get a row only where they had one.
    """
    names = [name for name in sorted({*raw, *known}) if name in raw or known[name]]
    lines = []
    for name in names:
        labels = known.get(name, {})
        lists = {"labels": [n for n, yes in labels.items() if yes], "negatives": [n for n, yes in labels.items() if not yes]}
        lines.append(json.dumps({"file_name": name, **raw.get(name, {}), **lists}, ensure_ascii=False, default=str) + "\n")
    write_text(folder / FILE, "".join(lines))
    for file, _ in metadata_files(folder):
        if file != folder / FILE:
            file.rename(file.with_name(file.name + OLD))
