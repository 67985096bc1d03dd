"""The description of an exported graph: JSON in its file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctran.folders.model_folder import ModelFolderError
from ctran.version import __version__

FORMAT = 2


@dataclass(frozen=True)
class About:
    """Description of a graph in its file (JSON, under the key ``ctran``).

    Args:
        graph: ``encode`` or ``predict``.
        image_cache: names of the tensors that ``encode`` returns and ``predict`` takes, in this order.
        labels, preprocessing: as a model folder has them.
        method, model: the method and its options.
        int8: None for float32, else which graphs are int8 and how many pictures they were calibrated on.
        calibration: temperatures and thresholds, as a model folder has them; the graph's logits are without them.
        parity: largest difference from the model's logits, and on how many pictures that was measured.
    """

    graph: str
    image_cache: tuple[str, ...]
    labels: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    method: str
    model: Mapping[str, Any]
    int8: Mapping[str, Any] | None = None
    calibration: Mapping[str, Any] | None = None
    parity: Mapping[str, Any] | None = None
    ctran: str = __version__
    format: int = FORMAT

    @classmethod
    def read(cls, text: str, path: Path) -> "About":
        """Parse a file's metadata."""
        if not text:
            raise ModelFolderError(f"{path} was not made by ctran export: its labels are missing")
        content = description(text)
        if content.get("format") not in range(1, FORMAT + 1):
            raise ModelFolderError(
                f"{path} has format {content.get('format')!r}, this ctran {__version__} reads 1 to {FORMAT}; upgrade ctran"
            )
        content["image_cache"] = tuple(content["image_cache"])
        return cls(**content)


def description(text: str) -> dict[str, Any]:
    """A graph's description with today's names: format 1 called the image cache ``memory``."""
    content = json.loads(text)
    if content.get("format") == 1 and "memory" in content:
        content["image_cache"] = content.pop("memory")
    return content
