"""Image features on disk: computed once by a given callable, then read as memory maps, one for each named array.

A cache is a folder named after its key, the digest of everything that the features depend on. ``key.json`` lists these parts,
so features of other weights, transforms or pictures are refused even if a folder was renamed or copied. Views are written in
chunks of pictures with a record of progress, so an interrupted build can go on.
"""

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ctran.data.cache_folder import text_of
from ctran.data.feature_cache_blocks import checksums, differs, reserve
from ctran.errors import UserError
from ctran.files import atomic, remove_leftovers, write_text
from ctran.model.backbone import Features

CHUNK = 64
LAYOUT = 3
"""Version of the folder's layout, part of its key: caches of another one are computed again."""


class StaleCacheError(UserError):
    """A cache folder with other content than expected; the message names the difference and what to do."""


def is_finished(folder: Path, rows: int) -> bool:
    """Whether a cache of ``rows`` rows is complete, so that it can be used without writing into its folder."""
    try:
        progress = json.loads((folder / "done.json").read_text())
        return progress["rows"] == rows and all((folder / name).exists() for name in progress["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


class FeatureCache:
    """Features of ``views`` random views of ``N`` pictures, float16, in one memory-mapped file for each array.

    Args:
        folder: of this cache; its name should be :func:`key_of` of ``parts``.
        rows: ``(views, N)``.
        arrays: shape of one picture's entry in each array, by the names of :attr:`ctran.model.backbone.Features.arrays`.
        grid: of the image tokens.
        parts: what the features depend on, by name, as for :func:`key_of`; written into a new folder, compared with an old
            one's.

    Raises:
        StaleCacheError: the folder has other parts or other shapes, is damaged, or does not list its parts.
    """

    def __init__(
        self,
        folder: Path,
        rows: tuple[int, int],
        arrays: Mapping[str, tuple[int, ...]],
        grid: tuple[int, int],
        parts: Mapping[str, object],
    ) -> None:
        self.folder, self.rows, self.grid = folder, rows, grid
        self.shapes = {name: (*rows, *shape) for name, shape in arrays.items()}
        self.paths = {name: folder / f"{name}.npy" for name in arrays}
        self.progress_file = folder / "done.json"
        folder.mkdir(parents=True, exist_ok=True)
        if all(path.exists() for path in self.paths.values()):
            self._check_parts(json.loads(text_of(parts)))
        else:
            self.progress_file.unlink(missing_ok=True)
            remove_leftovers(folder)
            for record in folder.glob("blocks-*.txt"):  # of several processes, about files that are gone
                record.unlink()
            write_text(folder / "key.json", text_of(parts))
            for name, path in self.paths.items():
                _create(path, self.shapes[name])
        for name, path in self.paths.items():
            self._check_file(path, self.shapes[name])
        self.arrays = self._opened()

    def _check_file(self, path: Path, expected: tuple[int, ...]) -> None:
        """Check before mapping: a mapping extends a cut file to the size in its header, with zeros."""
        try:
            with path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                wanted = file.tell() + 2 * math.prod(expected)
        except (ValueError, EOFError) as error:
            raise StaleCacheError(f"{path} is damaged ({error}); {self._advice}") from None
        if shape != expected or dtype != np.float16:
            raise StaleCacheError(
                f"{path} holds {dtype} of shape {shape}, expected float16 of shape {expected}; {self._advice}"
            )
        if (size := path.stat().st_size) != wanted:
            raise StaleCacheError(f"{path} is damaged: it has {size:,} bytes, expected {wanted:,}; {self._advice}")

    def _opened(self) -> dict[str, np.memmap]:
        """The memory maps; read-only, and their checksums verified, if all features are there."""
        if self.done < math.prod(self.rows):
            return {name: np.lib.format.open_memmap(path, mode="r+") for name, path in self.paths.items()}
        kept = self._progress()["files"]
        for path in self.paths.values():
            if wrong := differs(path, kept[path.name]):
                raise StaleCacheError(f"{path} is damaged: {wrong}; {self._advice}")
        return self._mapped()

    def _mapped(self) -> dict[str, np.memmap]:
        return {name: np.lib.format.open_memmap(path, mode="r") for name, path in self.paths.items()}

    def _progress(self) -> dict[str, Any]:
        return dict(json.loads(self.progress_file.read_text()))

    @property
    def _advice(self) -> str:
        return f"delete {self.folder} and run again to compute the image features again"

    def _check_parts(self, wanted: dict[str, Any]) -> None:
        path = self.folder / "key.json"
        try:
            held = dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            raise StaleCacheError(
                f"{path} is missing or damaged, so what the features were made of is not known: {self._advice}"
            ) from None
        if other := list(_differing(held, wanted)):
            raise StaleCacheError(f"{self.folder} holds image features of other {'; '.join(other)}: {self._advice}")

    @property
    def done(self) -> int:
        """Rows (view by view) already written; 0, with a warning, where the record is damaged."""
        if not self.progress_file.exists():
            return 0
        total = math.prod(self.rows)
        try:
            progress = self._progress()
            rows = progress["rows"]
            whole = rows != total or progress["files"].keys() == {path.name for path in self.paths.values()}
        except (ValueError, KeyError, TypeError, AttributeError):
            rows, whole = None, False
        if isinstance(rows, int) and 0 <= rows <= total and whole:
            return rows
        warnings.warn(f"{self.progress_file} is damaged; all image features are computed again", stacklevel=2)
        return 0

    def build(
        self, make: Callable[[int, list[int]], Features], step: Callable[[int], None] = lambda rows: None
    ) -> "FeatureCache":
        """Compute the missing features.

        Args:
            make: ``(view, picture numbers) -> features``; must not depend on which pictures share a call.
            step: called with the number of rows just written (for a progress bar).
        """
        views, pictures = self.rows
        done = self.done
        step(done)
        for start in range(done, views * pictures, CHUNK):
            rows = range(start, min(start + CHUNK, views * pictures))
            for view in {row // pictures for row in rows}:
                numbers = [row % pictures for row in rows if row // pictures == view]
                for name, tensor in make(view, numbers).arrays.items():
                    self.arrays[name][view, numbers] = tensor.to(torch.float16).cpu().numpy()
            for array in self.arrays.values():
                array.flush()
            if rows.stop < views * pictures:
                write_text(self.progress_file, json.dumps({"rows": rows.stop}))
            else:
                files = {path.name: checksums(path) for path in self.paths.values()}
                write_text(self.progress_file, json.dumps({"rows": rows.stop, "files": files}))
                self.arrays = self._mapped()
            step(len(rows))
        return self

    def read(self, views: np.ndarray, pictures: np.ndarray) -> Features:
        """Features of picture ``pictures[b]`` in view ``views[b]``, in float32."""
        found = {name: torch.from_numpy(array[views, pictures]).float() for name, array in self.arrays.items()}
        return Features.of_arrays(found, self.grid)


def _create(path: Path, shape: tuple[int, ...]) -> None:
    """A file of all its bytes, without values yet; never incomplete."""
    with atomic(path) as part:
        with part.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
            header = file.tell()
        reserve(part, header + 2 * math.prod(shape), path)


def _differing(held: Mapping[str, Any], wanted: Mapping[str, Any], inside: str = "") -> Iterator[str]:
    """``name (there: value, wanted: value)`` of each part that differs, nested parts one by one."""
    for name in dict.fromkeys((*wanted, *held)):
        there, here = held.get(name), wanted.get(name)
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _differing(there, here, f"{inside}{name}.")
        elif there != here:
            yield f"{inside}{name} (there: {there}, wanted: {here})"
