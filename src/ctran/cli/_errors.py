"""How the command line prints an error: one line where the user can correct it."""

import errno
import os
import sys
import tempfile
import traceback
from pathlib import Path

from ctran.errors import UserError
from ctran.version import __version__

SURROUNDINGS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM}
"""Errors of the operating system that have a cause outside of the program even where they name no file."""

LONGEST = 2000
"""Characters of a message; of longer ones, which show a value of a file, the middle is left out."""

WORDS = {errno.ENOENT: "no such file or folder", errno.EISDIR: "is a folder", errno.ENOTDIR: "is not a folder"}


def readable(error: Exception) -> str | None:
    """The message for the user, in one line; None for a bug in the program."""
    if isinstance(error, UserError):
        message = str(error)
        if "Original Traceback" in message:  # an error in a data loading process
            message = message.strip().splitlines()[-1].partition(": ")[2]
        left = len(message) - LONGEST
        cut = f"{message[: LONGEST // 2]} [... {left:,} characters ...] {message[-LONGEST // 2 :]}"
        return cut if left > 0 else message
    if isinstance(error, OSError) and (error.filename is not None or error.errno in SURROUNDINGS):
        what = WORDS.get(error.errno or 0, (error.strerror or str(error)).lower())
        names = [os.fsdecode(n) for n in (error.filename, error.filename2) if isinstance(n, str | bytes)]
        return f"{' -> '.join(names)}: {what}" if names else what
    if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
        return f"a process that reads pictures has ended ({error}), mostly for want of memory: try fewer workers"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "not enough memory; a smaller training.batch_size, model.image_size or fewer workers need less"
    return None


def report(command: str, error: Exception) -> None:
    """Print an error; a bug's traceback is written to a file."""
    if (message := readable(error)) is not None:
        print(f"ctran {command}: {message}", file=sys.stderr)
        return
    lines = traceback.format_exception_only(error)
    text = "".join(traceback.format_exception(error))
    first = " ".join("".join(lines).split())
    print(f"ctran {command}: {first if len(first) <= 400 else f'{first[:400]}...'}", file=sys.stderr)
    print(
        f"This is a fault of ctran {__version__} or of a library below it. Traceback: {_kept(text)}; --debug prints it.",
        file=sys.stderr,
    )


def _kept(text: str) -> Path | str:
    """Where the traceback has been written."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="ctran-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as f:
            f.write(text)
        return Path(f.name)
    except OSError:
        return "could not be written"
