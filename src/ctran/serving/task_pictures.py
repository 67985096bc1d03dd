"""The pictures of Label Studio's tasks: fetched from where the server was told that it may, and from nowhere else."""

import base64
import binascii
import posixpath
from collections.abc import Generator, Sequence
from urllib.parse import quote, unquote_to_bytes

import httpx

from ctran.errors import UserError

STORAGES = ("s3", "s3s", "gs", "azure-blob", "azure_spi", "dbfs", "redis")
"""Schemes of addresses that Label Studio itself resolves."""
SECONDS = 30.0


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
        """Sends the key; a personal one is exchanged first, and again when what it was exchanged for has expired."""
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
                f"{self.refresh} does not answer as Label Studio does; is --label-studio its address?"
            ) from None


class TaskPictures:
    """Reads what tasks call their picture. For many threads.

    Args:
        label_studio: address of Label Studio; None fetches nothing from there.
        key: an API key of it; None sends none.
        others: further addresses of which scheme, host and port count: pictures there are fetched without a key.
        max_bytes: of one picture.
    """

    def __init__(
        self, label_studio: str | None = None, key: str | None = None, others: Sequence[str] = (), *, max_bytes: int
    ) -> None:
        self.base = None if label_studio is None else _address(label_studio.rstrip("/"))
        self.others = {_origin(_address(other)) for other in others}
        self.max_bytes = max_bytes
        self._client = httpx.Client(timeout=SECONDS, headers={"Accept-Encoding": "identity"})  # what comes is what is counted
        self._account = Account(key, httpx.URL(f"{self.base}/api/token/refresh/")) if key and self.base else None

    def close(self) -> None:
        """Close what connections there are."""
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
        if source.startswith("data:"):
            return self._inside(source)
        if source.partition("://")[0] in STORAGES:
            uri = quote(base64.urlsafe_b64encode(source.encode()).decode())
            return self._fetch(httpx.URL(f"{self._base_for(source)}/tasks/{task}/resolve/?fileuri={uri}"), own=True)
        url = _address(f"{self._base_for(source)}{source}" if source.startswith("/") else source)
        own = self.base is not None and _origin(url) == _origin(self.base)
        if own:
            self._check_file(url)
        elif _origin(url) not in self.others:
            raise TaskPictureError(
                f"{url}: nothing is fetched from there unless ctran serve is told: --pictures-from {_site(url)}"
            )
        return self._fetch(url, own)

    def _base_for(self, source: str) -> httpx.URL:
        """Label Studio's address, which the source needs."""
        if self.base is None:
            raise TaskPictureError(
                f"{source}: that is Label Studio's to resolve; start ctran serve with --label-studio ADDRESS"
            )
        return self.base

    def _check_file(self, url: httpx.URL) -> None:
        """Refuse addresses of Label Studio that are not a task's data: the key opens more than that."""
        assert self.base is not None
        if not posixpath.normpath(url.path).startswith(f"{self.base.path.rstrip('/')}/data/"):
            raise TaskPictureError(f"{url}: expected a file of Label Studio's, below /data/")

    def _fetch(self, url: httpx.URL, own: bool) -> bytes:
        """Redirects are followed where Label Studio sends them, as it does to its storages."""
        try:
            with self._client.stream("GET", url, auth=self._account if own else None, follow_redirects=own) as response:
                if not response.is_success:
                    raise TaskPictureError(f"{url}: {response.status_code} {response.reason_phrase}{self._hint(response, own)}")
                content = bytearray()
                for part in response.iter_bytes():
                    content += part
                    if len(content) > self.max_bytes:
                        raise TaskPictureError(f"{url}: more than {self.max_bytes:,} bytes, which is the limit (--max-upload)")
                return bytes(content)
        except httpx.HTTPError as error:
            raise TaskPictureError(f"{url}: {error or type(error).__name__}") from None

    def _hint(self, response: httpx.Response, own: bool) -> str:
        if response.is_redirect and not own:
            return f" to {response.headers.get('location')}: give that to --pictures-from"
        if response.status_code in (401, 403) and own:
            return "; is LABEL_STUDIO_API_KEY a key of an account that sees the project?"
        return ""

    def _inside(self, source: str) -> bytes:
        head, _, data = source.partition(",")
        try:
            content = base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
        except binascii.Error:
            raise TaskPictureError(f"{source[:40]}...: no base64") from None
        if len(content) > self.max_bytes:
            raise TaskPictureError(f"{source[:40]}...: more than {self.max_bytes:,} bytes, which is the limit (--max-upload)")
        return content


def _address(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise TaskPictureError(f"{text[:100]!r} is no address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise TaskPictureError(f"{text[:100]!r} is no address; expected http://... or https://...")
    return url


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}[url.scheme]


def _site(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"
