"""Pictures to calibrate on and to compare on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ctran.data.table import SampleTable
from ctran.errors import UserError
from ctran.images.reading import picture_files
from ctran.images.transforms import Preprocessing, open_pixels


@dataclass(frozen=True)
class Pictures:
    """Preprocessed pictures, read on access.

    Args:
        source: a table, or files.
    """

    source: SampleTable | Sequence[Path]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Float[Tensor, "3 H W"]:
        table = self.source
        return self.preprocessing(table.pixels(index) if isinstance(table, SampleTable) else open_pixels(table[index]))

    def batch(self, indices: Sequence[int]) -> Float[Tensor, "B 3 H W"]:
        """Some of them."""
        return torch.stack([self[i] for i in indices])

    def some(self, count: int) -> list[int]:
        """Indices of at most ``count`` of them, spread evenly: files that follow each other are often alike."""
        return np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)).tolist()


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """Picture files among ``paths``: files as they are named, folders with all that they hold, by the ending of the name.

    Raises:
        ValueError: a path that is not there, or no picture at all.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"--pictures: {path} not found")
        found.extend(picture_files(path) if path.is_dir() else [path])
    if not found:
        raise UserError(f"--pictures: no picture in {', '.join(map(str, paths))}")
    return found
