"""The pictures of Label Studio's tasks, fetched from allowed addresses only."""

import base64
import posixpath
import ssl
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import cache
from urllib.parse import quote, unquote_to_bytes

import httpx

from ctran.errors import UserError

_STORAGES = ("s3", "s3s", "gs", "azure-blob", "azure_spi", "dbfs", "redis")
"""Schemes of addresses that Label Studio itself resolves."""
SECONDS = 30.0
"""Limit for a whole picture, from the name look-up to the last byte."""
_SILENCE = 10.0
"""Seconds without a byte after which a connection is given up."""


def brief(text: str, most: int) -> str:
    """The beginning of a received text; lone surrogates, which UTF-8 lacks, are escaped."""
    shown = text if len(text) <= most else f"{text[:most]}..."
    return shown.encode("utf-8", "backslashreplace").decode()


class TaskPictureError(UserError):
    """A picture that may not be fetched, or could not; the message names its address."""


class Account(httpx.Auth):
    """Label Studio's two kinds of API keys: a personal access token, for which short-lived ones are fetched, or a legacy token.

    Args:
        key: as its account page shows it.
        refresh: address at which a personal access token is exchanged.
    """

    def __init__(self, key: str, refresh: httpx.URL) -> None:
        self.key, self.refresh = key, refresh
        self.personal = key.count(".") == 2  # a JSON web token
        self._scheme = "Bearer" if self.personal else "Token"
        self._access = "" if self.personal else key

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sends the key; a personal one is exchanged for a short-lived token first, and again when that has expired."""
        if not self._access:
            yield from self._exchange()
        request.headers["Authorization"] = f"{self._scheme} {self._access}"
        response = yield request
        if response.status_code == 401 and self.personal:
            yield from self._exchange()
            request.headers["Authorization"] = f"{self._scheme} {self._access}"
            yield request

    def _exchange(self) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield httpx.Request("POST", self.refresh, json={"refresh": self.key})
        response.read()
        if response.is_error:
            raise TaskPictureError(f"{self.refresh} refuses the personal access token ({response.status_code}); make a new one")
        try:
            self._access = str(response.json()["access"])
        except (ValueError, KeyError, TypeError):
            raise TaskPictureError(
                f"{self.refresh} does not respond as Label Studio does; is --label-studio its address?"
            ) from None


@cache
def _certificates() -> ssl.SSLContext:
    """What httpx trusts, read once a process: it takes longer than all else that makes an application."""
    return httpx.create_ssl_context()


class TaskPictures:
    """Reads the pictures that tasks refer to. Thread-safe.

    Args:
        label_studio: address of Label Studio; None fetches nothing from there.
        key: an API key of it; None sends none.
        others: further allowed addresses (scheme, host and port count); their pictures are fetched without a key.
        max_bytes: of one picture.
        seconds: for one picture.
    """

    def __init__(
        self,
        label_studio: str | None = None,
        key: str | None = None,
        others: Sequence[str] = (),
        *,
        max_bytes: int,
        seconds: float = SECONDS,
    ) -> None:
        self.base = None if label_studio is None else _address(label_studio.rstrip("/"))
        self.others = {_origin(_address(other)) for other in others}
        self.max_bytes, self.seconds = max_bytes, seconds
        headers = {"Accept-Encoding": "identity"}  # no compression
        self._client = httpx.Client(timeout=min(_SILENCE, seconds), headers=headers, verify=_certificates())
        self._account = Account(key, httpx.URL(f"{self.base}/api/token/refresh/")) if key and self.base else None
        self._coming = set[Future[bytes]]()

    def close(self) -> None:
        """Give up what is being fetched, and close the connections."""
        for each in list(self._coming):
            with suppress(InvalidStateError):
                each.set_exception(TaskPictureError("the server is stopping"))
        self._client.close()

    def read(self, source: str, task: int | None = None) -> bytes:
        """The file of a picture.

        Args:
            source: a path of Label Studio's (``/data/...``), an address, one of a storage that Label Studio knows
                (``s3://...``), or the picture itself (``data:...``).
            task: number of the task, for addresses of storages.

        Raises:
            TaskPictureError: it may not be fetched, or could not.
        """
        try:
            return self._inside(source) if source.startswith("data:") else self._outside(source, task)
        except (UnicodeError, httpx.InvalidURL) as error:
            raise TaskPictureError(f"{brief(source, 100)} is not an address ({brief(str(error), 100)})") from None

    def _outside(self, source: str, task: int | None) -> bytes:
        if source.partition("://")[0] in _STORAGES:
            uri = quote(base64.urlsafe_b64encode(source.encode()).decode())
            return self._in_time(httpx.URL(f"{self._base_for(source)}/tasks/{task}/resolve/?fileuri={uri}"), own=True)
        url = _address(f"{self._base_for(source)}{source}" if source.startswith("/") else source)
        own = self.base is not None and _origin(url) == _origin(self.base)
        if own:
            self._check_file(url)
        elif _origin(url) not in self.others:
            raise TaskPictureError(
                f"{_shown(url)}: nothing is fetched from there; to allow it: ctran serve --pictures-from {_site(url)}"
            )
        return self._in_time(url, own)

    def _base_for(self, source: str) -> httpx.URL:
        """Label Studio's address, which the source needs."""
        if self.base is None:
            raise TaskPictureError(
                f"{brief(source, 100)}: that is Label Studio's to resolve; start ctran serve with --label-studio ADDRESS"
            )
        return self.base

    def _check_file(self, url: httpx.URL) -> None:
        """Refuse addresses of Label Studio that are not a task's data: the key gives access to more."""
        assert self.base is not None
        if not posixpath.normpath(url.path).startswith(f"{self.base.path.rstrip('/')}/data/"):
            raise TaskPictureError(f"{_shown(url)}: expected a file of Label Studio's, below /data/")

    def _in_time(self, url: httpx.URL, own: bool) -> bytes:
        """Fetch in a thread that is abandoned when the time is up: a server may drip headers, or its name not resolve."""
        download = Future[bytes]()
        end = time.monotonic() + self.seconds

        def fetch() -> None:
            try:
                found = self._fetch(url, own, end)
            except BaseException as error:
                with suppress(InvalidStateError):
                    download.set_exception(error)
            else:
                with suppress(InvalidStateError):
                    download.set_result(found)

        self._coming.add(download)
        try:
            threading.Thread(target=fetch, name="picture of a task", daemon=True).start()
            return download.result(self.seconds)
        except TimeoutError:
            raise self._late(url) from None
        finally:
            self._coming.discard(download)

    def _late(self, url: httpx.URL) -> TaskPictureError:
        return TaskPictureError(f"{_shown(url)}: did not arrive within {self.seconds:g} s")

    def _fetch(self, url: httpx.URL, own: bool, end: float) -> bytes:
        """Redirects are followed where Label Studio sends them, as it does to its storages."""
        try:
            with self._client.stream("GET", url, auth=self._account if own else None, follow_redirects=own) as response:
                if not response.is_success:
                    text = f"{response.status_code} {response.reason_phrase}{self._hint(response, own)}"
                    raise TaskPictureError(f"{_shown(url)}: {text}")
                content = bytearray()
                for part in response.iter_bytes():
                    content += part
                    if len(content) > self.max_bytes:
                        limit = f"{self.max_bytes:,} bytes, which is the limit (--max-upload)"
                        raise TaskPictureError(f"{_shown(url)}: more than {limit}")
                    if time.monotonic() > end:
                        raise self._late(url)
                return bytes(content)
        except httpx.HTTPError as error:
            raise TaskPictureError(f"{_shown(url)}: {error or type(error).__name__}") from None

    def _hint(self, response: httpx.Response, own: bool) -> str:
        if response.is_redirect and not own:
            return f" to {brief(response.headers.get('location', ''), 200)}: give that to --pictures-from"
        if response.status_code in (401, 403) and own:
            return "; is LABEL_STUDIO_API_KEY a key of an account that sees the project?"
        return ""

    def _inside(self, source: str) -> bytes:
        head, _, data = source.partition(",")
        try:
            content = base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
        except UnicodeError:
            raise
        except ValueError:  # not only binascii's
            raise TaskPictureError(f"{brief(source, 40)}: no base64") from None
        if len(content) > self.max_bytes:
            limit = f"{self.max_bytes:,} bytes, which is the limit (--max-upload)"
            raise TaskPictureError(f"{brief(source, 40)}: more than {limit}")
        return content


def _address(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise TaskPictureError(f"{text[:100]!r} is not an address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise TaskPictureError(f"{text[:100]!r} is not an address; expected http://... or https://...")
    return url


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}[url.scheme]


def _shown(url: httpx.URL) -> str:
    """An address as messages show it."""
    return brief(str(url), 200)


def _site(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"
