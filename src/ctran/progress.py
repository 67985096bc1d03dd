"""Progress of long work: a bar with the time left on a terminal, lines elsewhere (a log, a pipe)."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

SECONDS = 10.0
"""Time after which a line is due, however little is done."""
LEAST_SECONDS = 5.0
"""Least time between two lines."""


class Lines:
    """A line on stderr every tenth of the work, and at least every :data:`SECONDS`; none for short work.

    Args:
        description: what is done.
        total: steps of the whole work; 0 where that is not known yet.
        unit: what a step is; lines then have their number a second.
    """

    def __init__(self, description: str, total: int, unit: str = "") -> None:
        self.description, self.total, self.done, self.unit = description, total, 0, unit
        self._started = self._last = time.monotonic()
        self._reported = 0
        self._first: tuple[int, float] | None = None  # work done before does not count for the pace

    def advance(self, steps: int, total: int | None = None) -> None:
        """Count steps that are done, and print a line, unbuffered, where one is due; ``total`` corrects that of the work."""
        self.done += steps
        self.total = self.total if total is None else total
        now = time.monotonic()
        if self._first is None:
            self._first, self._reported = (self.done, now), self.done
        waited, tenth = now - self._last, self.done - self._reported >= self.total / 10
        if waited >= SECONDS or (tenth and waited >= LEAST_SECONDS):
            self._last, self._reported = now, self.done
            print(self._line(now), file=sys.stderr, flush=True)

    def _line(self, now: float) -> str:
        assert self._first is not None
        of = f" of {self.total:,} ({100 * self.done / self.total:.0f} %)" if self.total else ""
        unit = f" {self.unit}" if self.unit and not of else ""
        line = f"{self.description}: {self.done:,}{of}{unit}, {duration(now - self._started)}"
        steps, seconds = self.done - self._first[0], now - self._first[1]
        if self.unit and steps and seconds:
            line += f", {steps / seconds:.3g} {self.unit} a second"
        left = self.total - self.done
        return f"{line}, about {duration(seconds / steps * left)} left" if steps and left > 0 else line


def duration(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


@contextmanager
def bar(description: str, total: int, unit: str = "") -> Iterator[Callable[..., None]]:
    """Gives the function that advances by so many steps: a bar on stderr where that is a terminal, else :class:`Lines`.

    Arguments are those of :class:`Lines`, and of its ``advance``.
    """
    if not sys.stderr.isatty():
        yield Lines(description, total, unit).advance
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Steps a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed:.3g} {unit}/s" if task.finished_speed or task.speed else "")

    rate = (Rate(),) if unit else ()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), *rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total or None)
        yield lambda steps, total=None: progress.update(task, advance=steps, total=total)


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """The items, with a bar that advances by one each."""
    with bar(description, total) as advance:
        for item in items:
            yield item
            advance(1)
