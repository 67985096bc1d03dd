"""Image tokens on disk: made once by a callable that is handed in, read as a memory map.

A cache is a folder named after its key, the digest of everything that the tokens depend on, so a stale one is never found.
Views are written in chunks of pictures with a mark of how far it got, so an interrupted build goes on.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

CHUNK = 64


def default_root() -> Path:
    """``$CTRAN_CACHE``, or ``~/.cache/ctran``."""
    return Path(os.environ.get("CTRAN_CACHE") or Path.home() / ".cache" / "ctran")


def key_of(parts: Mapping[str, object]) -> str:
    """Digest of what the features depend on: weights, transform, augmentation, data, number of views, arithmetic."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


class FeatureCache:
    """Tokens of ``views`` random views of ``N`` pictures, float16, in one memory-mapped file.

    Args:
        folder: of this cache; its name should be :func:`key_of` its dependencies.
        shape: ``(views, N, P, C)``.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int, int]) -> None:
        self.folder, self.shape = folder, shape
        self.progress_file = folder / "done.json"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tokens.npy"
        if path.exists():
            self.tokens = np.lib.format.open_memmap(path, mode="r+")
            if self.tokens.shape != shape or self.tokens.dtype != np.float16:
                raise ValueError(f"{path} holds {self.tokens.shape}, expected {shape}; delete {folder} and run again")
        else:
            self.progress_file.unlink(missing_ok=True)
            self.tokens = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)

    @property
    def done(self) -> int:
        """Rows (view by view) already written."""
        return json.loads(self.progress_file.read_text())["rows"] if self.progress_file.exists() else 0

    def build(
        self, make: Callable[[int, list[int]], Float[Tensor, "B P C"]], step: Callable[[int], None] = lambda rows: None
    ) -> "FeatureCache":
        """Fill what is missing.

        Args:
            make: ``(view, picture numbers) -> tokens``; must not depend on which pictures share a call.
            step: called with the number of rows just written (for a progress bar).
        """
        views, pictures = self.shape[:2]
        step(self.done)
        for start in range(self.done, views * pictures, CHUNK):
            rows = range(start, min(start + CHUNK, views * pictures))
            for view in {row // pictures for row in rows}:
                numbers = [row % pictures for row in rows if row // pictures == view]
                self.tokens[view, numbers] = make(view, numbers).to(torch.float16).cpu().numpy()
            self.tokens.flush()
            part = self.progress_file.with_suffix(".part")
            part.write_text(json.dumps({"rows": rows.stop}))
            part.replace(self.progress_file)
            step(len(rows))
        return self

    def read(self, views: np.ndarray, pictures: np.ndarray) -> Float[Tensor, "B P C"]:
        """float32 tokens of picture ``pictures[b]`` in view ``views[b]``."""
        return torch.from_numpy(self.tokens[views, pictures].astype(np.float32))
