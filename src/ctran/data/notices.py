"""Notices of readers about the data: lines on stderr, stored with cached tables and printed again with them."""

import os
import sys
from collections.abc import Iterable
from contextvars import ContextVar

collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)
"""Collects all lines where a reader stores them with its tables."""
SHOWN = 5
"""Names that a message shows of a long list."""


def notice(message: str) -> None:
    """Print a line about the data on stderr; in training, only the first process prints it."""
    message = message.encode(errors="backslashreplace").decode()  # names that are not UTF-8
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(message, file=sys.stderr)
    if (kept := collected.get()) is not None:
        kept.append(message)


def warn(message: str) -> None:
    """A :func:`notice` that begins with "warning"."""
    notice(f"warning: {message}")


class Doubts:
    """Doubtful cells, counted by kind; one warning a kind names the first."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[str, int]] = {}

    def add(self, what: str, where: str) -> None:
        """Count one; ``what`` is the same text for all of a kind."""
        first, count = self.found.get(what, (where, 0))
        self.found[what] = first, count + 1

    def warn(self) -> None:
        """Print one warning a kind."""
        for what, (first, count) in self.found.items():
            more = f" ({count:,} rows like this)" if count > 1 else ""
            warn(f"{first}: {what}{more}")


def few(names: Iterable[str]) -> str:
    """The first names of a list, quoted, and how many more there are."""
    some = list(names)
    rest = f" and {len(some) - SHOWN:,} more" if len(some) > SHOWN else ""
    return ", ".join(map(repr, some[:SHOWN])) + rest
