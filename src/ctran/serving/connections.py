"""Time limits of connections that uvicorn does not have, and a bound on how many are open.

A client that sends its request head a byte at a time, goes on sending a body that was refused, or does not read the response
would hold its connection for ever. The limits of bodies are in :class:`ctran.serving.middleware.Gate`, those of idle
connections in uvicorn itself (``timeout_keep_alive``).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

CLOSE = (b"connection", b"close")
"""Header of each response of a server that stops; clients send their next request elsewhere, or again later."""
BACKLOG = 128
"""Connections that the operating system queues for the server; as many may be accepted at once, before any is counted."""


@dataclass(frozen=True)
class Limits:
    """Limits of one server, in seconds unless noted.

    Args:
        connections: number open at once; one more closes the one that has waited longest without a complete request.
        head: for a request's head, from the first byte (of the first request: from the connection).
        idle: between two requests of a connection.
        refused: for the rest of a body whose response is complete already.
        unread: for a client to read any of the response.
        stop: for requests in progress when the server stops.
        stop_body: for bodies that are not complete when the server stops.
        stop_idle: for a request that is on its way over an open connection when the server stops.
    """

    connections: int = 512
    head: float = 10
    idle: float = 15
    refused: float = 5
    unread: float = 30
    stop: float = 8
    stop_body: float = 2
    stop_idle: float = 0.3


def max_connections() -> int:
    """Connections for which this process has file descriptors left, beside its files and those accepted at once."""
    try:
        import resource

        most, used = resource.getrlimit(resource.RLIMIT_NOFILE)[0], len(list(Path("/dev/fd").iterdir()))
    except (ImportError, OSError):  # not a Unix
        return Limits.connections
    if most == resource.RLIM_INFINITY:
        return Limits.connections
    spare = most - used
    return max(8, min(Limits.connections, spare - min(BACKLOG, spare // 3) - min(64, spare // 4)))


class Connection(H11Protocol):
    """One connection of HTTP/1.1, within :class:`Limits`."""

    def __init__(self, *given: Any, limits: Limits, **named: Any) -> None:
        super().__init__(*given, **named)
        self.limits = limits
        self.waits_since = self.loop.time()
        self._phase: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------- called by asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._follow(head=True)
        self._close_excess()
        if CLOSE in self.server_state.default_headers:  # accepted while the server began to stop
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves it running after an error
        for timer in (self._timer, self._unread):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._follow(head=True)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    # ------------------------------------------------------------- called by uvicorn

    def on_response_complete(self) -> None:
        self.waits_since = self.loop.time()
        super().on_response_complete()
        self._follow(head=False)

    def shutdown(self) -> None:
        """Announce the end in the response in progress; an idle connection is closed a little later, for a request that its
        client has sent before it could know."""
        if self.waits:
            self.loop.call_later(self.limits.stop_idle, self._close_idle)
            return
        if not self.cycle.response_started:
            self.cycle.default_headers = [*self.cycle.default_headers, CLOSE]
        super().shutdown()
        if self._sends_body:
            self.loop.call_later(self.limits.stop_body, lambda: self._sends_body and self.transport.abort())

    def _close_idle(self) -> None:
        if self.waits and not self.transport.is_closing():
            super().shutdown()

    # ------------------------------------------------------------------- the limits

    @property
    def waits(self) -> bool:
        """Whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _sends_body(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY

    def _follow(self, head: bool) -> None:
        """Start the timer of the client's current phase; one that runs for this phase already is not restarted.

        Args:
            head: a request head is expected; else the client may be idle, as long as ``idle`` allows.
        """
        phase = None
        if self.conn.their_state is h11.IDLE and head:
            phase = "head"
        elif self._sends_body and self.waits:
            phase = "refused"
        if phase == self._phase:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._phase = phase
        if phase is not None:
            self._timer = self.loop.call_later(getattr(self.limits, phase), self.transport.close)

    def _watch_reader(self, before: int) -> None:
        """Close the connection if the client reads nothing of what waits for it."""

        def check() -> None:
            now = self.transport.get_write_buffer_size()
            if now < before:
                self._watch_reader(now)
            else:
                self.transport.abort()

        self._unread = self.loop.call_later(self.limits.unread, check)

    def _close_excess(self) -> None:
        """Above the limit, close the connection that has waited longest; this one if all others are in use."""
        if len(self.connections) <= self.limits.connections:
            return
        live = [each for each in self.connections if isinstance(each, Connection) and not each.transport.is_closing()]
        others = [each for each in live if each is not self]
        if len(live) <= self.limits.connections:
            return
        waiting = [each for each in others if each.waits] or [each for each in others if each._sends_body]
        min(waiting, key=lambda each: each.waits_since, default=self).transport.abort()


def limited(limits: Limits) -> Callable[..., Connection]:
    """Factory of a server's connections, for uvicorn's ``http``."""

    def make(*given: Any, **named: Any) -> Connection:
        return Connection(*given, limits=limits, **named)

    return make
