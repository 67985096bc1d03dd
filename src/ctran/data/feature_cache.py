"""Image tokens on disk: computed once by a given callable, then read as a memory map.

A cache is a folder named after its key, the digest of everything that the tokens depend on. ``key.json`` lists these parts, so
tokens of other weights, transforms or pictures are refused even if a folder was renamed or copied. Views are written in chunks
of pictures with a record of progress, so an interrupted build can go on.
"""

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ctran.data.cache_folder import text_of
from ctran.data.feature_cache_blocks import checksums, differs, reserve
from ctran.errors import UserError
from ctran.files import atomic, remove_leftovers, write_text

CHUNK = 64
LAYOUT = 2
"""Version of the folder's layout, part of its key."""


class StaleCacheError(UserError):
    """A cache folder with other content than expected; the message names the difference and what to do."""


def is_finished(folder: Path, rows: int) -> bool:
    """Whether a cache of ``rows`` rows is complete, so that it can be used without writing into its folder."""
    try:
        return json.loads((folder / "done.json").read_text())["rows"] == rows and (folder / "tokens.npy").exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False


class FeatureCache:
    """Tokens of ``views`` random views of ``N`` pictures, float16, in one memory-mapped file.

    Args:
        folder: of this cache; its name should be :func:`key_of` of ``parts``.
        shape: ``(views, N, P, C)``.
        parts: what the tokens depend on, by name, as for :func:`key_of`; written into a new folder, compared with an old one's.

    Raises:
        StaleCacheError: the folder has other parts or another shape, is damaged, or does not list its parts.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int, int], parts: Mapping[str, object]) -> None:
        self.folder, self.shape = folder, shape
        self.progress_file = folder / "done.json"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tokens.npy"
        if path.exists():
            self._check_parts(json.loads(text_of(parts)))
        else:
            self.progress_file.unlink(missing_ok=True)
            remove_leftovers(folder)
            write_text(folder / "key.json", text_of(parts))
            with atomic(path) as part:  # so that the file is never incomplete
                with part.open("wb") as file:
                    np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
                    header = file.tell()
                reserve(part, header + 2 * math.prod(shape), path)
        self._check_file(path)
        self.tokens = self._opened(path)

    def _check_file(self, path: Path) -> None:
        """Check before mapping: a mapping extends a cut file to the size in its header, with zeros."""
        try:
            with path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                wanted = file.tell() + 2 * math.prod(self.shape)
        except (ValueError, EOFError) as error:
            raise StaleCacheError(f"{path} is damaged ({error}); {self._advice}") from None
        if shape != self.shape or dtype != np.float16:
            raise StaleCacheError(
                f"{path} holds {dtype} of shape {shape}, expected float16 of shape {self.shape}; {self._advice}"
            )
        if (size := path.stat().st_size) != wanted:
            raise StaleCacheError(f"{path} is damaged: it has {size:,} bytes, expected {wanted:,}; {self._advice}")

    def _opened(self, path: Path) -> np.memmap:
        """The memory map; read-only, and its checksums verified, if all tokens are there."""
        if self.done < self.shape[0] * self.shape[1]:
            return np.lib.format.open_memmap(path, mode="r+")
        kept = self._progress().get("file")
        if kept is None:  # written by a release without checksums
            with suppress(OSError):  # a shared folder without write permission
                self._mark_finished(path)
        elif wrong := differs(path, kept):
            raise StaleCacheError(f"{path} is damaged: {wrong}; {self._advice}")
        return np.lib.format.open_memmap(path, mode="r")

    def _mark_finished(self, path: Path) -> None:
        rows = self.shape[0] * self.shape[1]
        write_text(self.progress_file, json.dumps({"rows": rows, "file": checksums(path)}))

    def _progress(self) -> dict[str, Any]:
        return dict(json.loads(self.progress_file.read_text()))

    @property
    def _advice(self) -> str:
        return f"delete {self.folder} and run again to make the image tokens anew"

    def _check_parts(self, wanted: dict[str, Any]) -> None:
        path = self.folder / "key.json"
        try:
            held = dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            raise StaleCacheError(
                f"{path} is missing or damaged, so what the tokens were made of is not known: {self._advice}"
            ) from None
        if other := list(_differing(held, wanted)):
            raise StaleCacheError(f"{self.folder} holds image tokens of other {'; '.join(other)}: {self._advice}")

    @property
    def done(self) -> int:
        """Rows (view by view) already written; 0, with a warning, where the record is damaged."""
        if not self.progress_file.exists():
            return 0
        try:
            rows = self._progress()["rows"]
        except (ValueError, KeyError, TypeError):
            rows = None
        if isinstance(rows, int) and 0 <= rows <= self.shape[0] * self.shape[1]:
            return rows
        warnings.warn(f"{self.progress_file} is damaged; all image tokens are made anew", stacklevel=2)
        return 0

    def build(
        self, make: Callable[[int, list[int]], Float[Tensor, "B P C"]], step: Callable[[int], None] = lambda rows: None
    ) -> "FeatureCache":
        """Compute the missing tokens.

        Args:
            make: ``(view, picture numbers) -> tokens``; must not depend on which pictures share a call.
            step: called with the number of rows just written (for a progress bar).
        """
        views, pictures = self.shape[:2]
        done = self.done
        step(done)
        for start in range(done, views * pictures, CHUNK):
            rows = range(start, min(start + CHUNK, views * pictures))
            for view in {row // pictures for row in rows}:
                numbers = [row % pictures for row in rows if row // pictures == view]
                self.tokens[view, numbers] = make(view, numbers).to(torch.float16).cpu().numpy()
            self.tokens.flush()
            if rows.stop < views * pictures:
                write_text(self.progress_file, json.dumps({"rows": rows.stop}))
            else:
                self._mark_finished(self.folder / "tokens.npy")
                self.tokens = np.lib.format.open_memmap(self.folder / "tokens.npy", mode="r")
            step(len(rows))
        return self

    def read(self, views: np.ndarray, pictures: np.ndarray) -> Float[Tensor, "B P C"]:
        """float32 tokens of picture ``pictures[b]`` in view ``views[b]``."""
        return torch.from_numpy(self.tokens[views, pictures].astype(np.float32))


def _differing(held: Mapping[str, Any], wanted: Mapping[str, Any], inside: str = "") -> Iterator[str]:
    """``name (there: value, wanted: value)`` of each part that differs, nested parts one by one."""
    for name in dict.fromkeys((*wanted, *held)):
        there, here = held.get(name), wanted.get(name)
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _differing(there, here, f"{inside}{name}.")
        elif there != here:
            yield f"{inside}{name} (there: {there}, wanted: {here})"
