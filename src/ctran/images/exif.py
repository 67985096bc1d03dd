"""Directories of numbered tags, as TIFF files and EXIF blocks hold them, read defensively.

Of a picture's metadata only the orientation is read. An entry that cannot be read is ignored; the picture and the other
entries are still read.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ORIENTATION = 0x0112
"""The tag of how the camera was held; 1 is upright."""

_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
"""Types of whole and real numbers."""
_RATIONALS = {5: "I", 10: "i"}
TEXT = 2
MOST = 16
"""Numbers of one entry that are read: more than any that counts here holds."""

XMP = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*([1-8])\s*["'<]""")


@dataclass(frozen=True)
class Directory:
    """The first directory of a TIFF file or an EXIF block.

    Args:
        data: from the byte order mark on.
        order: of bytes, as a character of :mod:`struct`.
        big: BigTIFF, with offsets of 64 bits.
        entries: as they stand in ``data``, 12 bytes each (20 in BigTIFF).
    """

    data: bytes
    order: str
    big: bool
    entries: tuple[bytes, ...]

    @classmethod
    def read(cls, data: bytes) -> "Directory | None":
        """The directory, or None where there is none; entries beyond the end of the data are left out."""
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None:
            return None
        big = 43 in data[2:4]
        try:
            (start,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
            (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, start)
        except (struct.error, OverflowError):  # beyond the end
            return None
        first, size = start + (8 if big else 2), 20 if big else 12
        available = max(0, (len(data) - first) // size)
        places = range(first, first + size * min(count, available), size)
        return cls(data, order, big, tuple(data[at : at + size] for at in places))

    def tag(self, entry: bytes) -> int:
        """Which tag an entry is of."""
        return struct.unpack_from(f"{self.order}H", entry)[0]

    def __contains__(self, tag: int) -> bool:
        return any(self.tag(entry) == tag for entry in self.entries)

    def each(self, tag: int) -> Iterator[tuple[float, ...]]:
        """The numbers of each readable entry of a tag, of any type, at most :data:`MOST`."""
        for entry in self.entries:
            if self.tag(entry) != tag:
                continue
            try:
                if found := self._numbers(entry):
                    yield found
            except (struct.error, ValueError, OverflowError):
                continue

    def numbers(self, tag: int) -> tuple[float, ...]:
        """The numbers of a tag; empty where there are none that can be read."""
        return next(self.each(tag), ())

    def number(self, tag: int, default: int) -> int:
        """The first number of a tag."""
        values = self.numbers(tag)
        return int(values[0]) if values and values[0] == values[0] // 1 else default

    def _numbers(self, entry: bytes) -> tuple[float, ...]:
        kind, count = struct.unpack_from(f"{self.order}H{'Q' if self.big else 'I'}", entry, 2)
        field = entry[-8 if self.big else -4 :]
        code = _NUMBERS.get(kind) or _RATIONALS.get(kind) or ("B" if kind == TEXT else "")
        if not code or not count:
            return ()
        parts = 2 if kind in _RATIONALS else 1
        if count * parts * struct.calcsize(f"<{code}") > len(field):
            (start,) = struct.unpack(f"{self.order}{'Q' if self.big else 'I'}", field)
        else:
            start = 0
        source = self.data if start else field
        values = struct.unpack_from(f"{self.order}{min(count, MOST) * parts}{code}", source, start)
        if kind == TEXT:
            return (float(bytes(values).split(b"\0")[0]),)
        if kind in _RATIONALS:
            return tuple(a / b for a, b in zip(values[::2], values[1::2], strict=True) if b)
        return values


def orientation(exif: bytes = b"", xmp: bytes = b"") -> int:
    """How to turn a picture, 1 to 8: from EXIF, else from XMP, else 1 (upright)."""
    while exif.startswith(b"Exif\0"):
        exif = exif[6:]
    directory = Directory.read(exif)
    for values in directory.each(ORIENTATION) if directory else ():
        if values[0] in range(1, 9):
            return int(values[0])
    found = XMP.search(xmp)
    return int(found[1]) if found else 1
