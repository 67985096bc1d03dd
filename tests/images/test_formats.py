"""Which formats are opened, and what is said of others. None starts a program; none raises anything but one kind of error."""

import io
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image

from ctran.images import reading as decoding
from ctran.images.formats import FORMATS, endings, formats
from ctran.images.reading import (
    BrokenImageError,
    NotAPictureError,
    ending_of,
    open_image,
    open_pixels,
    picture_files,
    pixels_in,
)
from tests.images.test_transforms import photograph

SMALL = photograph().resize((48, 40))
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
WMF = b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<hhhhH", 0, 0, 100, 100, 1440) + b"\0" * 6 + b"\x01\0\x09\0" + b"\0" * 60
OTHERS = {
    "EPS": (EPS, "PostScript"),
    "EPS with a preview": (b"\xc5\xd0\xd3\xc6" + b"\0" * 60, "EPS"),
    "WMF": (WMF, "Windows metafile"),
    "EMF": (b"\x01\0\0\0" + b"\0" * 36 + b" EMF" + b"\0" * 80, "Windows metafile"),
    "GRIB": (b"GRIB\0\0\0\1" + b"\0" * 60, "GRIB"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 60, "HDF5"),
    "BUFR": (b"BUFR" + b"\0" * 60, "not a picture of a format that is read"),
    "MPEG": (b"\x00\x00\x01\xb3\x10\x00\x10\x00" + b"\0" * 60, "not a picture of a format that is read"),
    "PDF": (b"%PDF-1.7\n", "PDF"),
    "SVG": (b'\n <svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "web page": (b"<!DOCTYPE html><html>", "web page; was the download refused"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "empty": (b"", "the file is empty"),
    "text": (b"hello", r"not a picture of a format that is read \(JPEG, PNG, "),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_refused_by_what_they_are_and_start_no_program(kind, monkeypatch):
    def started(*given, **options):
        raise AssertionError(f"a program is started: {given}")

    for name in ("run", "call", "check_call", "check_output", "Popen"):
        monkeypatch.setattr(subprocess, name, started)
    content, message = OTHERS[kind]
    with pytest.raises(NotAPictureError, match=f"x: .*{message}"):
        open_image(content, name="x")
    assert pixels_in(content) == 0


def test_no_format_outside_the_list_is_opened_whatever_pillow_knows():
    Image.init()
    assert set(formats()) - set(FORMATS) <= {"HEIF"} and {"JPEG", "PNG", "WEBP", "TIFF", "GIF"} <= set(formats())
    for form in {"TGA", "PCX", "SGI", "MSP", "XBM", "DDS", "SPIDER", "EPS"} & set(Image.SAVE):
        out = io.BytesIO()
        (SMALL.convert("F") if form == "SPIDER" else SMALL.convert("1") if form in ("XBM", "MSP") else SMALL).save(out, form)
        with pytest.raises(NotAPictureError):
            open_image(out.getvalue())


def test_a_folders_pictures_are_those_of_formats_that_are_opened(tmp_path):
    for name in ("a.JPG", "b.png", "c.eps", "d.wmf", "e.tga", "f.pdf", "g.mpg", "h.webp", "k.mpo", ".i.png", "j.psd"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in picture_files(tmp_path)] == ["a.JPG", "b.png", "h.webp", "k.mpo"]
    assert not {".eps", ".ps", ".wmf", ".emf", ".grib", ".h5", ".mpg"} & endings()


def encoded(form: str, picture: Image.Image = SMALL, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


WRITTEN = [form for form in formats() if form != "DIB"]


@pytest.mark.parametrize("form", WRITTEN)
def test_every_format_of_the_list_is_opened_and_gets_its_ending(form, tmp_path):
    content = encoded(form, **({"sizes": [SMALL.size]} if form == "ICO" else {}))
    assert np.asarray(open_image(content)).shape == (40, 48, 3)
    assert pixels_in(content) == 40 * 48
    ending = ending_of(content, "photo")
    assert ending in endings() and ending_of(content, f"x{ending.upper()}") == ending
    (tmp_path / f"picture{ending}").write_bytes(content)
    assert len(picture_files(tmp_path)) == 1


def test_heic_is_read_turned_or_named_with_what_to_install(monkeypatch):
    if "HEIF" in formats():
        exif = Image.Exif()
        exif[0x0112] = 6
        seen = np.asarray(open_image(encoded("HEIF", quality=95, exif=exif.tobytes())))
        turned = np.asarray(SMALL.transpose(Image.Transpose.ROTATE_270)).astype(int)
        assert seen.shape == turned.shape and abs(seen - turned).mean() < 8
    without = tuple(name for name in formats() if name != "HEIF")
    monkeypatch.setattr("ctran.images.formats.formats", lambda: without)
    monkeypatch.setattr(decoding, "formats", lambda: without)
    with pytest.raises(NotAPictureError, match=r'a.heic: .*pip install "ctran\[heif\]"'):
        open_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40, name="a.heic")


def test_very_thin_pictures_are_refused_before_they_are_decoded():
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    for width, height in ((1, 40_000_000), (40_000_000, 1), (65_536, 2)):
        head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        with pytest.raises(BrokenImageError, match=f"{width} x {height} pixels, a side may have at most 65,535"):
            open_image(content)


def test_whatever_a_decoder_raises_names_the_picture(monkeypatch):
    content = encoded("PNG")
    errors = [AttributeError("x"), TypeError(), RecursionError("deep"), MemoryError(), KeyError("k"), SystemError("s")]
    errors += [AssertionError(), ZeroDivisionError("z"), OverflowError("o"), struct.error("e"), EOFError(), StopIteration()]
    for error in [
        *errors,
        NotImplementedError(),
        UnicodeDecodeError("utf-8", b"", 0, 1, "bad"),
        Image.DecompressionBombError(),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "load", lambda self, error=error: (_ for _ in ()).throw(error))
            patch.setattr("PIL.ImageFile.ImageFile.load", lambda self, error=error: (_ for _ in ()).throw(error))
            with pytest.raises(BrokenImageError, match=r"^cat.png: "):
                open_image(content, name="cat.png")
    for stop in (KeyboardInterrupt, SystemExit):
        with monkeypatch.context() as patch:
            patch.setattr("PIL.ImageFile.ImageFile.load", lambda self, stop=stop: (_ for _ in ()).throw(stop()))
            with pytest.raises(stop):
                open_image(content, name="cat.png")


def seeds() -> list[bytes]:
    """Files of every format and several kinds of each."""
    rgba, grey = SMALL.convert("RGBA"), SMALL.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    files = [encoded(form) for form in WRITTEN if form != "MPO"]
    files += [encoded("MPO", append_images=[SMALL], save_all=True), encoded("JPEG", progressive=True), encoded("JPEG", grey)]
    files += [
        encoded("JPEG", SMALL.convert("CMYK")),
        encoded("PNG", rgba),
        encoded("PNG", deep),
        encoded("PNG", deep, transparency=0),
    ]
    files += [
        encoded("PNG", SMALL.quantize(16), bits=4),
        encoded("PNG", save_all=True, append_images=[rgba]),
        encoded("WEBP", rgba),
    ]
    files += [encoded("TIFF", picture, compression=c) for picture in (SMALL, grey, deep, rgba) for c in ("raw", "tiff_lzw")]
    files += [encoded("TIFF", compression="jpeg"), encoded("TIFF", SMALL.convert("F")), encoded("TIFF", save_all=True)]
    return files


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, left out, put in or repeated; mostly near the start, where headers are."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        reach = len(changed) if rng.random() < 0.4 else min(len(changed), 200)
        at, kind, length = int(rng.integers(reach)), rng.integers(5), int(rng.integers(1, 16))
        if kind < 2:
            changed[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = rng.integers(0, 256, length).astype(np.uint8).tobytes()
        else:
            del changed[max(20, int(rng.integers(len(changed)))) :]
        if len(changed) < 30:
            break
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [6, pytest.param(90, marks=pytest.mark.slow)])
def test_mutated_files_of_every_format_open_or_are_refused_by_name(count):
    rng, opened, refused = np.random.default_rng(count), 0, 0
    for content in seeds():
        for _ in range(count):
            damaged = mutated(content, rng)
            try:
                found = np.asarray(open_image(damaged, name="x", truncated="read" if rng.random() < 0.3 else "refuse"))
                assert found.ndim == 3 and found.dtype == np.uint8
                open_pixels(damaged, name="x", truncated="read")
                opened += 1
            except BrokenImageError as error:
                assert str(error).startswith("x")
                refused += 1
    assert opened > 20 and refused > 20
