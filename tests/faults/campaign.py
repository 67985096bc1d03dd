"""Many trials in a process that may hang, crash or grow; what was done is kept, so that a stopped campaign goes on."""

import hashlib
import json
import multiprocessing
import resource
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple
from multiprocessing.connection import Connection
from pathlib import Path

import ctran
from tests.faults.subjects import Outcome

SECONDS = 60.0
"""A trial may take so long, on a machine that others use too; one takes hundredths of it."""
MEMORY = 2**30
"""Bytes by which a process may grow: a picture of 100 million pixels in RGB and as it is decoded, and some."""
GOOD = ("read", "refused")

Attempt = Callable[[int], Outcome]


def code() -> str:
    """A digest of the code that is tried and of the trials: what was found with other code does not count."""
    folders = Path(ctran.__file__).parent, Path(__file__).parent
    content = b"".join(path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py")))
    return hashlib.sha256(content).hexdigest()[:16]


def campaign(attempt: Attempt, count: int, kept: Path, *, seconds: float = SECONDS, memory: int = MEMORY) -> dict[int, Outcome]:
    """The outcome of each trial.

    Args:
        attempt: makes the trial of a number.
        count: of trials, 0 to ``count - 1``.
        kept: JSON lines of what is done; trials that are in it are not made again.
        seconds: time limit of a trial.
        memory: bytes by which the process may grow.
    """
    found, worker = _done(kept), _Worker(attempt)
    kept.parent.mkdir(parents=True, exist_ok=True)
    try:
        with kept.open("a", encoding="utf-8") as lines:
            lines.write("\n")  # after a line that was cut off
            for number in (n for n in range(count) if n not in found):
                found[number], grown = worker.trial(number, seconds)
                if grown > memory:
                    found[number] = Outcome(found[number].subject, "memory", f"the process has grown by {grown / 1e6:.0f} MB")
                    worker = worker.again()
                elif found[number].kind in ("hang", "crash"):
                    worker = worker.again()
                lines.write(json.dumps([number, *astuple(found[number])]) + "\n")
                lines.flush()
    finally:
        worker.stop()
    return {number: found[number] for number in range(count)}


def summary(found: dict[int, Outcome]) -> tuple[dict[str, int], list[str]]:
    """How many trials had each outcome, and those that must not be."""
    bad = [f"trial {n}: {o.kind} of {o.subject}: {o.detail}" for n, o in found.items() if o.kind not in GOOD]
    return dict(Counter(o.kind for o in found.values())), bad


def _done(kept: Path) -> dict[int, Outcome]:
    found = dict[int, Outcome]()
    for line in kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []:
        with suppress(ValueError, TypeError):  # the last line of a campaign that was killed
            number, *rest = json.loads(line)
            found[number] = Outcome(*rest)
    return found


class _Worker:
    """A process that makes trials one by one."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt, context = attempt, multiprocessing.get_context("fork")
        self.link, far = context.Pipe()
        self.process = context.Process(target=_serve, args=(far, attempt), daemon=True)
        self.process.start()
        far.close()

    def trial(self, number: int, seconds: float) -> tuple[Outcome, int]:
        """The outcome of a trial, and the bytes by which the process has grown since its start."""
        try:
            self.link.send(number)
            if not self.link.poll(seconds):
                return Outcome(f"number {number}", "hang", f"longer than {seconds:g} s"), 0
            return self.link.recv()
        except (EOFError, OSError):
            self.process.join()
            return Outcome(f"number {number}", "crash", f"exit status {self.process.exitcode}"), 0

    def again(self) -> "_Worker":
        """Another process in place of this one."""
        self.stop()
        return _Worker(self.attempt)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.link.close()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _serve(link: Connection, attempt: Attempt) -> None:
    before = _peak()
    with suppress(EOFError):
        while True:
            link.send((attempt(link.recv()), _peak() - before))
