"""Checksums of the blocks of a finished feature cache, so that no model is trained on a damaged or cut file."""

import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

BLOCK = 16 * 2**20
"""Bytes that one checksum covers."""


def checksums(path: Path) -> dict[str, object]:
    """Size and CRC-32 of each block of a file, which is read once; plain data."""
    return {"size": path.stat().st_size, "block": BLOCK, "crc32": list(_blocks(path, BLOCK))}


def differs(path: Path, kept: Mapping[str, Any]) -> str:
    """How ``path`` differs from earlier :func:`checksums`; an empty string where it does not."""
    size, block, sums = kept["size"], kept["block"], kept["crc32"]
    if path.stat().st_size != size or len(sums) != -(-size // block):
        return f"it has {path.stat().st_size:,} bytes, expected {size:,}"
    for number, (now, then) in enumerate(zip(_blocks(path, block), sums, strict=True)):
        if now != then:
            return f"bytes {number * block:,} to {min(size, (number + 1) * block):,} are not those that were written"
    return ""


def _blocks(path: Path, block: int) -> Iterator[int]:
    with path.open("rb") as file:
        while content := file.read(block):
            yield zlib.crc32(content)


def reserve(path: Path, size: int, name: Path) -> None:
    """Allocate all bytes of a file at once: a full disk under a memory map kills the process without a message.

    Args:
        name: of the file in errors.

    Raises:
        OSError: the disk is full; the message has the file, the bytes needed and the free ones.
    """
    with path.open("r+b") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS
                file.truncate(size)
        except OSError as error:
            free = os.statvfs(path.parent)
            raise OSError(
                error.errno,
                f"{error.strerror}: image features need {size:,} bytes, {free.f_bavail * free.f_frsize:,} are free "
                "(CTRAN_CACHE names another folder; training.feature_views fewer)",
                str(name),
            ) from None
