"""Open a picture safely, whatever it is: RGB of 8 bits."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from ctran.containers import Container, unwrap
from ctran.errors import UserError
from ctran.exif import ORIENTATION, orientation
from ctran.formats import describe, endings, formats

try:
    import simplejpeg
except ImportError:  # the extra `fast`
    simplejpeg = None

MAX_PIXELS = 100_000_000
"""Pictures with more pixels are refused before they are decoded (decompression bombs)."""

MAX_SIDE = 65_535
"""Pictures with a longer side are refused, as what is done with each row costs time: a JPEG can have no more either."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright."""

Source = Path | str | bytes | Image.Image
"""A path, encoded bytes, or a Pillow image."""


class BrokenImageError(UserError):
    """A file that is missing, no picture, truncated or too large; the message names it and says which."""


class NotAPictureError(BrokenImageError):
    """Bytes that are no picture of any format that can be read."""


@dataclass(frozen=True)
class _Opened:
    """A picture that is not decoded yet, and what its file says beside the pixels."""

    picture: Image.Image
    container: Container
    label: str


def open_image(source: Source, *, name: str | None = None) -> Image.Image:
    """Decode a picture to RGB: EXIF rotation applied, transparency laid on white, grey of more than 8 bits scaled to 8.

    Of an animation it is the first frame. Metadata that cannot be read are left aside.

    Args:
        source: a path, encoded bytes, or a Pillow image.
        name: what errors call it; the path by default.

    Raises:
        BrokenImageError: missing, not decodable, truncated, of more than :data:`MAX_PIXELS` pixels or with a side longer than
            :data:`MAX_SIDE`.
    """
    label = _label(source, name)
    with _named_errors(label):
        return _rgb(_header(_content(source), label))


def open_pixels(source: Source, *, name: str | None = None, max_pixels: int | None = None) -> UInt8[Tensor, "H W 3"]:
    """What :func:`open_image` gives, as numbers.

    An upright colour JPEG is decoded without Pillow where simplejpeg is installed (the extra ``fast``): the same numbers, as
    both are libjpeg-turbo, in two thirds of the time. Whatever that refuses or warns of, Pillow judges.

    Args:
        source, name: as for :func:`open_image`.
        max_pixels: larger pictures are refused; None takes :data:`MAX_PIXELS`.

    Raises:
        BrokenImageError: as :func:`open_image`.
    """
    label = _label(source, name)
    with _named_errors(label):
        opened = _header(_content(source), label, max_pixels)
        if simplejpeg and _upright_colour_jpeg(opened):
            try:
                return torch.from_numpy(simplejpeg.decode_jpeg(opened.container.content, "RGB"))
            except ValueError:  # damaged: Pillow decides what can be read of it
                pass
        return as_pixels(_rgb(opened))


def picture_files(folder: Path) -> list[Path]:
    """Files in a folder and below whose ending is that of a format that can be read, by name; hidden ones are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in endings() and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def ending_of(content: bytes, name: str = "") -> str:
    """The ending for a file of this picture, with the dot: that of ``name`` where it is one of the format.

    Raises:
        BrokenImageError: not a picture that can be read.
    """
    label = name or "<image>"
    with _named_errors(label):
        form = _header(content, label).picture.format
    known = [ending for ending, of in Image.EXTENSION.items() if of == form]
    own = Path(name).suffix.lower()
    return own if own in known else min(known, key=len)


def pixels_in(source: Source) -> int:
    """Number of pixels by the picture's header; 0 where that cannot be read: decoding then names what is wrong."""
    try:
        with _named_errors("picture"):
            picture = _header(_content(source), "picture").picture
            return picture.width * picture.height
    except BrokenImageError:
        return 0


def as_pixels(picture: Image.Image) -> UInt8[Tensor, "H W 3"]:
    """A copy of the values of an RGB picture."""
    return torch.from_numpy(np.array(picture))


def as_image(pixels: UInt8[Tensor, "H W 3"]) -> Image.Image:
    """An RGB picture of these values."""
    return Image.fromarray(pixels.numpy())


def _label(source: Source, name: str | None) -> str:
    return name or ("<image>" if isinstance(source, bytes | Image.Image) else str(source))


def _content(source: Source) -> bytes | Image.Image:
    if isinstance(source, Image.Image):
        content = _file_of(source)
        return source if content is None else content
    return source if isinstance(source, bytes) else Path(source).read_bytes()


def _file_of(picture: Image.Image) -> bytes | None:
    """The file of a Pillow image that is opened and not decoded yet, so that it is read as any other file.

    None of one that is decoded, of a later frame of an animation, and where the file is not at hand.
    """
    if (
        not isinstance(picture, ImageFile.ImageFile)
        or not picture.tile
        or picture.tell()
        or getattr(picture, "fp", None) is None
    ):
        return None
    try:
        file, place = picture.fp, picture.fp.tell()
        file.seek(0)
        content = file.read()
        file.seek(place)
        with Image.open(io.BytesIO(content), formats=formats()) as again:
            return content if (again.size, again.mode) == (picture.size, picture.mode) else None  # else a draft of it
    except Exception:  # closed, or of a format that the user alone opens: the picture itself then decides
        return None


def _header(content: bytes | Image.Image, label: str, max_pixels: int | None = None) -> _Opened:
    """A picture that is not decoded yet, and not too large to be."""
    most = MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(content, bytes):
        container = unwrap(content)
        try:
            picture = Image.open(io.BytesIO(container.content), formats=formats())
        except UnidentifiedImageError:
            raise NotAPictureError(f"{label}: {describe(content)}") from None
    else:
        picture, container = content, Container(b"")
    size = f"{picture.width} x {picture.height}"
    if picture.width * picture.height > most:
        raise BrokenImageError(f"{label}: {size} pixels, at most {most:,} are accepted; make it smaller")
    if max(picture.size) > MAX_SIDE:
        raise BrokenImageError(f"{label}: {size} pixels, a side may have at most {MAX_SIDE:,}; cut it into parts")
    return _Opened(picture, container, label)


def _upright_colour_jpeg(opened: _Opened) -> bool:
    picture, container = opened.picture, opened.container
    return picture.format == "JPEG" and picture.mode == "RGB" and container.orientation == 1


def _rgb(opened: _Opened) -> Image.Image:
    opened.picture.load()
    turn = _orientation(opened)
    picture = _eight_bits(opened.picture, opened.label)
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        white.alpha_composite(rgba)
        picture = white
    picture = picture.convert("RGB")
    return picture.transpose(TURNS[turn]) if turn in TURNS else picture


def _orientation(opened: _Opened) -> int:
    """EXIF's orientation: by the file, or by what Pillow holds of a picture that it has opened."""
    if opened.container.orientation is not None:
        return opened.container.orientation
    try:
        held = opened.picture.getexif().get(ORIENTATION)  # as the user may have set it
    except Exception:  # another entry cannot be read
        held = None
    if isinstance(held, int) and held in range(1, 9):
        return held
    info = opened.picture.info
    exif, xmp = (next((v for k in keys if isinstance(v := info.get(k), bytes)), b"") for keys in (("exif",), ("xmp",)))
    return orientation(exif, xmp)


def _eight_bits(picture: Image.Image, label: str) -> Image.Image:
    """Grey of 16 bits, or of real numbers between 0 and 1, as grey of 8 bits; Pillow itself would clip it."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.asarray(picture, dtype=np.float64)
    top = 1.0 if picture.mode.startswith("F") else 65535.0
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > top:
        raise BrokenImageError(f"{label}: grey values from {values.min():g} to {values.max():g}, expected 0 to {top:g}")
    return Image.fromarray((values * (255 / top)).round().astype(np.uint8))


@contextmanager
def _named_errors(label: str) -> Iterator[None]:
    """Whatever opening raises, as an error that names the picture: a decoder may raise anything on a damaged file."""
    try:
        yield
    except BrokenImageError:
        raise
    except IsADirectoryError:
        raise BrokenImageError(f"{label} is a folder; name the pictures in it") from None
    except FileNotFoundError:
        raise BrokenImageError(f"{label}: no such file") from None
    except Image.DecompressionBombError:
        raise BrokenImageError(f"{label}: too many pixels, at most {MAX_PIXELS:,} are accepted") from None
    except MemoryError:
        raise BrokenImageError(f"{label}: not enough memory to decode it") from None
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise BrokenImageError(f"{label}: cannot be read ({error.strerror})") from None
        raise BrokenImageError(f"{label}: broken picture ({error or type(error).__name__})") from None
