"""Picture files without their metadata: a decoder gets what the pixels depend on, and nothing else.

Decoders read more than pixels: resolutions, colour profiles, comments, EXIF. Any of it that is damaged or of an unexpected type
could make the picture unreadable, so it is removed first. Files of formats that are not named here are decoded as they are.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ctran.images.exif import ORIENTATION, Directory, orientation

PNG = b"\x89PNG\r\n\x1a\n"
_RAW_PROFILE = b"Raw profile type exif\0"
_LONGEST_TEXT = 1 << 20
_PIXELS_OF_PNG = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")

_PIXELS_OF_TIFF = {
    *(256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284),  # size, bits, compression, colours, strips, samples, planes
    *(292, 293, 317, 320, 322, 323, 324, 325, 332, 338, 339, 347),  # fax, predictor, palette, tiles, samples, JPEG tables
    *(512, 513, 514, 515, 517, 518, 519, 520, 521, 0xBC01),  # JPEG of the old kind, the mark of JPEG XR
}
"""Tags that the pixels depend on."""
_PIXELS_OF_YCBCR = {529, 530, 531, 532}
_PHOTOMETRIC, YCBCR = 262, 6

_EXIF_ITEM = re.compile(rb"(infe[\x02\x03].{3}(?:.{2}|.{4}).{2})Exif", re.DOTALL)
"""The entry of an EXIF block in the item table of an AVIF or HEIF file, with identifiers of 16 or of 32 bits."""


@dataclass(frozen=True)
class Container:
    """A file for a decoder.

    Args:
        content: the file without metadata.
        orientation: EXIF's, 1 to 8; None where only the decoder can read it.
        directory: of a TIFF file, with all its tags.
        chunks: of a PNG file, those that define what the values mean.
    """

    content: bytes
    orientation: int | None = None
    directory: Directory | None = None
    chunks: dict[bytes, bytes] | None = None


def unwrap(content: bytes) -> Container:
    """A picture's file without its metadata."""
    if content.startswith(b"\xff\xd8"):
        return _jpeg(content)
    if content.startswith(PNG):
        return _png(content)
    if content[:2] in (b"II", b"MM") and (directory := Directory.read(content)) is not None:
        return _tiff(content, directory)
    if content[4:8] == b"ftyp":
        return Container(_EXIF_ITEM.sub(rb"\1skip", content))
    return Container(content)


def _jpeg(content: bytes) -> Container:
    """Remove application data and comments, except JFIF and Adobe segments, which define the colour space."""
    kept, exif, xmp, end = [b"\xff\xd8"], b"", b"", 2
    for marker, start, end in _segments(content):
        payload = content[start + 4 : end]
        if marker == 0xE1 and payload.startswith(b"Exif\0"):
            exif += payload[6:] if exif else payload
        elif marker == 0xE1 and b"tiff:Orientation" in payload:
            xmp += payload
        if _names_colours(marker, payload) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(content[start:end])
    kept.append(content[end:])
    return Container(b"".join(kept), orientation(exif, xmp))


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each whole segment before the first scan; whatever is between them is skipped."""
    at = 2
    while (at := content.find(b"\xff", at)) >= 0 and at + 4 <= len(content):
        marker = content[at + 1]
        if marker in (0x00, 0xFF):  # fill bytes
            at += 1
            continue
        if marker in (0xDA, 0xD9):
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            at += 2
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if end < at + 4 or end > len(content):
            return
        yield marker, at, end
        at = end


def has_one_scan(content: bytes) -> bool:
    """Whether the first scan of a JPEG holds all its components."""
    segments = list(_segments(content))
    components = next((content[start + 9] for marker, start, _ in segments if 0xC0 <= marker <= 0xC2), 0)
    scan = content.find(b"\xff\xda", segments[-1][2] if segments else 2)
    return scan >= 0 and content[scan + 4 : scan + 5] == bytes([components])


def _names_colours(marker: int, payload: bytes) -> bool:
    """Whether libjpeg takes the colour space from this segment."""
    jfif = marker == 0xE0 and len(payload) >= 14 and payload.startswith(b"JFIF\0")
    return jfif or (marker == 0xEE and len(payload) >= 12 and payload.startswith(b"Adobe"))


def _png(content: bytes) -> Container:
    """Keep only the chunks that pixels need; of an animation, its default image."""
    kept, exif, xmp, facts, end = [PNG], b"", b"", dict[bytes, bytes](), len(PNG)
    for name, start, end in _chunks(content):
        payload = content[start + 8 : end - 4]
        if name in _PIXELS_OF_PNG:
            kept.append(content[start:end])
        if name in (b"IHDR", b"tRNS", b"sBIT"):
            facts.setdefault(name, payload)
        elif name == b"eXIf":
            exif = exif or payload
        elif name == b"tEXt" and payload.startswith(_RAW_PROFILE):
            exif = exif or _raw_profile(payload)
        elif name == b"zTXt" and payload.startswith(_RAW_PROFILE):
            exif = exif or _raw_profile(_inflated(payload[len(_RAW_PROFILE) + 1 :]))
        elif name == b"iTXt" and b"tiff:Orientation" in payload:
            xmp = payload
    if kept[-1][4:8] != b"IEND":
        kept.append(content[end:])  # for the decoder to refuse
    return Container(b"".join(kept), orientation(exif, xmp), chunks=facts)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each whole chunk, up to the last."""
    at, name = len(PNG), b""
    while at + 12 <= len(content) and name != b"IEND":
        name, end = content[at + 4 : at + 8], at + 12 + int.from_bytes(content[at : at + 4], "big")
        if end > len(content) or not name.isalpha():
            return
        yield name, at, end
        at = end


def _raw_profile(text: bytes) -> bytes:
    """EXIF as hexadecimal text below a heading of three lines, ImageMagick's way; empty where it cannot be read."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode())
    except ValueError:
        return b""


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _LONGEST_TEXT)
    except zlib.error:
        return b""


def _tiff(content: bytes, directory: Directory) -> Container:
    """The first picture: a copy of its directory with only the tags about pixels is appended to the file."""
    needed = _PIXELS_OF_TIFF | (_PIXELS_OF_YCBCR if directory.number(_PHOTOMETRIC, 0) == YCBCR else set[int]())
    entries = [entry for entry in directory.entries if directory.tag(entry) in needed]
    count, offset = ("Q", "Q") if directory.big else ("H", "I")
    where = len(content) + len(content) % 2
    head = content[:8] if directory.big else content[:4]
    parts = [head, struct.pack(f"{directory.order}{offset}", where), content[16 if directory.big else 8 :]]
    parts += [b"\0" * (where - len(content)), struct.pack(f"{directory.order}{count}", len(entries)), *entries, b"\0" * 8]
    orientation = next((int(v[0]) for v in directory.each(ORIENTATION) if v[0] in range(1, 9)), 1)
    return Container(b"".join(parts), orientation, directory)
