"""``torch.export`` programs: JSON and raw numbers in one archive, no pickle."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from ctran.inference.runtimes import METADATA, Arrays, refuse_pickle

FILES = ("{}.pt2",)


def convert(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> ExportedProgram:
    """The program itself; its inputs and outputs go by their place."""
    return program


def quantise(model: Any, samples: Sequence[Arrays]) -> Any:
    """Refused."""
    raise ValueError("--int8 is made for --format openvino and onnx; a torch program stays in float32")


def save(model: ExportedProgram, folder: Path, name: str, metadata: str) -> None:
    """Write ``NAME.pt2``."""
    path = folder / f"{name}.pt2"
    torch.export.save(model, path, extra_files={METADATA: metadata})
    refuse_pickle(path)
