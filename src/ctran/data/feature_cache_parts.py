"""A feature cache that several processes compute together: each block of rows is computed, and written, by one of them."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float16

from ctran.data.feature_cache import CHUNK, FeatureCache
from ctran.data.feature_cache_blocks import checksums
from ctran.files import write_text
from ctran.model.backbone import Features

RECORDS = "blocks-*.txt"
"""Numbers of the finished blocks, a file for each process, a line with a full stop for each block."""

Make = Callable[[int, list[int]], Features]
"""As in :meth:`ctran.data.feature_cache.FeatureCache.build`."""


def missing_blocks(cache: FeatureCache) -> list[int]:
    """Blocks of :data:`ctran.data.feature_cache.CHUNK` rows that are neither computed nor recorded, in order."""
    total = math.prod(cache.rows)
    done = {number for path in cache.folder.glob(RECORDS) for number in _recorded(path)}
    return [number for number in range(cache.done // CHUNK, -(-total // CHUNK)) if number not in done]


def _recorded(path: Path) -> list[int]:
    """Of a record, whose last line may be incomplete."""
    return [int(line[:-2]) for line in path.read_text().splitlines(keepends=True) if line.endswith(".\n")]


def build_blocks(cache: FeatureCache, blocks: list[int], rank: int, make: Make, step: Callable[[int], None]) -> None:
    """Compute blocks and write them; each is recorded when it is on the disk.

    Bytes are written where they belong, not through a memory map: two machines that map one page of a shared file would
    overwrite each other's rows.
    """
    record = cache.folder / RECORDS.replace("*", str(rank))
    with record.open("a") as finished:
        finished.write("\n")  # ends a line that was cut off by a kill
        for number in blocks:
            rows = _compute(cache, number, make)
            for name, values in rows.items():
                _write(cache, name, number * CHUNK, values)
            finished.write(f"{number}.\n")
            finished.flush()
            os.fsync(finished.fileno())
            step(len(next(iter(rows.values()))))


def _compute(cache: FeatureCache, number: int, make: Make) -> dict[str, Float16[np.ndarray, "R ..."]]:
    """The rows of a block; it may begin in one view and end in the next."""
    pictures, start = cache.rows[1], number * CHUNK
    rows = range(start, min(start + CHUNK, math.prod(cache.rows)))
    found: dict[str, list[np.ndarray]] = {}
    for view in dict.fromkeys(row // pictures for row in rows):
        numbers = [row % pictures for row in rows if row // pictures == view]
        for name, tensor in make(view, numbers).arrays.items():
            found.setdefault(name, []).append(tensor.to(torch.float16).cpu().numpy())
    return {name: np.concatenate(each) for name, each in found.items()}


def _write(cache: FeatureCache, name: str, row: int, values: Float16[np.ndarray, "R ..."]) -> None:
    path = cache.paths[name]
    content = np.ascontiguousarray(values).tobytes()
    header = path.stat().st_size - 2 * math.prod(cache.shapes[name])
    with path.open("r+b") as file:
        file.seek(header + row * (len(content) // len(values)))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def finish(cache: FeatureCache) -> None:
    """Record a cache whose blocks are all computed as finished, with the checksums of its files."""
    files = {path.name: checksums(path) for path in cache.paths.values()}
    write_text(cache.progress_file, json.dumps({"rows": math.prod(cache.rows), "files": files}))
    for path in cache.folder.glob(RECORDS):
        path.unlink()
