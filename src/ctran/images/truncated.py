"""Decode picture files that end early.

Pillow's own switch for this is global to the process, so it would change what other threads read; this applies to one picture.
"""

import io
from typing import Literal

import numpy as np
from PIL import Image

from ctran.images.containers import has_one_scan
from ctran.images.formats import formats

Truncated = Literal["refuse", "read"]
"""What happens to a file that ends early: an error, or what is there is read (grey or black where nothing is)."""

END = b"\xff\xd9"
_OTHER_ENDS = (b"\x55" * 64 + END, b"\xaa" * 64 + END)
"""Data that a JPEG could go on with: they change the picture if some of it is missing."""


def decode(picture: Image.Image, content: bytes, truncated: Truncated) -> Image.Image:
    """The picture with its pixels.

    Of a file that ends early, the part that is there is decoded if ``truncated`` is ``read`` (as with Pillow's
    LOAD_TRUNCATED_IMAGES) or if only the end marker of a JPEG is missing.

    Args:
        picture: as it was opened.
        content: its file; empty where it is not available.
        truncated: whether other files are read as far as they go.
    """
    try:
        picture.load()
        return picture
    except Exception:
        if picture.format in ("JPEG", "MPO") and content:
            content = content.rstrip(b"\xff")  # half of an end marker
            ended = _loaded(content + END)
            if truncated == "read" or _lacks_the_end_alone(content, ended):
                return ended
        elif truncated == "read" and getattr(picture, "_im", None) is not None:
            picture.tile = []  # pyright: ignore[reportAttributeAccessIssue]  (so that what is decoded counts as the whole)
            if np.asarray(picture.getextrema()).any():
                return picture
        raise


def _loaded(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content), formats=formats())
    picture.load()
    return picture


def _lacks_the_end_alone(content: bytes, ended: Image.Image) -> bool:
    """Whether a JPEG has all of its pixels: then it makes no difference what follows.

    False for several scans, as whole scans may be missing without a trace.
    """
    if ended.info.get("progressive") or not has_one_scan(content):
        return False
    return all(_loaded(content + end).tobytes() == ended.tobytes() for end in _OTHER_ENDS)
