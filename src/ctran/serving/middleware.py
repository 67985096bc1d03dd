"""Around every request: who may ask, how much, how many at once; and what is counted."""

import base64
import binascii
import hmac
import json
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctran.errors import UserError
from ctran.serving.metrics import Metrics
from ctran.serving.settings import Settings

OPEN = ("/healthz", "/health", "/", "/static", "/docs", "/redoc", "/openapi.json", "/static-offline-docs")
"""Paths that need no token and are never refused for load; ``/metrics`` needs the token."""
RETRY_AFTER = 1
"""Seconds."""


class TooLargeError(UserError):
    """A request of more bytes than are accepted."""


def is_open(path: str) -> bool:
    """Whether anybody may see it at any time."""
    return path in OPEN or path.startswith(("/static/", "/static-offline-docs/"))


def presented(header: bytes) -> bytes:
    """The token of an ``Authorization`` header: ``Bearer TOKEN``, or the password of ``Basic`` whatever the user's name."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return value if scheme.lower() == b"bearer" else b""


class Gate:
    """Token, size and load, before anything is read.

    Refuses with 401 (no or a wrong token), 413 (too many bytes said) and 503 with ``Retry-After`` (too much in flight); counts
    the bytes that come as well.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self.in_flight = 0  # of this event loop alone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, status).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"] if name in (b"authorization", b"content-length")}
        wanted = self.settings.token
        if wanted is not None and not hmac.compare_digest(presented(headers.get(b"authorization", b"")), wanted.encode()):
            say = {"WWW-Authenticate": "Bearer"}
            await refuse(
                send, 401, "send the server's token as 'Authorization: Bearer TOKEN', or as the password of Basic", say
            )
            return
        if int(headers.get(b"content-length", b"0") or 0) > self.settings.max_bytes:
            await refuse(send, 413, self.too_large)
            return
        if scope["path"] == "/metrics":
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.settings.in_flight:
            say = {"Retry-After": str(RETRY_AFTER)}
            await refuse(send, 503, f"{self.in_flight} requests are being worked on; come again in a second", say)
            return
        self.in_flight += 1
        self.metrics.in_flight.set(self.in_flight)
        try:
            await self._limited(scope, receive, send)
        finally:
            self.in_flight -= 1
            self.metrics.in_flight.set(self.in_flight)

    @property
    def too_large(self) -> str:
        return f"the request has more than {self.settings.max_bytes:,} bytes, which is the limit; send less"

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts the bytes that come; whatever the application makes of a request that is cut off, the answer is 413."""
        left = self.settings.max_bytes

        async def counting() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise TooLargeError(self.too_large)
            return message

        async def answering(message: Message) -> None:
            if left >= 0:
                await send(message)

        try:
            await self.app(scope, counting, answering)
        except TooLargeError:
            if left >= 0:
                raise
        if left < 0:
            await refuse(send, 413, self.too_large)


async def refuse(send: Send, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
    """Answer with an error, without the application."""
    body = json.dumps({"detail": detail}).encode()
    pairs = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
