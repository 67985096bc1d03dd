"""Open a picture safely, whatever it is: RGB of 8 bits."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ctran.errors import UserError

try:
    import simplejpeg
except ImportError:  # the extra `fast`
    simplejpeg = None

MAX_PIXELS = 100_000_000
"""Pictures with more pixels are refused before they are decoded (decompression bombs)."""

STUBS = ("BUFR", "GRIB", "HDF5", "MPEG", "WMF")
"""Formats that Pillow knows by name, but does not decode by itself."""

ORIENTATION = 0x0112
"""EXIF's tag of how the camera was held; 1 is upright."""

Source = Path | str | bytes | Image.Image
"""A path, encoded bytes, or a Pillow image."""


class BrokenImageError(UserError):
    """A file that is missing, no picture, truncated or too large; the message names it and says which."""


class NotAPictureError(BrokenImageError):
    """Bytes that are no picture of any format that can be read."""


def open_image(source: Source, *, name: str | None = None) -> Image.Image:
    """Decode a picture to RGB: EXIF rotation applied, transparency laid on white, grey of more than 8 bits scaled to 8.

    Args:
        source: a path, encoded bytes, or a Pillow image.
        name: what errors call it; the path by default.

    Raises:
        BrokenImageError: missing, not decodable, truncated, or of more than :data:`MAX_PIXELS` pixels.
    """
    label = _label(source, name)
    with _named_errors(label):
        return _rgb(_header(_content(source), label), label)


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
        content = _content(source)
        picture = _header(content, label, max_pixels)
        if simplejpeg and isinstance(content, bytes) and _upright_colour_jpeg(picture):
            try:
                return torch.from_numpy(simplejpeg.decode_jpeg(content, "RGB"))
            except ValueError:  # damaged: what can be saved of it is Pillow's to say
                pass
        return as_pixels(_rgb(picture, label))


def picture_files(folder: Path) -> list[Path]:
    """Files in a folder and below whose ending is that of a format that can be read, by name; hidden ones are left out."""
    endings = {ending for ending, form in Image.registered_extensions().items() if form in Image.OPEN and form not in STUBS}
    found = (path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def pixels_in(source: Source) -> int:
    """Number of pixels that a picture's header speaks of; 0 where it cannot be read, which decoding then says."""
    try:
        with _named_errors("picture"):
            picture = _header(_content(source), "picture")
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
    return source if isinstance(source, bytes | Image.Image) else Path(source).read_bytes()


def _header(content: bytes | Image.Image, label: str, max_pixels: int | None = None) -> Image.Image:
    """A picture that is not decoded yet, and not too large to be."""
    most = MAX_PIXELS if max_pixels is None else max_pixels
    picture = Image.open(io.BytesIO(content)) if isinstance(content, bytes) else content
    if picture.width * picture.height > most:
        size = f"{picture.width} x {picture.height}"
        raise BrokenImageError(f"{label}: {size} pixels, at most {most:,} are accepted; make it smaller")
    return picture


def _upright_colour_jpeg(picture: Image.Image) -> bool:
    return picture.format == "JPEG" and picture.mode == "RGB" and picture.getexif().get(ORIENTATION, 1) == 1


def _rgb(picture: Image.Image, label: str) -> Image.Image:
    picture = _eight_bits(ImageOps.exif_transpose(picture), label)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        white.alpha_composite(rgba)
        picture = white
    return picture.convert("RGB")


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
    """Whatever opening raises, as an error that names the picture."""
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
    except UnidentifiedImageError:
        raise NotAPictureError(f"{label}: not a picture that Pillow can read") from None
    except (OSError, SyntaxError, ValueError, RuntimeError) as error:  # whatever Pillow's decoders raise
        raise BrokenImageError(f"{label}: broken picture ({error})") from None
