"""Settings of a server."""

from dataclasses import dataclass, field

MIB = 2**20


@dataclass(frozen=True)
class Settings:
    """Access, limits and addresses.

    Args:
        token: that clients must send as ``Authorization: Bearer TOKEN``; None requires none.
        hosts: names under which the server may be called (against rebinding of DNS names); ``*`` allows any.
        cors: origins (``https://example.org``) whose pages may use the server as its own page does; ``*`` allows any.
        max_bytes: of one request.
        max_json: bytes of a request that carries no picture.
        max_values: in the JSON of one request, whatever it is about.
        body_seconds: for a request's body to arrive, beside the time that it takes at ``body_rate``.
        body_rate: bytes a second.
        max_pixels: of one picture, before it is decoded.
        max_images: in one request of ``/v1/predict``.
        max_tasks: of Label Studio in one request; it sends all that people select, and again those without a prediction.
        task_seconds: in which tasks of one request are begun.
        max_sets: label sets in one response.
        in_flight: requests that are processed at once; others get 503 with ``Retry-After``.
        cache_bytes: for encoded pictures; the least recently used are dropped first.
        label_studio: address of a Label Studio whose tasks' pictures are fetched from there.
        label_studio_key: an API key of it.
        pictures_from: further addresses from which pictures of its tasks may be fetched.
    """

    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    cors: tuple[str, ...] = ()
    max_bytes: int = 32 * MIB
    max_json: int = 2 * MIB
    max_values: int = 100_000
    body_seconds: float = 20
    body_rate: int = 64 * 1024
    max_pixels: int = 40_000_000
    max_images: int = 32
    max_tasks: int = 128
    task_seconds: float = 60
    max_sets: int = 100
    in_flight: int = 64
    cache_bytes: int = 512 * MIB
    label_studio: str | None = None
    label_studio_key: str | None = field(default=None, repr=False)
    pictures_from: tuple[str, ...] = ()
