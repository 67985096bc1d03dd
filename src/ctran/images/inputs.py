"""All that a picture can be given as: a path, a file's bytes, an open file, a Pillow image, an array, a tensor."""

import io
import os
import re
import stat
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageFile
from torch import Tensor

from ctran.errors import UserError
from ctran.images.formats import formats


@runtime_checkable
class Readable(Protocol):
    """An open file."""

    def read(self, size: int = ..., /) -> Any:
        """Its content from the current position."""


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | Image.Image | np.ndarray | Tensor
"""A path; the bytes of a picture's file, or that file opened in binary mode (read from its start); a Pillow image; an array of
``uint8``, 0 to 255, of shape H x W x 3 (RGB), H x W x 4 (with alpha) or H x W (grey); or a tensor like that, or of shape
3 x H x W, 4 x H x W or 1 x H x W, as torchvision has them."""

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/?/|data:", re.IGNORECASE)


LONGEST = 300
"""Characters of a name that errors repeat; of a longer one its start and its end."""


class SourceError(UserError):
    """Something that is not a picture, nor names one; the message lacks the picture's name."""


def label_of(source: object, name: str | None) -> str:
    """A picture's name in errors."""
    if name:
        return name
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        return text if len(text) <= LONGEST else f"{text[:60]} ... {text[-60:]}"
    named = getattr(source, "name", None) or getattr(source, "filename", None)
    return named if isinstance(named, str) else f"<{type(source).__name__}>" if _is_array(source) else "<image>"


def _is_array(source: object) -> bool:
    """Whether the pixels themselves are given."""
    return isinstance(source, np.ndarray | Tensor)


def content_of(source: object) -> bytes | Image.Image:
    """The file of a picture where there is one, else a Pillow image.

    Raises:
        SourceError: an address, an array of another type or shape, or something else altogether.
        OSError: the file cannot be read.
    """
    if isinstance(source, Image.Image):
        content = _file_of(source)
        return source if content is None else content
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str) and ADDRESS.match(source):
        raise SourceError("this is an address: download the file, and give its path or its bytes")
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            if stat.S_ISCHR(os.fstat(file.fileno()).st_mode):  # /dev/zero has no end
                raise SourceError("a device, not a file")
            return file.read()
    if isinstance(source, np.ndarray):
        return _of_array(source, "array")
    if isinstance(source, Tensor):
        return _of_array(_channels_last(source.detach().cpu().numpy()), "tensor")
    if callable(getattr(source, "read", None)):
        return _read(source)
    more = "; several pictures go to predict_all" if isinstance(source, list | tuple) else ""
    expected = "a path, the bytes of a file, an open file, a Pillow image, an array or a tensor"
    raise SourceError(f"expected {expected}, got {type(source).__name__}{more}")


def _read(file: object) -> bytes:
    """All of an open file, from its start where it can go back to that."""
    if hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable()):  # pyright: ignore
        file.seek(0)  # pyright: ignore[reportAttributeAccessIssue]
    content = file.read()  # pyright: ignore[reportAttributeAccessIssue]
    if not isinstance(content, bytes):
        raise SourceError('the file is open as text; open it with mode "rb"')
    return content


def _file_of(picture: Image.Image) -> bytes | None:
    """The file of a Pillow image that is opened and not decoded yet, so that it is read as any other file.

    None if it is decoded or a later frame of an animation, and where the file is not available.
    """
    if not isinstance(picture, ImageFile.ImageFile) or not picture.tile or picture.tell() or picture.fp is None:
        return None
    try:
        file, place = picture.fp, picture.fp.tell()
        file.seek(0)
        content = file.read()
        file.seek(place)
        with Image.open(io.BytesIO(content), formats=formats()) as copied:
            return content if (copied.size, copied.mode) == (picture.size, picture.mode) else None  # else a draft of it
    except Exception:  # closed, or of a format that only the caller opens: then the picture itself is used
        return None


def _channels_last(values: np.ndarray) -> np.ndarray:
    """H x W x C of a tensor, whichever axis its channels are.

    Raises:
        SourceError: the channel axis is ambiguous.
    """
    if values.ndim != 3 or values.shape[0] not in (1, 3, 4):
        return values
    if values.shape[2] in (3, 4):
        raise SourceError(
            f"a tensor of shape {values.shape} may be C x H x W or H x W x C; give a NumPy array, which is H x W x C"
        )
    return values.transpose(1, 2, 0)


def _of_array(values: np.ndarray, kind: str) -> Image.Image:
    """A picture of these pixels.

    Raises:
        SourceError: of another type or shape than :data:`Source` allows.
    """
    if values.dtype != np.uint8:
        hint = "; values from 0 to 1: (255 * x).round() as uint8" if values.dtype.kind == "f" else ""
        raise SourceError(f"expected {kind} values of type uint8, from 0 to 255, got {values.dtype}{hint}")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    shape = " x ".join(map(str, values.shape))
    if not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))):
        hint = "; move the channels last" if values.ndim == 3 and values.shape[0] in (1, 3, 4) else ""
        hint = "; several pictures go to predict_all" if values.ndim == 4 else hint
        raise SourceError(
            f"expected {kind} of shape H x W x 3, H x W x 4 or H x W, got {' x '.join(map(str, values.shape))}{hint}"
        )
    if 0 in values.shape:
        raise SourceError(f"the {kind} is empty: shape {shape}")
    return Image.fromarray(np.ascontiguousarray(values))
