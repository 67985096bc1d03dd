"""Files of a collection, on disk or behind any URL that fsspec knows: listed in a stable order, read, written whole.

A *place* is a path or a URL (``s3://bucket/folder``). Nothing here keeps a file system open: processes that decode are forked.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import IOBase
from pathlib import Path
from typing import Any

from ctran.errors import UserError
from ctran.files import atomic, is_leftover, temporary_name

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|.+::")
_STAMPS = ("ETag", "etag", "md5Hash", "checksum", "mtime", "LastModified", "last_modified", "updated")
"""Where file systems say which version of a file there is, the surest first."""
_WHOLE_ON_CLOSE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"}
"""Object stores: an upload is not seen before it is complete, and to rename is to copy."""
DAY = 24 * 3600


@dataclass(frozen=True)
class File:
    """A file of a listing.

    Args:
        name: relative to the folder that was listed, with slashes.
        place: path or URL.
        size: in bytes.
        stamp: a text that changes with the content: size, and time of change or tag.
    """

    name: str
    place: str
    size: int
    stamp: str


def is_url(place: str) -> bool:
    """Whether a place is a URL, and no path."""
    return _URL.match(place) is not None


def join(folder: str, name: str) -> str:
    """The place of ``name`` (a relative path, an absolute one, or a URL) in a folder."""
    if is_url(name) or not is_url(folder):
        return name if is_url(name) else os.path.join(folder, name)  # noqa: PTH118
    if name.startswith("/"):
        raise UserError(f"{name}: a path of one machine in a table at {folder}; write it relative to the table, or as URL")
    head, chain, rest = folder.partition("::")
    return f"{head.rstrip('/')}/{name}{chain}{rest}"


def parent(place: str) -> str:
    """The folder of a file."""
    if not is_url(place):
        return os.path.dirname(place)  # noqa: PTH120
    head, chain, rest = place.partition("::")
    return f"{head.rpartition('/')[0]}{chain}{rest}"


def base_name(place: str) -> str:
    """The last part of a place."""
    return place.partition("::")[0].rstrip("/").rpartition("/")[2]


def filesystem(place: str) -> tuple[Any, str]:
    """fsspec's file system of a place, and the path in it.

    Raises:
        UserError: a kind of URL that is not known, or whose library is not installed.
    """
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(place, use_listings_cache=False)
    except ImportError as error:
        extra = 'pip install "ctran[collection]"' if place.startswith(("s3:", "s3a:")) else str(error)
        raise UserError(f"{place}: the library for this kind of URL is not installed: {extra}") from None
    except ValueError as error:
        raise UserError(f"{place}: {error}") from None


@contextmanager
def _named(place: str, *, what: str = "read") -> Iterator[None]:
    """Turn errors of a remote file system, which are of many types, into one that names the place."""
    try:
        yield
    except (UserError, GeneratorExit):
        raise
    except FileNotFoundError:
        raise UserError(f"{place}: no such file or folder") from None
    except OSError as error:
        raise UserError(f"{place}: cannot be {what} ({error.strerror or error or type(error).__name__})") from None
    except Exception as error:
        if not is_url(place):
            raise
        raise UserError(f"{place}: cannot be {what} ({type(error).__name__}: {error})") from None


def kind(place: str) -> str | None:
    """``file``, ``directory``, or None where there is nothing."""
    fs, path = filesystem(place)
    try:
        with _named(place):
            return {"file": "file", "directory": "directory"}.get(fs.info(path)["type"])
    except UserError as error:
        if "no such file" in str(error):
            return None
        raise


def describe(place: str) -> File:
    """One file as a listing has it."""
    fs, path = filesystem(place)
    with _named(place):
        return _file(fs.info(path), base_name(place), place)


def _file(info: dict[str, Any], name: str, place: str) -> File:
    size = int(info.get("size") or 0)
    stamp = next((str(info[key]) for key in _STAMPS if info.get(key) is not None), "")
    return File(name, place, size, f"{size} {stamp}")


def listing(folder: str) -> Iterator[File]:
    """Files in a folder and below, in an order that follows from their names alone; hidden ones are left out.

    One folder is held in memory at a time. Links to folders are not followed.
    """
    fs, root = filesystem(folder)
    root = root.rstrip("/")

    def within(path: str) -> Iterator[File]:
        with _named(folder):
            entries = fs.ls(path, detail=True)
        for entry in sorted(entries, key=lambda each: each["name"]):
            full = entry["name"].rstrip("/")
            name = full[len(root) :].lstrip("/")
            if full == path or base_name(full).startswith("."):
                continue
            if entry["type"] == "directory":
                if not entry.get("islink"):
                    yield from within(full)
            elif entry["type"] == "file":
                yield _file(entry, name, join(folder, name))

    return within(root)


def matching(pattern: str) -> list[File]:
    """Files that a pattern with ``*`` names, by name."""
    fs, path = filesystem(pattern)
    folder = parent(re.split(r"[*?\[]", pattern)[0] + "x")
    with _named(pattern):
        start = filesystem(folder or ".")[1].rstrip("/")
        found = sorted((each["name"], each) for each in fs.glob(path, detail=True).values() if each["type"] == "file")
    names = [(name[len(start) :].lstrip("/"), info) for name, info in found]
    return [_file(info, name, join(folder, name)) for name, info in names]


@contextmanager
def opened(place: str) -> Iterator[IOBase]:
    """A file to read from; of a remote one blocks are fetched as they are read."""
    fs, path = filesystem(place)
    with _named(place):
        file = fs.open(path, "rb")
    try:
        with file:
            yield file
    except OSError as error:
        raise UserError(f"{place}: cannot be read ({error.strerror or error})") from None


def read_all(places: Sequence[str]) -> list[bytes | UserError]:
    """The content of many files, fetched side by side where they are remote; an error in the place of what cannot be read."""
    found: list[bytes | UserError] = [UserError("")] * len(places)
    remote: dict[str, list[int]] = {}
    for number, place in enumerate(places):
        remote.setdefault(place.partition("://")[0] if is_url(place) else "", []).append(number)
    for numbers in remote.values():
        try:
            pairs = [filesystem(places[number]) for number in numbers]
        except UserError as error:
            for number in numbers:
                found[number] = error
            continue
        fetched = pairs[0][0].cat(list({path for _, path in pairs}), on_error="return", recursive=False)
        fetched = fetched if isinstance(fetched, dict) else {pairs[0][1]: fetched}
        for number, (_, path) in zip(numbers, pairs, strict=True):
            try:
                with _named(places[number]):
                    content = fetched.get(path, FileNotFoundError())
                    if isinstance(content, Exception):
                        raise content
                    found[number] = content
            except UserError as error:
                found[number] = error
    return found


@contextmanager
def writing(place: str) -> Iterator[Path]:
    """A local file to write into, which becomes ``place`` in one step when the block ends; after an error nothing is left."""
    fs, path = filesystem(place)
    if _is_local(fs):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as part:
            yield part
        return
    with tempfile.TemporaryDirectory(prefix="ctran-") as folder:
        local = Path(folder) / "part"
        yield local
        with _named(place, what="written"):
            if _WHOLE_ON_CLOSE & set(_protocols(fs)):
                fs.put_file(str(local), path)
                return
            hidden = temporary_name(Path(path)).as_posix()
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            fs.put_file(str(local), hidden)
            fs.mv(hidden, path)


def names_in(folder: str) -> set[str]:
    """Names of the files of a folder; none where there is no folder."""
    fs, path = filesystem(folder)
    try:
        with _named(folder):
            return {base_name(entry["name"]) for entry in fs.ls(path, detail=True) if entry["type"] == "file"}
    except UserError as error:
        if "no such file" in str(error):
            return set()
        raise


def remove(place: str) -> None:
    """Delete a file, if it is there."""
    fs, path = filesystem(place)
    with suppress(FileNotFoundError), _named(place, what="deleted"):
        fs.rm_file(path)


def remove_old_leftovers(folder: str) -> None:
    """Delete what killed processes left half written in a local folder, a day ago or earlier (no part takes so long)."""
    fs, path = filesystem(folder)
    if not _is_local(fs) or not Path(path).is_dir():
        return
    for file in Path(path).iterdir():
        with suppress(OSError):
            if is_leftover(file.name) and time.time() - file.stat().st_mtime > DAY:
                shutil.rmtree(file) if file.is_dir() else file.unlink()


def local_path(place: str) -> Path | None:
    """The path of a place on this machine's file system; None for others."""
    fs, path = filesystem(place)
    return Path(path) if _is_local(fs) else None


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _is_local(fs: Any) -> bool:
    return "file" in _protocols(fs)
