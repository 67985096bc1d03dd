"""Around every request: refusals, limits on its body and on the requests in flight, and metrics."""

import json
import logging
import time
from collections.abc import Mapping

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctran.errors import UserError
from ctran.serving.guard import is_open, refusal
from ctran.serving.metrics import Metrics
from ctran.serving.settings import Settings

RETRY_AFTER = 1
"""Seconds after which a refused client may retry."""
UPLOAD = "/v1/images"
"""Path whose body is a picture."""
_BULK = ("/v1/predict", "/predict", "/setup", "/webhook")
"""Paths whose JSON may be as large as any request: pictures in base64, and what Label Studio sends."""
_ARRIVING = 16
"""Memory for bodies that are arriving, counted in bodies of the largest size; beyond that the oldest one is refused."""
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of each response that does not set them itself."""
GONE = 499
"""Status in the metrics of a client that disconnected (as in nginx); nothing is sent."""

log = logging.getLogger(__name__)


class TooLargeError(UserError):
    """A request of more bytes, or of more values, than are accepted."""


class SlowError(UserError):
    """A body that did not arrive in time."""


class Gone(Exception):
    """The client disconnected before its request was complete."""


class Gate:
    """Refuses requests that are not allowed, reads bodies within limits, and bounds the number of requests in flight.

    Refuses with 400 (wrong host name), 401 (no or a wrong token), 403 (from a page of another origin), 408 (the body does not
    arrive in time), 413 (too many bytes or values) and 503 with ``Retry-After`` (too many in flight). A request is in flight
    from when its body is complete until its response begins, so that slow clients do not block others.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self.in_flight = 0  # of this event loop alone
        self.arriving = dict[anyio.CancelScope, int]()  # bytes of each body that is not complete, the oldest first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), None

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_safe(list(message.get("headers", ())))}
            await send(message)

        try:
            await self._pass(scope, receive, counted)
        except Gone:
            status = status or GONE
        except Exception:
            log.exception("%s %r failed", scope["method"], scope["path"][:200])
            if status is not None:
                raise  # the response is cut off
            await refuse(counted, 500, "the server failed; its log says why")
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, status or 500).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (found := refusal(scope, self.settings)) is not None:
            await refuse(send, found.status, found.detail, found.headers)
        elif is_open(scope["path"]) or scope["path"] == "/metrics":
            await self.app(scope, receive, send)
        else:
            try:
                body = await self._body(scope, receive)
            except (TooLargeError, SlowError) as error:
                await refuse(send, 413 if isinstance(error, TooLargeError) else 408, str(error))
            else:
                await self._work(scope, receive, send, body)

    # ----------------------------------------------------------------- the body

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """All of a request's body, within the limits of bytes, values, time and memory."""
        path = scope["path"]
        most = self.settings.max_bytes if path in (UPLOAD, *_BULK) else min(self.settings.max_bytes, self.settings.max_json)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            raise TooLargeError(self._too_large(most))
        body: bytes | None = None
        with anyio.CancelScope(deadline=anyio.current_time() + self.settings.body_seconds) as arriving:
            try:
                body = await self._read(receive, most, arriving)
            finally:
                self.arriving.pop(arriving, None)
        if body is None:
            raise SlowError("the body of the request did not arrive in time; send it faster, or a smaller one")
        if path != UPLOAD and sum(map(body.count, (b",", b"[", b"{"))) > self.settings.max_values:
            raise TooLargeError(f"the request has more than {self.settings.max_values:,} values, which is the limit; send less")
        return body

    async def _read(self, receive: Receive, most: int, arriving: anyio.CancelScope) -> bytes:
        body, start = bytearray(), arriving.deadline
        self.arriving[arriving] = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            body += message.get("body", b"")
            if len(body) > most:
                raise TooLargeError(self._too_large(most))
            if not message.get("more_body", False):
                return bytes(body)
            self.arriving[arriving] = len(body)
            arriving.deadline = start + len(body) / self.settings.body_rate
            if sum(self.arriving.values()) > _ARRIVING * self.settings.max_bytes:
                next(iter(self.arriving)).cancel()

    @staticmethod
    def _too_large(most: int) -> str:
        return f"the request has more than {most:,} bytes, which is the limit; send less"

    # ----------------------------------------------------------------- the work

    async def _work(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        if self.in_flight >= self.settings.in_flight:
            detail = f"the server is busy with {self.in_flight} requests; retry in {RETRY_AFTER} s"
            await refuse(send, 503, detail, {"Retry-After": str(RETRY_AFTER)})
            return
        working, given = True, False
        self._count(1)

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send_counted(message: Message) -> None:
            nonlocal working
            if working:  # the work is done: a client that reads slowly blocks nobody
                working = False
                self._count(-1)
            await send(message)

        try:
            await self.app(scope, replay, send_counted)
        finally:
            if working:
                self._count(-1)

    def _count(self, change: int) -> None:
        self.in_flight += change
        self.metrics.in_flight.set(self.in_flight)


def _with_safe(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    sent = {name.lower() for name, _ in headers}
    more = [(name.lower().encode(), value.encode()) for name, value in _SAFE.items()]
    return [*headers, *(pair for pair in more if pair[0] not in sent)]


async def refuse(send: Send, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
    """Send an error response, without the application."""
    body = json.dumps({"detail": detail}).encode()
    pairs = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
