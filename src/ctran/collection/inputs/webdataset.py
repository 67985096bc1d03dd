"""Tar files in the form of WebDataset: the members of a sample share their name up to its first dot.

``a.jpg`` is the picture of sample ``a`` and ``a.json`` its columns: those of a table. Other members are not read.
"""

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ctran.collection.known_cells import KnownCells
from ctran.collection.rows import Input, Row, Shard, digest_of
from ctran.collection.storage import File, opened
from ctran.data.readers.tar_samples import DAMAGED, samples
from ctran.errors import UserError
from ctran.images.formats import endings
from ctran.textfile import parse_json


@dataclass(frozen=True)
class TarShard(Shard):
    """A whole tar file, read as a stream."""

    place: str

    def rows(self, cells: KnownCells) -> Iterator[Row]:
        try:
            with opened(self.place) as content, tarfile.open(fileobj=content, mode="r|*") as tar:  # pyright: ignore
                for key, members in samples(tar):
                    yield row_of_sample(key, members, f"{self.place}, {key}", cells)
        except DAMAGED as error:
            raise UserError(f"{self.place}: not a tar file that can be read to its end ({error})") from None


@dataclass(frozen=True)
class WebDataset(Input):
    """One or several tar files, each a shard.

    Args:
        files: in this order.
    """

    files: Sequence[File]

    def shards(self) -> Iterator[Shard]:
        for number, file in enumerate(self.files):
            yield TarShard(number, None, file.size, digest_of([file.name, file.stamp]), file.place)


def row_of_sample(key: str, members: Mapping[str, bytes | None], where: str, cells: KnownCells) -> Row:
    """One row; what is wrong with it is in its ``error``."""
    identity = key
    try:
        about = members.get("json")
        values = {} if about is None else _columns(about, f"{where}.json")
        if values.get(cells.columns.id) not in (None, ""):
            identity = str(values[cells.columns.id])
        ending = cells.columns.picture
        if ending is None:
            found = [each for each in members if f".{each}" in endings()]
            if len(found) != 1:
                held = f"{len(found)} pictures" if found else "no picture"
                more = "; name the ending of one with --picture-column" if found else ""
                raise UserError(f"{where}: holds {held} (members: {', '.join(members)}){more}")
            ending = found[0]
        content = members.get(ending)
        if content is None:
            raise UserError(f"{where}: holds no {ending!r} that can be read (members: {', '.join(members)})")
        return Row(identity, f"{where}.{ending}", content, cells.read(values, where))
    except UserError as error:
        return Row(identity, where, error=str(error))


def _columns(content: bytes, where: str) -> dict[str, object]:
    """The object of a JSON member."""
    try:
        found = parse_json(content.decode("utf-8"), where, distinct=True)
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8") from None
    if not isinstance(found, dict):
        raise UserError(f"{where}: expected keys and values in braces, got {str(found)[:60]}")
    return found
