"""Requests that are refused before their body is read: by host name, origin or token."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from ctran.serving.settings import Settings

OPEN = ("/healthz", "/health", "/", "/static", "/docs", "/redoc", "/openapi.json", "/static-offline-docs")
"""Paths that need no token, may be linked from any page, and are never refused for load; ``/metrics`` needs the token."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused.

    Args:
        status: of HTTP.
        detail: for people.
        headers: of the response.
    """

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


def is_open(path: str) -> bool:
    """Whether a path needs no token and is never refused for load."""
    return path in OPEN or path.startswith(("/static/", "/static-offline-docs/"))


def refusal(scope: Scope, settings: Settings) -> Refusal | None:
    """Why a request is refused; None if it is not."""
    headers = Headers(scope=scope)
    return _wrong_host(headers, settings) or (
        None if is_open(scope["path"]) else _other_origin(scope["method"], headers, settings) or _wrong_token(headers, settings)
    )


def _wrong_host(headers: Headers, settings: Settings) -> Refusal | None:
    """Against DNS rebinding: another site can give its own name the address of this machine, but not change ``Host``."""
    if "*" in settings.hosts:
        return None
    name = host_of(headers.get("host", ""))
    if any(name == host or (host.startswith("*.") and name.endswith(host[1:])) for host in map(str.lower, settings.hosts)):
        return None
    return Refusal(400, f"this server is not called {name[:100]!r}; --allow-host adds a name")


def _other_origin(method: str, headers: Headers, settings: Settings) -> Refusal | None:
    """Refusal of a request that a page of another origin sends.

    Browsers name the origin: in ``Origin`` where data are sent, and in ``Sec-Fetch-Site`` where they trust the server's
    address (https, or this machine). Other programs send neither.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and ("*" in settings.cors or origin.lower() in map(str.lower, settings.cors)):
        return None
    navigates = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    linked = navigates and method in ("GET", "HEAD")  # a person follows a link
    if site is not None and site not in ("same-origin", "none") and not linked:
        return _foreign(origin or f"another site ({site[:20]})")
    if origin is not None and site is None and not _same(origin, headers.get("host", "")):
        return _foreign(origin)
    return None


def _foreign(origin: str) -> Refusal:
    return Refusal(403, f"refused for a page of {origin[:200]}; --cors adds an origin whose pages may use this server")


def _same(origin: str, host: str) -> bool:
    """Whether an origin is that of a server called ``host``; the scheme may be a proxy's."""
    try:
        parts = urlsplit(origin.lower())
        _ = parts.port
    except ValueError:
        return False
    default = {"http": ":80", "https": ":443"}.get(parts.scheme)
    return default is not None and parts.netloc.removesuffix(default) == host.lower().removesuffix(default)


def _wrong_token(headers: Headers, settings: Settings) -> Refusal | None:
    if settings.token is None:
        return None
    if hmac.compare_digest(_presented(headers.get("authorization", "").encode("latin-1")), settings.token.encode()):
        return None
    detail = "send the server's token as 'Authorization: Bearer TOKEN', or as the password of Basic"
    return Refusal(401, detail, {"WWW-Authenticate": "Bearer"})


def _presented(header: bytes) -> bytes:
    """The token of an ``Authorization`` header: ``Bearer TOKEN``, or the password of ``Basic`` whatever the user's name."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return value if scheme.lower() == b"bearer" else b""


def host_of(header: str) -> str:
    """The name in a ``Host`` header, in lower case, without its port; IPv6 in brackets."""
    name = header.lower().strip()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]


def bracketed(address: str) -> str:
    """An address as URLs and ``Host`` headers write it: IPv6 in brackets."""
    try:
        return f"[{address}]" if ip_address(address.partition("%")[0]).version == 6 else address
    except ValueError:
        return address
