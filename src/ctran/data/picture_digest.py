"""A digest of pictures, which changes with any of them: bytes in memory are hashed whole, files by what marks them."""

import hashlib
import os
from pathlib import Path
from typing import cast

import pyarrow as pa
from datasets import Dataset

from ctran.images.truncated import Truncated

FEW = 256
"""Pictures whose files are in memory at once while they are read for the digest."""
END = 64 * 1024
"""Bytes at each end of a picture's file that distinguish it from others of its size."""


def fingerprint_of(rows: Dataset, truncated: Truncated, white: float | None) -> str:
    """Digest of ids and pictures (:func:`_stamp` of a file), and of how they are read.

    Args:
        rows: with the columns ``id`` and ``image`` (bytes or path) of :class:`ctran.data.table.SampleTable`.
        truncated, white: as of the table.
    """
    digest = hashlib.sha256()
    if (truncated, white) != ("refuse", None):
        digest.update(f"{truncated} {white}\0".encode())
    files = rows.select_columns(["id", "image"]).with_format("arrow")
    for chunk in files.iter(FEW):
        for row in cast(pa.Table, chunk).to_pylist():
            cell = row["image"]
            digest.update(row["id"].encode())
            if cell["bytes"] is not None:
                digest.update(cell["bytes"])
            else:
                digest.update(os.fsencode(cell["path"]) + b"\0" + _stamp(Path(cell["path"])))
    return digest.hexdigest()


def _stamp(path: Path) -> bytes:
    """Size, mtime and ctime of a file, and a hash of its two ends.

    A copy may keep size and mtime; ctime cannot be set.
    """
    stat = path.stat()
    with path.open("rb") as file:
        ends = hashlib.sha256(file.read(END))
        file.seek(max(0, stat.st_size - END))
        ends.update(file.read(END))
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} ".encode() + ends.digest()
