"""Pictures that the studio starts with: those of a folder to label, or of a table."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageOps

from ctran.data.table import SampleTable
from ctran.images.left_out import left_out as others
from ctran.images.reading import BrokenImageError, open_image, picture_files, pixels_in
from ctran.serving.annotations import Annotations
from ctran.serving.budget import Budget

_THUMB = 160
"""Longest side of a thumbnail, in pixels."""
AT_ONCE = 40_000_000
"""Pixels of pictures that are decoded for thumbnails at the same time."""
KEPT = 512
"""Thumbnails in memory."""


@dataclass(frozen=True)
class Entry:
    """One picture.

    Args:
        name: shown to people.
        read: reads its file.
        file_name: in the folder of annotations; None where it is not there.
    """

    name: str
    read: Callable[[], bytes]
    file_name: str | None = None

    def content(self) -> bytes:
        """Bytes of its file.

        Raises:
            BrokenImageError: the file is missing, or cannot be read.
        """
        try:
            return self.read()
        except OSError as error:
            raise BrokenImageError(f"{self.name} cannot be read ({error.strerror})") from None


class Gallery:
    """Pictures by number.

    Args:
        left_out: file names that are not valid UTF-8, escaped; no row could name them.
        notes: messages about files that are not among the pictures.
    """

    def __init__(self, entries: Sequence[Entry], left_out: Sequence[str] = (), notes: Sequence[str] = ()) -> None:
        self.entries, self.left_out, self.notes = entries, left_out, notes
        self._decoding = Budget(AT_ONCE)
        self.thumbnail = lru_cache(KEPT)(self._thumbnail)

    @classmethod
    def of_folder(cls, annotations: Annotations) -> "Gallery":
        """All pictures of a folder to label; the notes name what was left out."""
        entries, left_out = list[Entry](), list[str]()
        found = picture_files(annotations.folder)
        for path in found:
            name = annotations.file_name(path)
            try:
                name.encode()
                entries.append(Entry(name, path.read_bytes, name))
            except UnicodeEncodeError:
                left_out.append(ascii(name))
        notes = others(annotations.folder, found).lines()
        if not entries:
            notes.insert(0, f"{annotations.folder} holds no picture that can be read")
        return cls(entries, left_out, notes)

    @classmethod
    def of_table(cls, table: SampleTable, count: int) -> "Gallery":
        """The first pictures of a table."""
        numbers = range(min(count, len(table)))
        return cls([Entry(table.ids[n], lambda n=n: table.content(n)) for n in numbers])

    def __len__(self) -> int:
        return len(self.entries)

    def _thumbnail(self, number: int) -> bytes:
        """A small JPEG.

        Raises:
            BrokenImageError: the picture cannot be read.
        """
        entry = self.entries[number]
        return small_jpeg(entry.content(), entry.name, self._decoding)


def small_jpeg(content: bytes, name: str, decoding: Budget, side: int = _THUMB) -> bytes:
    """A picture's file as a small JPEG.

    Args:
        decoding: bounds the pixels that are decoded at once.
        side: the longest.

    Raises:
        BrokenImageError: the picture cannot be read.
    """
    file = io.BytesIO()
    with decoding.take(pixels_in(content)):
        small = ImageOps.contain(open_image(content, name=name), (side, side))
    small.save(file, "JPEG", quality=85)
    return file.getvalue()
