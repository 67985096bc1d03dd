"""Image features of single pictures on disk, by the digest of the file: a folder that grows is encoded once.

:mod:`ctran.data.feature_cache` keeps those of a whole table, in the order of its rows; it takes them from here where they are.
"""

import math
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ctran.data.cache_folder import default_root, key_of
from ctran.errors import UserError
from ctran.model.backbone import Features

AT_ONCE = 500
"""Digests in one query."""


def path_of(key: Mapping[str, object]) -> Path:
    """File of the features that these parts decide (network, weights, test transform, precision, shapes)."""
    return default_root() / "picture-features" / f"{key_of(key)}.sqlite"


class PictureFeatures:
    """Features of the test transform of pictures, float16, in SQLite. Thread-safe.

    Args:
        path: of :func:`path_of`; made where it is missing.
        arrays: shape of one picture's entry in each array, by the names of :attr:`ctran.model.backbone.Features.arrays`.
        grid: of the image tokens.

    Raises:
        UserError: the file is damaged; the message has what to do.
    """

    def __init__(self, path: Path, arrays: Mapping[str, tuple[int, ...]], grid: tuple[int, int]) -> None:
        self.path, self.arrays, self.grid = path, dict(arrays), grid
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
            with suppress(sqlite3.OperationalError):  # a shared folder that this user may not write into
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS feature (digest TEXT PRIMARY KEY, mean BLOB, content BLOB) WITHOUT ROWID"
                )
        except sqlite3.DatabaseError as error:
            raise UserError(f"{path} is damaged ({error}); delete it, and image features are computed again") from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def have(self, digests: Sequence[str]) -> set[str]:
        """Those of the digests whose features are here."""
        return {row[0] for row in self._rows("digest", digests)}

    def put(self, digests: Sequence[str], features: Features) -> None:
        """Store features, one row a digest."""
        means = features.tokens.float().mean(dim=1).half().cpu().numpy()
        parts = [features.arrays[name].half().cpu().numpy() for name in self.arrays]
        rows = [
            (digest, means[i].tobytes(), b"".join(np.ascontiguousarray(part[i]).tobytes() for part in parts))
            for i, digest in enumerate(digests)
        ]
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO feature VALUES (?, ?, ?)", rows)
            self._connection.execute("COMMIT")

    def read(self, digests: Sequence[str]) -> Features | None:
        """Features in this order, in float32; None where one is missing."""
        found = dict(self._rows("digest, content", digests))
        sizes = [math.prod(shape) for shape in self.arrays.values()]
        if any(len(found.get(digest, b"")) != 2 * sum(sizes) for digest in digests):
            return None
        flat = np.stack([np.frombuffer(found[digest], dtype=np.float16) for digest in digests])
        parts = np.split(flat, np.cumsum(sizes)[:-1], axis=1)
        named = {
            name: torch.from_numpy(part.astype(np.float32).reshape(len(digests), *shape))
            for (name, shape), part in zip(self.arrays.items(), parts, strict=True)
        }
        return Features.of_arrays(named, self.grid)

    def means(self, digests: Sequence[str]) -> dict[str, Float[Tensor, " C"]]:
        """Average of the image tokens of each picture that is here."""
        found = self._rows("digest, mean", digests)
        return {digest: torch.from_numpy(np.frombuffer(mean, dtype=np.float16).astype(np.float32)) for digest, mean in found}

    def _rows(self, columns: str, digests: Sequence[str]) -> Iterable[tuple]:
        found = []
        for start in range(0, len(digests), AT_ONCE):
            some = list(digests[start : start + AT_ONCE])
            query = f"SELECT {columns} FROM feature WHERE digest IN ({','.join('?' * len(some))})"
            with self._lock:
                found += self._connection.execute(query, some).fetchall()
        return found
