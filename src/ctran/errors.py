"""Errors that people read, and the nearest of several names. Nothing heavy is imported: the command line starts here."""

import difflib
import reprlib
from collections.abc import Iterable
from pathlib import Path


class UserError(ValueError):
    """Wrong input, of a kind that the user can correct: the message names the thing, what was expected and what to do.

    Base of all readable errors of this package. The command line prints the message alone and ends with status 1, the server
    sends it as a refused request. Any other exception is a fault of the program and keeps its traceback.
    """


class UserTypeError(UserError, TypeError):
    """Input of the wrong type."""


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80
_REPR.maxlevel = 2


def shown(value: object) -> str:
    """``repr`` of a value of any size, in about a line: long text and what is nested or numerous is cut."""
    text = _REPR.repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def nearest(name: str, names: Iterable[str]) -> str:
    """``"; did you mean 'flag'?"`` for the nearest of ``names``, or an empty string where none is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def wrong_folder(folder: Path, kind: str, marks: Iterable[str]) -> str:
    """A message for a folder that is not of a kind: that it does not exist, what it lacks, and which folder was perhaps meant.

    Args:
        kind: such as ``run folder``.
        marks: paths of files within each folder of the kind; one of them is enough to be proposed.
    """
    marks = list(marks)

    def fits(other: Path) -> bool:
        return any((other / mark).is_file() for mark in marks)

    def within(parent: Path) -> list[str]:
        try:
            return [str(each) for each in sorted(parent.iterdir()) if fits(each)]
        except OSError:  # not a folder, or not readable
            return []

    if not folder.exists():
        return f"{folder}: no such folder, expected a {kind}{nearest(str(folder), within(folder.parent))}"
    if not folder.is_dir():
        return f"{folder} is a file, expected a {kind}{'; name its folder' if fits(folder.parent) else ''}"
    found = within(folder)
    instead = f"; name one that is in it: {', '.join(found[:5])}{', ...' if len(found) > 5 else ''}" if found else ""
    return f"{folder} is not a {kind}: {' or '.join(marks)} not found{instead}"
