"""Where the pictures of Label Studio's tasks are: from an address in an export to a file."""

import base64
import binascii
import re
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ctran.images.reading import picture_files

_UPLOADED = re.compile(r"^[0-9a-f]{8}-(.+)$")
"""Label Studio puts eight hexadecimal digits before an uploaded file's name."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".avif", ".jp2", ".ppm")
"""Endings by which a path in a task's data is recognised."""


def is_address(value: Any) -> bool:
    """Whether a cell may be a picture's address: a path with a known ending, or an address of Label Studio or a storage."""
    if not isinstance(value, str):
        return False
    starts = ("/data/", "/tasks/", "data:image/", "http://", "https://", "s3://", "gs://", "azure-blob://")
    return value.startswith(starts) or value.lower().endswith(PICTURES)


class Pictures:
    """Files of the pictures that tasks name by address.

    Args:
        folder: in or below which they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in picture_files(self.folder):
            found.setdefault(unicodedata.normalize("NFC", path.name), []).append(path)
        return found

    def find(self, address: str) -> Path | None:
        """The file: by the longest end of its path that exists in the folder, or by its name if only one file below has it.

        Names of uploads are tried without the digits that Label Studio put before them.
        """
        parts = parts_of(address)
        if not parts:
            return None
        names = [parts[-1], *(match[1] for match in (_UPLOADED.match(parts[-1]),) if match)]
        for name in names:
            for start in range(len(parts)):
                try:
                    if (path := self.folder.joinpath(*parts[start:-1], name)).is_file():
                        return path
                except (OSError, ValueError):  # a name that no file can have
                    return None
        for name in names:
            if len(similar := self._by_name.get(unicodedata.normalize("NFC", name), [])) == 1:
                return similar[0]
        return None


def parts_of(address: str) -> list[str]:
    """Parts of the path in a picture's address: ``/data/upload/..``, ``/data/local-files/?d=..``, a URL, a storage, a path."""
    if address.startswith("data:"):
        return []
    try:
        split = urlsplit(address)
    except ValueError:
        return []
    query = parse_qs(split.query)
    if split.path.rstrip("/").endswith("local-files") and "d" in query:
        path = query["d"][0]
    elif "fileuri" in query:  # a picture of a storage, through Label Studio
        try:
            path = urlsplit(base64.urlsafe_b64decode(query["fileuri"][0] + "==").decode()).path
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return []
    else:
        path = unquote(split.path) if split.scheme or address.startswith("/") else address
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
