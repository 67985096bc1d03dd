"""The sample format of a picture's file, beyond what Pillow reads, and TIFF samples that Pillow would misread."""

import sys
from dataclasses import dataclass

from PIL import Image

from ctran.errors import UserError
from ctran.images.containers import Container
from ctran.images.jpeg2000 import Header, read_header


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
        scale: Pillow has multiplied the samples by it (grey of 9 to 15 bits in JPEG 2000).
        shifted: header of a JPEG 2000 file whose colours Pillow reads as 8 bits, the greatest ones as 0.
    """

    bits: int = 0
    white: float | None = None
    significant: int = 0
    black: float = 0.0
    signed: bool = False
    inverted: bool = False
    clear: tuple[int, ...] = ()
    scale: int = 1
    shifted: Header | None = None


TAGS = (258, 259, 262, 281, 339, 340, 341, 530)
"""Bits, compression, photometric interpretation, greatest value, sample format, least and greatest value, subsampling."""

_NATIVE = {"F;32BF": "F;32NF", "I;16BS": "I;16NS", "I;32BS": "I;32NS"}
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
            raw = _NATIVE.get(raw, raw)
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
    if picture.format == "JPEG2000":
        return _of_jpeg2000(read_header(container.content), picture.mode)
    directory = container.directory
    if directory is None and not container.content and (tags := getattr(picture, "tag_v2", None)) is not None:
        return _of_tiff({tag: _numbers(tags.get(tag)) for tag in TAGS})
    if directory is not None:
        return _of_tiff({tag: directory.numbers(tag) for tag in TAGS})
    return Meaning()


def _of_jpeg2000(header: Header | None, mode: str) -> Meaning:
    if header is None:
        return Meaning()
    bits = max(header.depths, default=8)
    if mode == "I;16" and bits > 16:
        raise SampleError(f"grey in JPEG 2000 of {bits} bits is not read; convert it to PNG of 16 bits")
    if mode == "I;16":
        scale = 1 << (16 - bits)
        return Meaning(bits, white=None if bits == 16 else ((1 << bits) - 1) * scale, scale=scale)
    if bits > 8 and header.converted:
        raise SampleError("JPEG 2000 in YCbCr of more than 8 bits may be read wrongly; convert it to PNG")
    return Meaning(shifted=header if bits > 8 else None)


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
