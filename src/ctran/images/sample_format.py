"""The sample format of a picture's file, beyond what Pillow reads, and TIFF samples that Pillow would misread."""

import sys
from dataclasses import dataclass

from PIL import Image

from ctran.errors import UserError
from ctran.images.containers import Container


class SampleError(UserError):
    """Samples whose meaning is unknown or unsupported; the message lacks the picture's name."""


@dataclass(frozen=True)
class Meaning:
    """The sample format of a file, beyond what Pillow reads.

    Args:
        bits: of a sample; 0 where the file does not state it.
        white: greatest value of the range that the file states; None where it states none.
        significant: bits that the samples had before they were stored in more; 0 where not stated.
        black: least value of that range.
        signed: whole numbers with a sign.
        inverted: the least value is white.
        clear: the sample or the three samples of a colour that is transparent.
        wraps: Pillow reads the greatest samples as 0 (colours of more than 8 bits in JPEG 2000, whose rounding overflows).
    """

    bits: int = 0
    white: float | None = None
    significant: int = 0
    black: float = 0.0
    signed: bool = False
    inverted: bool = False
    clear: tuple[int, ...] = ()
    wraps: bool = False


TAGS = (258, 259, 262, 281, 339, 340, 341, 530)
"""Bits, compression, photometric interpretation, greatest value, sample format, least and greatest value, subsampling."""

NATIVE = {"F;32BF": "F;32NF", "I;16BS": "I;16NS", "I;32BS": "I;32NS"}
"""Samples that libtiff has converted to the native byte order and Pillow would swap again."""


def repair(picture: Image.Image, container: Container) -> None:
    """Correct the byte orders that Pillow would get wrong when it decodes an opened TIFF file."""
    if container.directory is None:
        return
    tiles = picture.tile  # pyright: ignore[reportAttributeAccessIssue]
    order = "L" if container.directory.order == "<" else "B"
    deep = container.directory.number(258, 8) == 16
    for i, tile in enumerate(tiles):
        raw, *others = tile.args
        if tile.codec_name == "libtiff" and sys.byteorder == "little":
            raw = NATIVE.get(raw, raw)
        elif len(raw) == 1 and deep and picture.mode != "L":  # one of several planes
            raw = f"{raw};16{order}"
        tiles[i] = tile._replace(args=(raw, *others))


def meaning(container: Container, picture: Image.Image) -> Meaning:
    """The sample format of a picture by its file.

    Raises:
        SampleError: samples that would be read wrongly.
    """
    if container.chunks is not None:
        return _of_png(container.chunks)
    if picture.format == "JPEG2000" and picture.mode not in ("L", "I;16", "P"):
        return Meaning(wraps=_bits_of_jpeg2000(container.content) > 8)
    directory = container.directory
    if directory is None and not container.content and (tags := getattr(picture, "tag_v2", None)) is not None:
        return _of_tiff({tag: _numbers(tags.get(tag)) for tag in TAGS})
    if directory is not None:
        return _of_tiff({tag: directory.numbers(tag) for tag in TAGS})
    return Meaning()


def _bits_of_jpeg2000(content: bytes) -> int:
    """Bits of the first component, from the size marker at the start of the code stream; 0 where there is none."""
    start = content.find(b"\xff\x4f\xff\x51")
    return (content[start + 42] & 0x7F) + 1 if 0 <= start < len(content) - 42 else 0


def _numbers(value: object) -> tuple[float, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(v for v in values if isinstance(v, int | float))


def _of_png(chunks: dict[bytes, bytes]) -> Meaning:
    header = chunks.get(b"IHDR", b"").ljust(13, b"\0")
    bits, colours = header[8], header[9]
    significant = max(chunks.get(b"sBIT", b"\0"), default=0) if bits == 16 else 0
    clear: tuple[int, ...] = ()
    if (data := chunks.get(b"tRNS")) and colours in (0, 2):
        count = 1 if colours == 0 else 3
        clear = tuple(int.from_bytes(data[2 * i : 2 * i + 2], "big") & ((1 << bits) - 1) for i in range(count))
        if bits < 8:  # Pillow makes 8 bits of them
            clear = tuple(value * (255 // ((1 << bits) - 1)) for value in clear)
    return Meaning(bits, significant=significant, clear=clear)


def _of_tiff(tags: dict[int, tuple[float, ...]]) -> Meaning:
    def number(tag: int, default: float) -> float:
        return tags[tag][0] if tags[tag] else default

    if number(262, 0) == 6 and number(259, 1) == 1 and tags[530] and tags[530][:2] != (1, 1):
        raise SampleError("uncompressed YCbCr with subsampling is not read; save it with a compression, or as RGB")
    bits, white = int(number(258, 1)), number(341, 0) or None
    if white is None and (most := number(281, 0)) >= 1 and int(most) & (int(most) + 1) == 0:
        white = most  # else it is the greatest value that occurs, as the TIFF specification has it
    signed, black = number(339, 1) == 2, number(340, 0)
    if bits < 16 and bits > 8 and white is None:
        white = (1 << bits) - 1
    return Meaning(bits, white, black=black, signed=signed, inverted=number(262, 1) == 0)
