"""Errors that people read, and the nearest of several names. Nothing heavy is imported: the command line starts here."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Wrong input, of a kind that the user can correct: the message names the thing, what was expected and what to do.

    Base of all readable errors of this package. The command line prints the message alone and ends with status 1, the server
    sends it as a refused request. Any other exception is a fault of the program and keeps its traceback.
    """


class UserTypeError(UserError, TypeError):
    """Input of the wrong type."""


def nearest(name: str, names: Iterable[str]) -> str:
    """``"; did you mean 'flag'?"`` for the nearest of ``names``, or an empty string where none is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
