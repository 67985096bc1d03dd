"""Files that are replaced in one step: readers see the old content or the new one, and a crash destroys neither."""

import ctypes
import errno
import glob
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LEFTOVER = re.compile(r"\.part$|^\.tmp[A-Za-z0-9]{6}$")
"""Names of temporary files, of ours and of safetensors: a killed process leaves one behind, and it may be deleted."""


def is_leftover(name: str) -> bool:
    """Whether a file of this name is what a killed writer left behind (or what a writer is working on)."""
    return _LEFTOVER.search(name) is not None


def remove_leftovers(folder: Path) -> None:
    """Delete all leftovers in a folder that no other process writes into (the caller holds its lock)."""
    for path in [p for p in folder.iterdir() if is_leftover(p.name)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """A new name in the folder of ``path``, hidden, ending in ``.part``, that no other process uses."""
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.part")


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A temporary file to write into, which takes the place of ``path`` in one step when the block ends.

    It lies in the same folder (a rename across file systems is a copy) under a unique name, so any number of
    processes may write one path: the last one wins, whole. It is flushed to disk before it replaces ``path``. The new file has
    the mode and owner of the one that it replaces, or the mode that the umask gives. A symbolic link stays one: its target is
    replaced. A pipe or a device is written into as it is. After an error ``path`` is as it was, and nothing is left behind.

    Raises:
        OSError: with the name of ``path``, not that of the temporary file.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file() and not target.is_dir():
        yield target
        return
    part = temporary_name(target)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(part))
        old = target.stat() if target.exists() else None
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # as every new file: by the umask
        mode = (old or part.stat()).st_mode & 0o7777
        yield part
        _keep_owner(part, old)
        if part.stat().st_mode & 0o7777 != mode:  # libraries put another file in the place of the one that they are given
            part.chmod(mode)
        flush(part)
        part.replace(target)
        flush(target.parent)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and (error.filename == str(part) or _is_full(error)):
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def atomic_folder(folder: Path | str) -> Iterator[Path]:
    """As :func:`atomic`, a whole folder: an empty one to write into, which takes the place of ``folder`` when the block ends.

    Files in it get the mode that the umask gives, whatever mode their writer set. Where the system can exchange two folders
    (Linux), readers see the old one or the new one at every moment.
    """
    target = Path(os.path.realpath(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_old_leftovers(target)
    part = temporary_name(target)
    try:
        part.mkdir()
        yield part
        bits = part.stat().st_mode & 0o666
        for path in part.rglob("*"):
            if path.is_file() and not path.is_symlink():
                path.chmod(bits)
                flush(path)
        flush(part)
        _into_place(part, target)
        flush(target.parent)
    except BaseException as error:
        if isinstance(error, OSError):
            if _is_full(error):
                error.filename = str(folder)
            elif str(error.filename).startswith(str(part)):
                error.filename, error.filename2 = str(folder) + str(error.filename)[len(str(part)) :], None
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)  # what was written, after an error; what was replaced, otherwise


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, line ends as they are, through :func:`atomic`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write through :func:`atomic`."""
    with atomic(path) as part:
        part.write_bytes(content)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _keep_owner(part: Path, old: os.stat_result | None) -> None:
    """The owner of the replaced file, where the process may give files away (an administrator's may)."""
    if old is not None and (old.st_uid, old.st_gid) != (part.stat().st_uid, part.stat().st_gid):
        with suppress(PermissionError):
            os.chown(part, old.st_uid, old.st_gid)


def _into_place(part: Path, target: Path) -> None:
    """Give ``part`` the name ``target``; a folder that had it has the name ``part`` then."""
    while True:
        if _exchanged(part, target):
            return
        try:
            part.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
        old = temporary_name(target)  # a system that cannot exchange: two steps
        with suppress(FileNotFoundError):  # another process was faster
            target.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system could exchange two names in one step."""
    try:
        exchange = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    current_folder, flag = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return exchange(current_folder, os.fsencode(one), current_folder, os.fsencode(other), flag) == 0


def _remove_old_leftovers(target: Path) -> None:
    """Delete what killed processes left beside a folder, a day ago or earlier (no write takes so long)."""
    for path in target.parent.glob(f".{glob.escape(target.name[:40])}.*.part"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > 24 * 3600:
                shutil.rmtree(path)


def _is_full(error: OSError) -> bool:
    """Whether a write failed for a full or faulty disk; the error then lacks the file's name."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
