"""Cached checks of picture files: digest and whether they decode, so that no command does it twice."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import PIL
import pyarrow as pa

from ctran.data.cache_folder import default_root
from ctran.data.notices import warn
from ctran.data.table import DataError, SampleTable
from ctran.images.reading import BrokenImageError, Truncated, open_image
from ctran.progress import track

FORMAT = 2
"""Version of the stored rows; raised whenever decoding refuses other files than before."""
MANY = 500
"""Rows that are looked up or written together."""
_decode: ContextVar[bool] = ContextVar("decode", default=True)


@dataclass(frozen=True)
class Checked:
    """A picture file.

    Args:
        digest: of its bytes, 32 hexadecimal digits; empty where they cannot be read.
        reason: why it cannot be decoded; empty where it can, and where that was not tried.
    """

    digest: str
    reason: str = ""


@contextmanager
def without_decoding() -> Iterator[None]:
    """In this context, pictures that were not decoded before are not decoded either, only read for their digests."""
    token = _decode.set(False)
    try:
        yield
    finally:
        _decode.reset(token)


def _digest_of(content: bytes) -> str:
    """Digest of a file's bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def check(
    paths: Sequence[Path], *, decode: bool = True, truncated: Truncated = "refuse", white: float | None = None
) -> list[Checked]:
    """Read and decode each file once, unless that was done before and the file is the same since.

    A file counts as unchanged while its path, size, inode, mtime and ctime are (any change of content changes ctime, which no
    program can set). Broken files are not cached: another library may be able to read them.

    Args:
        paths: in any order.
        decode: find out whether it can be decoded; inside :func:`without_decoding` that is never tried.
        truncated, white: as for :func:`ctran.images.reading.open_image`. What is decoded with other than the default
            options is not cached.
    """
    decode = decode and _decode.get()
    stamps = [_stamp(path) for path in paths]
    before = _recall(paths, stamps, decode) if white is None else {}  # what opens by default opens with truncated: read
    todo = [i for i in range(len(paths)) if i not in before]
    with ThreadPoolExecutor() as pool:
        what = "checking pictures" if decode else "reading pictures"
        found = pool.map(lambda i: _check(paths[i], decode, truncated, white), todo)
        new = dict(zip(todo, track(found, what, len(todo)), strict=True)) if todo else {}
    kept = [
        (os.fsencode(paths[i].absolute()), stamps[i], r.digest, decode) for i, r in new.items() if r.digest and not r.reason
    ]
    if not decode or (truncated, white) == ("refuse", None):
        _remember(kept)
    return [before.get(i) or new[i] for i in range(len(paths))]


def digests(table: SampleTable) -> list[str]:
    """Digest of each picture of a table, in its order; a file that cannot be read has an error by its name.

    Raises:
        DataError: a file is gone.
    """
    paths: dict[int, Path] = {}
    found: dict[int, str] = {}
    rows = table.rows.select_columns(["image"]).with_format("arrow")
    for chunk in rows.iter(MANY):
        for row in cast(pa.Table, chunk).to_pylist():
            cell, number = row["image"], len(paths) + len(found)
            if cell["bytes"] is None:
                paths[number] = Path(cell["path"])
            else:
                found[number] = _digest_of(cell["bytes"])
    for (number, path), one in zip(paths.items(), check(list(paths.values()), decode=False), strict=True):
        if not one.digest:
            raise DataError(f"picture {table.ids[number]!r} ({path}): {one.reason}")
        found[number] = one.digest
    return [found[number] for number in range(len(table))]


def _check(path: Path, decode: bool, truncated: Truncated, white: float | None) -> Checked:
    try:
        content = path.read_bytes()
    except (OSError, ValueError):
        content = None
    try:
        if content is None:
            open_image(path)
        elif decode:
            open_image(content, name=str(path), truncated=truncated, white=white)
    except BrokenImageError as error:
        return Checked("" if content is None else _digest_of(content), str(error))
    return Checked("" if content is None else _digest_of(content))


def _stamp(path: Path) -> str | None:
    """Text that changes with the file; None if it does not exist."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


@contextmanager
def _store() -> Iterator[sqlite3.Connection]:
    """The table of checked files, in the cache folder; created where it is missing, deleted where it is damaged."""
    path = default_root() / f"checked-{FORMAT}-pillow-{PIL.__version__}.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    statement = (
        "CREATE TABLE IF NOT EXISTS checked (path BLOB PRIMARY KEY, stamp TEXT, digest TEXT, decoded INTEGER) WITHOUT ROWID"
    )
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        try:
            with connection:
                connection.execute(statement)
            yield connection
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, or the disk is full or read-only: the file is good
                raise
            path.unlink(missing_ok=True)
            raise


def _recall(paths: Sequence[Path], stamps: Sequence[str | None], decode: bool) -> dict[int, Checked]:
    """Position -> cached check of a file that has not changed since."""
    keys = {os.fsencode(paths[i].absolute()): i for i, stamp in enumerate(stamps) if stamp}
    found: dict[int, Checked] = {}
    try:
        with _store() as connection:
            for start in range(0, len(keys), MANY):
                some = list(keys)[start : start + MANY]
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT path, stamp, digest, decoded FROM checked WHERE path IN ({marks})", some)
                for path, stamp, digest, decoded in rows:
                    if stamp == stamps[keys[path]] and (decoded or not decode):
                        found[keys[path]] = Checked(digest)
    except (sqlite3.Error, OSError) as error:
        warn(f"what was found out about pictures before cannot be read ({error}); they are checked again")
    return found


def _remember(rows: Sequence[tuple[bytes, str | None, str, bool]]) -> None:
    """Store the checks; a cache that cannot be written only costs time."""
    if not rows:
        return
    try:
        with _store() as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO checked VALUES (?, ?, ?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        warn(f"what was found out about the pictures cannot be kept in {default_root()} ({error})")
