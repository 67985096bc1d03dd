"""Open any picture safely, as RGB of 8 bits."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ctran.errors import UserError
from ctran.images.containers import Container, unwrap
from ctran.images.exif import ORIENTATION, orientation
from ctran.images.formats import camera_raw, describe, endings, formats
from ctran.images.inputs import Source, content_of, label_of
from ctran.images.sample_format import repair
from ctran.images.samples import DimPictureWarning, as_rgb
from ctran.images.truncated import Truncated, decode

try:
    import simplejpeg
except ImportError:  # the extra `fast`
    simplejpeg = None

MAX_PIXELS = 100_000_000
"""Pictures with more pixels are refused before they are decoded (decompression bombs)."""

_MAX_SIDE = 65_535
"""Pictures with a longer side are refused, as each row costs time; a JPEG cannot be larger either."""

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


class BrokenImageError(UserError):
    """A file that is missing, not a picture, truncated or too large; the message names it and the reason."""


class NotAPictureError(BrokenImageError):
    """Bytes that are not a picture of a format that can be read."""


@dataclass(frozen=True)
class _Opened:
    """A picture that is not decoded yet, its file without metadata, and its name in errors."""

    picture: Image.Image
    container: Container
    label: str


def open_image(
    source: Source, *, name: str | None = None, truncated: Truncated = "refuse", white: float | None = None
) -> Image.Image:
    """Decode a picture to RGB: EXIF rotation applied, transparency laid on white, samples of more than 8 bits scaled to 8.

    Of an animation it is the first frame. Metadata that cannot be read are ignored.

    Args:
        source: what :data:`~ctran.images.inputs.Source` lists.
        name: its name in errors; the path by default.
        truncated: what happens to a file that ends early; ``read`` takes what is there.
        white: the value that is white where samples have more than 8 bits (4095 for 12 bits stored in 16); None takes what the
            file states, else the greatest value of the type.

    Raises:
        BrokenImageError: missing, not decodable, truncated, of more than :data:`MAX_PIXELS` pixels or with a side longer than
            :data:`_MAX_SIDE`.
    """
    label = label_of(source, name)
    with _named_errors(label):
        return _rgb(_header(content_of(source), label), truncated, white)


def open_pixels(
    source: Source,
    *,
    name: str | None = None,
    max_pixels: int | None = None,
    truncated: Truncated = "refuse",
    white: float | None = None,
) -> UInt8[Tensor, "H W 3"]:
    """The picture of :func:`open_image` as a tensor.

    An upright colour JPEG is decoded without Pillow where simplejpeg is installed (the extra ``fast``): the same values, as
    both use libjpeg-turbo, in two thirds of the time. What simplejpeg refuses, Pillow decodes.

    Args:
        source, name, truncated, white: as for :func:`open_image`.
        max_pixels: larger pictures are refused; None takes :data:`MAX_PIXELS`.

    Raises:
        BrokenImageError: as :func:`open_image`.
    """
    label = label_of(source, name)
    with _named_errors(label):
        opened = _header(content_of(source), label, max_pixels)
        if simplejpeg and _upright_colour_jpeg(opened):
            try:
                return torch.from_numpy(simplejpeg.decode_jpeg(opened.container.content, "RGB"))
            except ValueError:  # damaged: Pillow decides what can be read of it
                pass
        return as_pixels(_rgb(opened, truncated, white))


def held(source: Source, *, name: str | None = None) -> Source:
    """The same picture in a form that can be opened again later: of an open file its content, else the source itself.

    Raises:
        BrokenImageError: the file cannot be read.
    """
    if not isinstance(source, Image.Image) and not callable(getattr(source, "read", None)):
        return source
    with _named_errors(label_of(source, name)):
        return content_of(source)


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
            picture = _header(content_of(source), "picture").picture
            return picture.width * picture.height
    except BrokenImageError:
        return 0


def as_pixels(picture: Image.Image) -> UInt8[Tensor, "H W 3"]:
    """A copy of the values of an RGB picture."""
    return torch.from_numpy(np.array(picture))


def as_image(pixels: UInt8[Tensor, "H W 3"]) -> Image.Image:
    """An RGB picture of these values."""
    return Image.fromarray(pixels.numpy())


def _header(content: bytes | Image.Image, label: str, max_pixels: int | None = None) -> _Opened:
    """A picture that is not decoded yet, and not too large to be."""
    most = MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(content, bytes):
        container = unwrap(content)
        if container.directory is not None and camera_raw(container.directory):
            raise NotAPictureError(f"{label}: a camera's raw picture, which is not read; export it as JPEG or TIFF")
        try:
            picture = Image.open(io.BytesIO(container.content), formats=formats())
        except UnidentifiedImageError:
            raise NotAPictureError(f"{label}: {describe(content)}") from None
        repair(picture, container)
    else:
        picture, container = content, Container(b"")
    size = f"{picture.width} x {picture.height}"
    if picture.width * picture.height > most:
        raise BrokenImageError(f"{label}: {size} pixels, at most {most:,} are accepted; make it smaller")
    if max(picture.size) > _MAX_SIDE:
        raise BrokenImageError(f"{label}: {size} pixels, a side may have at most {_MAX_SIDE:,}; cut it into parts")
    return _Opened(picture, container, label)


def _upright_colour_jpeg(opened: _Opened) -> bool:
    picture, container = opened.picture, opened.container
    return picture.format == "JPEG" and picture.mode == "RGB" and container.orientation == 1


def _rgb(opened: _Opened, truncated: Truncated, white: float | None) -> Image.Image:
    tiles = getattr(opened.picture, "tile", None) if opened.picture.format == "GIF" else None
    frame = tiles[0][1] if tiles else None
    picture = decode(opened.picture, opened.container.content, truncated)
    orientation = _orientation(opened)
    picture = as_rgb(picture, opened.container, opened.label, white)
    if frame is not None and frame != (0, 0, *picture.size):  # the first frame leaves some of the canvas clear
        canvas = Image.new("RGB", picture.size, "white")
        canvas.paste(picture.crop(frame), frame)
        picture = canvas
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


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


@contextmanager
def _named_errors(label: str) -> Iterator[None]:
    """Turn any error of opening into one that names the picture: a decoder may raise anything on a damaged file."""
    try:
        yield
    except (BrokenImageError, DimPictureWarning):
        raise
    except UserError as error:
        raise BrokenImageError(f"{label}: {error}") from None
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
