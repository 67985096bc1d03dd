"""Metadata are not the picture: whatever they hold, a good picture opens, turned by its orientation alone."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ctran.images.exif import ORIENTATION
from ctran.images.reading import open_image, open_pixels

TAGS = (
    0x100,
    0x101,
    0x102,
    0x103,
    0x106,
    0x10E,
    0x10F,
    0x110,
    0x11A,
    0x11B,
    0x128,
    0x131,
    0x132,
    0x13B,
    0x213,
    0x8769,
    0x8825,
    0x9C9B,
)
TYPES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99)
VALUES = ((1, b"\0\0\0\0"), (1, b"\xff\xff\xff\xff"), (4, b"480\0"), (3, b"\x08\0\0\0"), (1 << 30, b"\xf0\xff\xff\x7f"))
SQUARE = Image.new("RGB", (24, 16), "white")
SQUARE.paste((255, 0, 0), (0, 0, 8, 8))
"""A wide picture whose top left is red: where that is shows how the picture was turned."""


def entry(tag: int, kind: int, count: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")


def exif(*entries: bytes, order: str = "<") -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}IH", 8, len(entries)) + b"".join(entries) + b"\0" * 4


def turned(number: int, *others: bytes) -> bytes:
    """EXIF with an orientation behind other entries."""
    return exif(*others, entry(ORIENTATION, 3, 1, struct.pack("<HH", number, 0)))


def encoded(form: str, **options: object) -> bytes:
    out = io.BytesIO()
    SQUARE.save(out, form, **options)
    return out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def in_jpeg(block: bytes) -> bytes:
    segment = b"Exif\0\0" + block
    return JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + JPEG[2:]


def in_png(block: bytes) -> bytes:
    return PLAIN[:33] + chunk(b"eXIf", block) + PLAIN[33:]


def in_png_as_text(block: bytes) -> bytes:
    text = b"Raw profile type exif\0\nexif\n%8d\n" % (len(block) + 6) + (b"Exif\0\0" + block).hex().encode() + b"\n"
    return PLAIN[:33] + chunk(b"tEXt", text) + PLAIN[33:]


def in_webp(block: bytes) -> bytes:
    block += b"\0" * (len(block) % 2)
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0x08) + bytes([23, 0, 0, 15, 0, 0])
    body += WEBP[12:] + b"EXIF" + struct.pack("<I", len(block)) + block
    return b"RIFF" + struct.pack("<I", len(body)) + body


def in_mpo(block: bytes) -> bytes:
    out = io.BytesIO()
    SQUARE.save(out, "MPO", save_all=True, append_images=[SQUARE], quality=95, subsampling=0)
    segment = b"Exif\0\0" + block
    return JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + out.getvalue()[2:]


def in_tiff(block: bytes) -> bytes:
    """The block's entries beside those that the pixels need."""
    (count,) = struct.unpack_from("<H", block, 8)
    given = [block[10 + 12 * i :][:12] for i in range(count)]
    numbers = {256: 24, 257: 16, 258: 8, 259: 1, 262: 2, 273: 4096, 277: 3, 278: 16, 279: 24 * 16 * 3}
    held = {struct.unpack_from("<H", e)[0]: e for e in given} | {
        n: entry(n, 4, 1, struct.pack("<I", v)) for n, v in numbers.items()
    }
    return exif(*(held[n] for n in sorted(held))).ljust(4096, b"\0") + SQUARE.tobytes()


JPEG = encoded("JPEG", quality=95, subsampling=0)
PLAIN = encoded("PNG")
WEBP = encoded("WEBP", lossless=True)
WAYS = {f.__name__: f for f in (in_jpeg, in_png, in_png_as_text, in_webp, in_mpo, in_tiff)}
CORNERS = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
"""Row and column of the red corner when the picture was turned by each orientation."""


def check(content: bytes, orientation: int, case: object) -> None:
    for pixels in (np.asarray(open_image(content, name="photo")), open_pixels(content, name="photo").numpy()):
        assert pixels.shape[:2] == ((16, 24) if orientation < 5 else (24, 16)), case
        assert abs(pixels[CORNERS[orientation]].astype(int) - (255, 0, 0)).max() < 12, case


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_by_its_orientation(way, orientation):
    check(WAYS[way](turned(orientation)), orientation, way)


def cases_of(way: str) -> list[tuple[int, int, int, bytes]]:
    sizes = (0x100, 0x101, 0x102, 0x103, 0x106) if way == "in_tiff" else ()  # of a TIFF these are not metadata
    return [(t, kind, count, value) for t in TAGS for kind in TYPES for count, value in VALUES if t not in sizes]


@pytest.mark.parametrize("way", WAYS)
def test_a_tag_of_any_type_beside_the_orientation_costs_nothing(way):
    for case in cases_of(way)[:: 7 if way == "in_jpeg" else 23]:
        check(WAYS[way](turned(6, entry(*case))), 6, case)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_tag_of_every_type_beside_the_orientation_costs_nothing(way):
    for case in cases_of(way):
        check(WAYS[way](turned(6, entry(*case))), 6, case)


@pytest.mark.parametrize("order", "<>")
def test_an_orientation_of_any_type_of_number_counts(order):
    numbers = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 13: "I"}
    for kind, code in numbers.items():
        block = exif(entry(ORIENTATION, kind, 1, struct.pack(f"{order}{code}", 8), order), order=order)
        check(in_jpeg(block), 8, kind)
    long = {5: struct.pack(f"{order}II", 6, 1), 10: struct.pack(f"{order}ii", 12, 2), 12: struct.pack(f"{order}d", 6.0)}
    for kind, value in long.items():
        block = exif(entry(ORIENTATION, kind, 1, struct.pack(f"{order}I", 26), order), order=order)
        check(in_jpeg(block + value), 6, kind)
    check(in_jpeg(exif(entry(ORIENTATION, 2, 2, b"3\0", order), order=order)), 3, "text")


def test_metadata_that_cannot_be_read_mean_upright():
    blocks = [
        b"",
        b"II",
        b"no such thing",
        b"MM\0*\xff\xff\xff\xff",
        exif()[:9],
        turned(6)[:-8],
        turned(0),
        turned(9),
        turned(65535),
    ]
    blocks += [b"II*\0" + struct.pack("<IH", 8, 65535), exif(entry(ORIENTATION, 5, 1, struct.pack("<I", 1 << 31)))]
    for block in blocks:
        for way in (in_jpeg, in_png, in_png_as_text, in_webp):
            check(way(block), 1, (way, block))


def test_broken_application_segments_of_a_jpeg_cost_nothing():
    segments = {
        0xE0: [b"JFIF\0", b"JFIF\0\1", b"JFXX\0"],
        0xE1: [b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0<x", b""],
        0xE2: [b"ICC_PROFILE\0", b"ICC_PROFILE\0\1\1", b"MPF\0", b"MPF\0II*\0\0\0\0\x99", b"FPXR\0"],
        0xED: [b"Photoshop 3.0\x008BIM\4", b"Photoshop 3.0\x008BIM\3\xed\0\0\0\0\0\1x"],
        0xEE: [b"Adobe", b"Adobe\0d"],
        0xFE: [b"", b"\xff\xd8\xff"],
    }
    for marker, payloads in segments.items():
        for payload in payloads:
            segment = bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload
            for content in (JPEG[:2] + segment + JPEG[2:], JPEG[:20] + segment + JPEG[20:]):
                check(content, 1, (marker, payload))


def test_broken_text_and_profiles_of_a_png_cost_nothing():
    big = zlib.compress(b"x" * (1 << 22))
    chunks = [
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  12\nnot hexadecimal\n"),
        chunk(b"zTXt", b"Raw profile type exif\0\0not compressed"),
        chunk(b"zTXt", b"Comment\0\0" + big),
        chunk(b"iCCP", b"name"),
        chunk(b"iCCP", b"name\0\7" + big),
        chunk(b"iCCP", b"name\0\0" + big),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0broken"),
        chunk(b"pHYs", b"\0"),
        chunk(b"gAMA", b""),
        chunk(b"cHRM", b"\0"),
        chunk(b"sRGB", b""),
        chunk(b"tEXt", b"A\0b")[:-4] + b"\0\0\0\0",  # a wrong checksum
    ]
    for extra in chunks:
        check(PLAIN[:33] + extra + PLAIN[33:], 1, extra[:40])
        check(PLAIN[:-12] + extra + PLAIN[-12:], 1, extra[:40])


def test_an_orientation_in_xmp_counts_where_exif_has_none():
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    head = b"http://ns.adobe.com/xap/1.0/\0"
    segment = b"\xff\xe1" + struct.pack(">H", len(head + packet) + 2) + head + packet
    check(JPEG[:2] + segment + JPEG[2:], 6, "JPEG")
    check(PLAIN[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet) + PLAIN[33:], 6, "PNG")
    with_both = in_jpeg(turned(3))
    check(with_both[:2] + segment + with_both[2:], 3, "EXIF goes first")


def test_exif_of_an_avif_that_cannot_be_read_costs_nothing():
    block = turned(1, entry(0x100, 2, 4, b"480\0"), entry(0x11A, 11, 1, b"\xff\xff\xff\xff"))
    texts = [entry(number, 2, 4, b"abc\0") for number in (0x10E, 0x10F, 0x110, 0x131)]
    good = encoded("AVIF", quality=95, subsampling="4:4:4", exif=turned(1, *texts))  # it is longer than the block
    place = good.index(b"II*\0")
    check(good[:place] + block + good[place + len(block) :], 1, "ill-typed")
    check(good[:place] + b"?" * len(block) + good[place + len(block) :], 1, "no EXIF at all")
    check(encoded("AVIF", quality=95, subsampling="4:4:4", exif=turned(6)), 6, "turned")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_pillow_image_with_such_metadata_opens_too(form):
    way = {"JPEG": in_jpeg, "PNG": in_png, "WEBP": in_webp, "TIFF": in_tiff}[form]
    odd = way(turned(6, entry(0x11A, 2, 4, b"abc\0"), entry(0x13B, 11, 1, b"\0\0\0\0")))
    expected = np.asarray(open_image(odd))
    picture = Image.open(io.BytesIO(odd))
    assert np.array_equal(np.asarray(open_image(picture)), expected)
    assert np.array_equal(np.asarray(open_image(picture)), expected), "the picture is left as it was"
