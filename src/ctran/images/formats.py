"""The formats of pictures that are read, by name, and what other files are."""

import importlib
from functools import cache

from PIL import Image

from ctran.images.exif import Directory

FORMATS = {
    "JPEG": "Jpeg",
    "MPO": "Mpo",
    "PNG": "Png",
    "WEBP": "WebP",
    "GIF": "Gif",
    "BMP": "Bmp",
    "DIB": "Bmp",
    "TIFF": "Tiff",
    "PPM": "Ppm",
    "ICO": "Ico",
    "JPEG2000": "Jpeg2K",
    "AVIF": "Avif",
}
"""Formats that are read, and Pillow's module of each: widely used ones that Pillow decodes by itself.

No other is opened, as some of Pillow's start a program: EPS starts Ghostscript. HEIF is read where pillow-heif is installed.
"""

HEIF = 'a HEIC picture; to read those: pip install "ctran[heif]"'
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
CONVERT = "which is not read; convert it to PNG or JPEG"

OTHERS = (
    (0, b"%!PS", f"PostScript, {CONVERT}"),
    (0, b"\xc5\xd0\xd3\xc6", f"an EPS file, {CONVERT}"),
    (0, b"%PDF", f"a PDF file, {CONVERT}"),
    (0, b"<svg", f"an SVG drawing, {CONVERT}"),
    (0, b"<?xml", f"XML (an SVG drawing?), {CONVERT}"),
    (0, b"8BPS", f"a Photoshop file, {CONVERT}"),
    (0, b"\xff\x0a", f"a JPEG XL picture, {CONVERT}"),
    (4, b"JXL \r\n", f"a JPEG XL picture, {CONVERT}"),
    (0, b"\xd7\xcd\xc6\x9a", f"a Windows metafile, {CONVERT}"),
    (40, b" EMF", f"a Windows metafile, {CONVERT}"),
    (128, b"DICM", f"a DICOM file, {CONVERT}"),
    (0, b"SIMPLE  =", f"a FITS file, {CONVERT}"),
    (0, b"\x89HDF", f"an HDF5 file, {CONVERT}"),
    (0, b"gimp xcf", f"a GIMP file, {CONVERT}"),
    (0, b"GRIB", f"a GRIB file, {CONVERT}"),
    (4, b"ftypqt", "a film; save a frame of it"),
    (4, b"ftypmp4", "a film; save a frame of it"),
    (4, b"ftypisom", "a film; save a frame of it"),
    (0, b"\x1aE\xdf\xa3", "a film; save a frame of it"),
    (0, b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (0, b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (0, b"version https://git-lfs", "a placeholder of Git LFS; fetch the file with git lfs pull"),
    (0, b"<!doctype", "a web page; was the download refused?"),
    (0, b"<html", "a web page; was the download refused?"),
)
"""Offset in the file, bytes there, and what the file then is."""


@cache
def formats() -> tuple[str, ...]:
    """Formats that can be read here; their decoders are loaded at the first call."""
    for module in FORMATS.values():
        try:
            importlib.import_module(f"PIL.{module}ImagePlugin")
        except ImportError:  # an older Pillow
            continue
    readable = tuple(name for name in FORMATS if name in Image.OPEN)
    try:
        import pillow_heif
    except ImportError:  # the extra `heif`
        return readable
    pillow_heif.register_heif_opener()
    return (*readable, "HEIF")


@cache
def endings() -> frozenset[str]:
    """Endings of file names of these formats, in lower case, with the dot."""
    readable = {*formats(), "MPO"}  # which Pillow opens as JPEG
    return frozenset(ending for ending, form in Image.EXTENSION.items() if form in readable)


def camera_raw(directory: Directory) -> bool:
    """Whether a TIFF file is a camera's raw picture (DNG, NEF and others), of which the first directory is a small preview."""
    return 0xC612 in directory or (directory.number(254, 0) == 1 and 330 in directory)


def _tiff(directory: Directory) -> str:
    """What the samples of a TIFF file are."""
    kinds = {1: "unsigned", 2: "with a sign", 3: "real numbers", 5: "complex", 6: "complex"}
    bits = " + ".join(f"{n:.0f}" for n in directory.numbers(258)) or "1"
    kind = kinds.get(directory.number(339, 1), "of unknown kind")
    planes, colours = directory.number(284, 1), directory.number(262, -1)
    return f"TIFF with samples of {bits} bits, {kind}, photometric interpretation {colours}, planar configuration {planes}"


def describe(content: bytes) -> str:
    """What an unreadable file is and what to do; messages put it after the file's name and a colon."""
    if not content:
        return "not a picture, the file is empty"
    start = content[:16].lstrip().lower()
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS and "HEIF" not in formats():
        return f"not a picture that can be read: {HEIF}"
    if content[:2] in (b"II", b"MM") and (directory := Directory.read(content)) is not None and directory.entries:
        return f"not a picture of a kind that can be read: {_tiff(directory)}; save it as RGB or grey of 8 or 16 bits"
    for place, mark, what in OTHERS:
        if content[place : place + len(mark)] == mark or (place == 0 and start.startswith(mark.lower()) and mark.isascii()):
            return f"not a picture that can be read: {what}"
    return f"not a picture of a format that is read ({', '.join(name for name in formats() if name != 'DIB')})"
