"""What is predicted: rows, each a picture with its known labels; shards of rows, each one part file."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctran.collection.known_cells import KnownCells


@dataclass(frozen=True)
class Row:
    """One picture.

    Args:
        id: of the picture, in the output.
        where: file and row, as errors name them.
        source: path, URL, or content of the picture's file.
        known: its known labels.
        error: why it cannot be predicted; empty where nothing is known to be wrong.
    """

    id: str
    where: str
    source: str | bytes = b""
    known: dict[str, bool] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Shard(ABC):
    """Rows that become one part file. Small enough to be sent to another process.

    Args:
        number: position among the shards of the input.
        pictures: how many rows; None where that is found out by reading.
        size: bytes that are read for it; 0 where that is not known.
        digest: changes with its rows.
    """

    number: int
    pictures: int | None
    size: int
    digest: str

    @abstractmethod
    def rows(self, cells: "KnownCells") -> Iterator[Row]:
        """Its rows in order.

        Args:
            cells: reads the known labels of a row.

        Raises:
            UserError: the rest of the shard cannot be read.
        """


class Input(ABC):
    """Something that consists of shards."""

    @abstractmethod
    def shards(self) -> Iterator[Shard]:
        """All shards in an order that is always the same; read again at each call.

        Raises:
            UserError: it cannot be read.
        """


def digest_of(parts: Iterable[object]) -> str:
    """Digest of plain data, 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps(part, sort_keys=True, default=repr).encode("utf-8", "backslashreplace"))
        digest.update(b"\n")
    return digest.hexdigest()[:32]
