"""One training at a time writes into a run folder."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ctran.errors import UserError
from ctran.files import write_text

LOCK, HOLDER = ".lock", ".lock.json"
ORPHANS = 15.0
"""Seconds until the data loaders of a killed training, which still hold its lock, have ended."""


class RunFolderError(UserError):
    """A run folder that exists already, is in use, or whose data have changed."""


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the lock of an existing run folder; the system frees it when the process ends, even if killed.

    Raises:
        RunFolderError: another process holds it; the message names it, its host and since when.
    """
    lock = FileLock(run / LOCK)
    try:
        lock.acquire(timeout=ORPHANS if _is_gone(_holder(run)) else 0, poll_interval=0.2)
    except Timeout:
        raise RunFolderError(
            f"{run} is in use by {_named(_holder(run))}: wait until it ends, or end it; "
            "for another training name another folder with --output"
        ) from None
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        write_text(run / HOLDER, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}) + "\n")
        yield
    finally:
        (run / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(run: Path) -> dict[str, Any]:
    """The process that holds the lock, or held it when it was killed; empty if not known."""
    try:
        return dict(json.loads((run / HOLDER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _named(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether the process was on this machine and has ended."""
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int):
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
