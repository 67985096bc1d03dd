"""Whether all processes of a training are alive: each counts up in a common store, and watches the others."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BEATS, MOST = 4, 2.0
"""Counts of a process within the time after which it is taken for dead, at least; seconds between two of them, at most."""
ENDED, FAILED, INTERRUPTED = "ended", "failed:", "interrupted"
STOPPED, KEPT = "stopped with an error:", "All finished epochs are kept"


def identity() -> str:
    """Machine, process namespace and number of this process."""
    spaces = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {spaces.readlink() if spaces.is_symlink() else '-'} {os.getpid()}"


def has_ended(other: str) -> bool:
    """Whether a process, by its :func:`identity`, ran on this machine and has ended; a zombie has."""
    *place, number = other.split(" ")
    if place != identity().split(" ")[:-1]:
        return False
    try:
        os.kill(int(number), 0)
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return True
    except (OSError, IndexError):  # of another user, or a system without /proc: it may live
        return False
    return state in "ZX"


class Heartbeat(threading.Thread):
    """Ends this process with a clear error when another one has been killed, hangs, or has failed.

    One of this machine that has ended is noticed at once; of others, and of those that hang, it takes ``seconds``, or longer
    where this process gets no processor time for its own counts: then the other may live as slowly.

    Operations on several devices wait for all of them: NCCL for ten minutes and longer, Gloo as long as a connection stands. A
    thread can only end such a process as a whole, so it prints the error and leaves by ``os._exit``; files are written in one
    step (:mod:`ctran.files`), and locks are freed by the system.

    Args:
        store: a connection of its own to the processes' store (``torch.distributed.Store``).
        rank, world: of this process, and the number of all.
        seconds: after which a process that does not count is taken for dead.
        started: processes that this one has started, of ranks 1, 2, ...; they end with it.
        advice: how to go on, the end of the error.
        leave: what ends the process.
    """

    def __init__(
        self,
        store: Any,
        rank: int,
        world: int,
        seconds: float,
        *,
        started: Sequence["subprocess.Popen[bytes]"] = (),
        advice: str = "",
        leave: Callable[[int], Any] = os._exit,
    ) -> None:
        super().__init__(daemon=True, name="heartbeat")
        self.store, self.rank, self.world, self.seconds = store, rank, world, seconds
        self.started, self.advice, self.leave = list(started), advice, leave
        self._over = threading.Event()
        self._keys = [f"heartbeat/{other}" for other in range(world)]
        self._names = [f"identity/{other}" for other in range(world)]
        self._lock = threading.Lock()
        self._asked = self._answered = 0

    def run(self) -> None:
        threading.Thread(target=self._watch, daemon=True, name="heartbeat-watch").start()
        heard, since = [""] * self.world, [time.monotonic()] * self.world
        count, missed, pause = 0, set[int](), min(MOST, self.seconds / BEATS)
        silent = [0] * self.world  # counts of this process; a slow machine slows all
        while not self._over.wait(pause):
            count += 1
            self._asked += 1
            try:
                self._write(str(count))
                found = [value.decode() for value in self.store.multi_get(self._keys)]
                names = [value.decode() for value in self.store.multi_get(self._names)]
            except Exception:
                if self._over.is_set():
                    return None
                return self._end(0, "cannot be reached: it, its machine, or the launcher has ended")
            self._answered = self._asked
            now = time.monotonic()
            for other, value in enumerate(found):
                silent[other] += 1
                if value != heard[other]:
                    heard[other], since[other], silent[other] = value, now, 0
                if other == self.rank or value == ENDED:
                    continue
                if value == INTERRUPTED:
                    return self._end(other, "was interrupted", status=130)
                if value.startswith(FAILED):
                    return self._end(other, f"{STOPPED} {value.removeprefix(FAILED)}")
                if has_ended(names[other]):
                    if other in missed:  # the second time: what it said before its end would have been read
                        return self._end(other, f"was killed, or crashed ({' PID '.join(names[other].split(' ')[::2])})")
                    missed.add(other)
                if now - since[other] > self.seconds and silent[other] * pause > self.seconds / 2:
                    return self._end(other, f"has not responded for {self.seconds:g} s: it was killed, or it hangs")
        return None

    def _watch(self) -> None:
        """End where the store itself does not answer: its client waits for a stopped server without limit."""
        pause, silent, since, seen = min(MOST, self.seconds / BEATS), 0, time.monotonic(), -1
        while not self._over.wait(pause):
            if self._asked == self._answered or self._asked != seen:
                silent, since, seen = 0, time.monotonic(), self._asked
                continue
            silent += 1
            if time.monotonic() - since > self.seconds and silent * pause > self.seconds / 2:
                return self._end(
                    0, f"has not responded for {self.seconds:g} s: it, its machine or the launcher has ended or hangs"
                )
        return None

    def _write(self, state: str) -> None:
        with self._lock:
            if not self._over.is_set():
                self.store.set(self._keys[self.rank], state)

    def _end(self, other: int, why: str, status: int = 1) -> None:
        spoken = not other and (status == 130 or why.startswith(STOPPED))  # the first process has reported it
        if self.rank == (0 if other else 1) and not spoken:  # the first process reports; that it is lost, the second
            text = f"process {other} of {self.world} (from 0) {why}. {KEPT}{self.advice}"
            print(f"ctran train: {text}", file=sys.stderr, flush=True)
        self.end_children()
        self.leave(status)

    def close(self, state: str) -> None:
        """Stop watching; the others see ``state``: :data:`ENDED`, or :data:`FAILED` and a message."""
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
            with contextlib.suppress(Exception):  # the store may have gone with the first process
                self.store.set(self._keys[self.rank], state)

    def end_children(self, grace: float = 5.0, *, ask: bool = True) -> None:
        """End the processes that this one has started; without ``ask`` they are about to end by themselves."""
        for child in self.started:
            if ask and child.poll() is None:
                child.terminate()
        until = time.monotonic() + grace
        for child in self.started:
            try:
                child.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
