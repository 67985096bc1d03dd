"""Arrays in memory, and beyond a limit in temporary files, which the operating system reads and writes as they are used."""

import math
import os
import tempfile

import numpy as np
from numpy.typing import DTypeLike

from ctran.errors import UserError

IN_MEMORY = 2**30
"""Bytes of the arrays of one store that are held in memory."""


class Store:
    """Makes arrays. Their files have no name, so that nothing is left of them, however the process ends.

    Args:
        limit: bytes that are held in memory.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.left = IN_MEMORY if limit is None else limit

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An array with arbitrary content.

        Raises:
            UserError: no room for it on the disk.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size <= self.left:
            self.left -= size
            return np.empty(shape, dtype)
        with tempfile.TemporaryFile(prefix="ctran-") as file:
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)  # a full disk would end the process later, without a word
                else:
                    file.truncate(size)
            except OSError as error:
                raise UserError(
                    f"{tempfile.gettempdir()}: no room for {size / 1e9:.1f} GB ({error.strerror}); name a folder "
                    "on a larger disk in the environment variable TMPDIR"
                ) from None
            return np.asarray(np.memmap(file, dtype, "r+", shape=shape))
