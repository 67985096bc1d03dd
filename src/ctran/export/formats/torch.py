"""``torch.export`` programs: JSON and raw numbers in one archive, no pickle."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.export import ExportedProgram

from ctran.folders.runtimes import METADATA, refuse_pickle

FILES = ("{}.pt2",)
INT8 = False


def convert(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> ExportedProgram:
    """The program itself; its inputs and outputs are positional."""
    return program


def save(model: ExportedProgram, folder: Path, name: str, metadata: str) -> None:
    """Write ``NAME.pt2``."""
    path = folder / f"{name}.pt2"
    torch.export.save(model, path, extra_files={METADATA: metadata})
    refuse_pickle(path)
