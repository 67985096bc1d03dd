"""JPEG 2000 of more than 8 bits a colour: what Pillow reads as black although it is white.

Pillow shifts deep samples to 8 bits with rounding and keeps the lowest 8 bits of the result, so that the greatest samples
become 256, which is 0. What a 0 was shows when the same code stream is decoded with 8 bits in its header: nothing is shifted.
"""

import io
import re
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

START = b"\xff\x4f\xff\x51"
"""Start of a code stream, and its size marker."""
_IN_BOX = re.compile(rb"jp2c(?:.{8})?" + re.escape(START), re.DOTALL)
"""The same in the box of a JP2 file; a box of length 1 has its length in eight more bytes."""
_DEPTHS = 42
"""Where the depths of the components begin after the start, three bytes a component."""
YCBCR = {18, 24}
"""Enumerated colour spaces of a JP2 file that are converted to RGB after the samples were shifted."""
_MODES = ("L", "LA", "RGB", "RGBA", "CMYK")


@dataclass(frozen=True)
class Header:
    """Main header of a code stream.

    Args:
        start: where the code stream begins in the file.
        depths: bits of each component.
        converted: Pillow converts the samples from YCbCr after it has shifted them.
    """

    start: int
    depths: tuple[int, ...]
    converted: bool


def read_header(content: bytes) -> Header | None:
    """Header of a code stream, alone or in a JP2 file; None where there is none."""
    box = _IN_BOX.search(content)
    start = box.end() - len(START) if box and not content.startswith(START) else 0
    if not content.startswith(START, start) or len(content) < start + _DEPTHS:
        return None
    count = struct.unpack_from(">H", content, start + _DEPTHS - 2)[0]
    components = [content[at : at + 3] for at in range(start + _DEPTHS, start + _DEPTHS + 3 * count, 3)]
    if any(len(component) < 3 for component in components):
        return None
    colours = content.find(b"colr", 0, start)
    method, space = struct.unpack_from(">B2xI", content, colours + 4) if colours >= 0 else (0, 0)
    subsampled = any(across != 1 or down != 1 for _, across, down in components)
    depths = tuple((depth & 0x7F) + 1 for depth, _, _ in components)
    return Header(start, depths, subsampled or (method == 1 and space in YCBCR))


def restore_white(picture: Image.Image, content: bytes, header: Header) -> Image.Image | None:
    """The picture with 255 for the greatest samples, of which Pillow has made 0; None where that cannot be decided.

    The code stream is decoded again with a depth of 8 bits. Coefficients are differences from mid-grey: those of a lossy file
    scale with the depth, those of a lossless one do not and are clipped, so in both black stays 0 and white becomes 255.
    """
    values = np.asarray(picture)
    if values.all():
        return picture
    if header.converted or picture.mode not in _MODES:
        return None
    changed = bytearray(content)
    for number, depth in enumerate(header.depths):
        at = header.start + _DEPTHS + 3 * number
        changed[at] = changed[at] & 0x80 | min(depth, 8) - 1  # the upper bit: samples have a sign
    with Image.open(io.BytesIO(changed)) as again:
        shallow = np.asarray(again)
    if again.mode != picture.mode or shallow.shape != values.shape:
        return None
    return Image.fromarray(np.where((values == 0) & (shallow > 127), np.uint8(255), values), picture.mode)
