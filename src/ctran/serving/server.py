"""uvicorn with limits: connections end in time, the log is not flooded, and a stop ends whatever clients do."""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import uvicorn

from ctran.serving.connections import BACKLOG, CLOSE, Limits, limited, max_connections

_GRACE = 2.0
"""Seconds after :attr:`Limits.stop` in which the process itself has to end."""
_REPEAT = 60.0
"""Seconds after which a warning is logged again."""


class Server(uvicorn.Server):
    """A server of one application.

    Args:
        app: the application.
        limits: None takes those of :class:`Limits`, with as many connections as there are file descriptors for.
        ends_process: the process only serves: when a thread is still busy :data:`_GRACE` after the stop, exit anyway.
        hang_up: called at SIGHUP, unless that says that the terminal is closed, which stops the server; None leaves the signal
            as it is. Of a server in the main thread alone, on systems that have the signal.
    """

    def __init__(
        self,
        app: Any,
        limits: Limits | None = None,
        *,
        ends_process: bool = False,
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        self.limits = replace(Limits(), connections=max_connections()) if limits is None else limits
        super().__init__(
            uvicorn.Config(
                app,
                http=limited(self.limits),  # pyright: ignore[reportArgumentType]  # it is called, not subclassed
                ws="none",
                log_level="warning",
                access_log=False,
                backlog=min(BACKLOG, self.limits.connections),
                timeout_keep_alive=self.limits.idle,  # pyright: ignore[reportArgumentType]  # seconds, fractions too
                timeout_graceful_shutdown=self.limits.stop,  # pyright: ignore[reportArgumentType]
            )
        )
        self.ends_process, self.hang_up = ends_process, hang_up
        self._terminal, self._complete = _has_terminal(), False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        hears = self.hang_up is not None and hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread()
        if hears:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hung_up)
        with _rare_warnings():
            await super().serve(sockets)

    def _hung_up(self) -> None:
        if self._terminal and not _has_terminal():
            self.should_exit = True
        elif self.hang_up is not None:
            self.hang_up()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.ends_process:
            number = self._captured_signals[-1] if self._captured_signals else 0
            watchdog = threading.Timer(self.limits.stop + _GRACE, os._exit, [128 + number if number else 1])
            watchdog.daemon = True
            watchdog.start()
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        await asyncio.sleep(0)  # accept the connections that the system has queued
        await super().shutdown(sockets)

    async def _wait_tasks_to_complete(self) -> None:
        await super()._wait_tasks_to_complete()
        self._complete = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's; SIGTERM ends the process with status 0 where every request has got its response."""
        with super().capture_signals():
            yield
            if self._complete:
                self._captured_signals[:] = [each for each in self._captured_signals if each != signal.SIGTERM]


def _has_terminal() -> bool:
    """Whether the process has a terminal that is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


class Rare(logging.Filter):
    """Passes a repeated warning once in :data:`_REPEAT` seconds, and no errors of requests that a stop has cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self._last = dict[str, float]()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            return False
        text = record.getMessage()
        full = text.startswith("socket.accept() out of system resource")
        if full:
            record.msg, record.args, record.exc_info = (
                "no file descriptor is left for another connection (ulimit -n)",
                None,
                None,
            )
        if record.levelno > logging.WARNING and not full:
            return True
        key = "full" if full else text
        now = time.monotonic()
        if now - self._last.get(key, -_REPEAT) < _REPEAT:
            return False
        self._last[key] = now
        return True


@contextmanager
def _rare_warnings() -> Iterator[None]:
    """Keep clients from filling the log while the block runs."""
    rare, loggers = Rare(), [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addFilter(rare)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(rare)
