"""A folder of pictures, and all that is below it."""

from collections.abc import Iterator
from dataclasses import dataclass

from ctran.collection.known_cells import KnownCells
from ctran.collection.rows import Input, Row, Shard, digest_of
from ctran.collection.storage import File, join, listing
from ctran.images.formats import endings
from ctran.inference.many import chunks


@dataclass(frozen=True)
class FolderShard(Shard):
    """Some pictures of a folder, by name."""

    folder: str
    names: tuple[str, ...]

    def rows(self, cells: KnownCells) -> Iterator[Row]:
        for name in self.names:
            place = join(self.folder, name)
            yield Row(name, place, place, cells.default)


@dataclass(frozen=True)
class Folder(Input):
    """Pictures in a folder and below, by their endings; hidden ones are left out.

    Args:
        place: path or URL.
        part_size: pictures in a shard.
    """

    place: str
    part_size: int

    def shards(self) -> Iterator[Shard]:
        for number, files in enumerate(chunks(filter(is_picture, listing(self.place)), self.part_size)):
            digest = digest_of((file.name, file.stamp) for file in files)
            names = tuple(file.name for file in files)
            yield FolderShard(number, len(files), sum(file.size for file in files), digest, self.place, names)


def is_picture(file: File) -> bool:
    """Whether a file's ending is that of a format that can be read."""
    return f".{file.name.rpartition('.')[2].lower()}" in endings()
