"""Several files as one input; one that cannot be read is an error among the rows of the others, and no halt."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from ctran.collection.known_cells import KnownCells
from ctran.collection.rows import Input, Row, Shard, digest_of
from ctran.collection.storage import File, base_name
from ctran.errors import UserError


@dataclass(frozen=True)
class BrokenShard(Shard):
    """What would have been the shards of a file, or the rest of them."""

    place: str
    reason: str

    def rows(self, cells: KnownCells) -> Iterator[Row]:
        yield Row(base_name(self.place), self.place, error=self.reason)


@dataclass(frozen=True)
class Files(Input):
    """One or several files that are cut into shards.

    Args:
        files: in this order.
        part_size: rows in a shard.
        cells: knows the columns.
    """

    files: Sequence[File]
    part_size: int
    cells: KnownCells

    @abstractmethod
    def of_file(self, file: File, numbers: Iterator[int]) -> Iterator[Shard]:
        """Shards of one file, with the next of the numbers."""

    def shards(self) -> Iterator[Shard]:
        numbers = count()
        for file in self.files:
            yield from _guarded(self.of_file(file, numbers), file, numbers, only=len(self.files) == 1)


def _guarded(shards: Iterator[Shard], file: File, numbers: Iterator[int], *, only: bool) -> Iterator[Shard]:
    """The shards of a file; where it cannot be read (on), one that states it.

    Args:
        only: there is no other file; then the error is raised.
    """
    try:
        yield from shards
    except UserError as error:
        if only:
            raise
        yield BrokenShard(next(numbers), 1, 0, digest_of([file.name, file.stamp]), file.place, str(error))
