"""One picture of a label set, before labels and splits are chosen; and how it is drawn."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from ctran.errors import UserError

SIDE = 224
"""Side of a picture in pixels."""


@dataclass
class Drawing:
    """One picture.

    Args:
        id: unique in its set; the name of its file, without ending.
        keywords: what its author wrote, normalised (:mod:`benchmarks.suite.keywords`).
        family: drawings of one family (variants of one base) are always in one split.
        picture: its bytes, and the ending of the file: called only when they are needed.
        unknown: keywords of which nobody states whether they apply.
        split: where its source already has splits; the near duplicates are then separated there.
    """

    id: str
    keywords: set[str]
    family: str
    picture: Callable[[], tuple[bytes, str]]
    unknown: frozenset[str] = field(default_factory=frozenset)
    split: str | None = None


def from_svg(svg: str) -> Callable[[], tuple[bytes, str]]:
    """Draws an SVG on white, its longer side ``SIDE``, in the middle of a square."""
    return lambda: (_png(_rendered(svg)), ".png")


def from_picture(content: bytes) -> Callable[[], tuple[bytes, str]]:
    """Lays a picture on white and makes it ``SIDE`` wide."""
    return lambda: (_png(Image.open(io.BytesIO(content))), ".png")


def as_it_is(content: bytes, ending: str) -> Callable[[], tuple[bytes, str]]:
    """A picture whose file is kept."""
    return lambda: (content, ending)


def _rendered(svg: str) -> Image.Image:
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise UserError("drawing SVG needs resvg-py; install it with: pip install 'ctran[suite]'") from None
    return Image.open(io.BytesIO(svg_to_bytes(svg_string=svg, width=SIDE, background="white", skip_system_fonts=True)))


def _png(image: Image.Image) -> bytes:
    rgba = image.convert("RGBA")
    rgba.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    flat = Image.new("RGBA", (SIDE, SIDE), "white")
    flat.alpha_composite(rgba, ((SIDE - rgba.width) // 2, (SIDE - rgba.height) // 2))
    out = io.BytesIO()
    flat.convert("RGB").save(out, "PNG")
    return out.getvalue()
