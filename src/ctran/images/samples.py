"""What the samples of a picture mean: which value is white, what is transparent; as RGB of 8 bits.

Pillow decides most of it, except for deep samples (more than 8 bits), where it drops bits, clips, or forgets the transparent
colour, and for samples whose range only the file's tags give.
"""

import io
import warnings
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, UInt8, UInt16
from PIL import Image

from ctran.images.containers import Container
from ctran.images.jpeg2000 import Header, restore_white
from ctran.images.sample_format import Meaning, SampleError, meaning

BLOCK = 1_000_000
"""Pixels that are converted at once."""
_DEEP = 65_535
"""White in 16 bits."""
DIM = 4
"""Deep pictures whose values all lie below 1 / ``DIM`` of the range are warned of."""

_OTHER_BYTES = {f"{mode};16{a}": f"{mode};16{b}" for mode in ("RGB", "RGBA", "RGBX", "CMYK") for a, b in ("BL", "LB", "NB")}
"""Pillow's raw modes of 16-bit samples, of which it keeps the upper byte -> the mode that makes it keep the lower byte."""

_OPTION = "give it as --data.white, to ctran predict as --white, in Python as white="


class DimPictureWarning(UserWarning):
    """A deep picture that comes out nearly black, perhaps because its white is another value than its type's greatest."""


def as_rgb(picture: Image.Image, container: Container, label: str, white: float | None = None) -> Image.Image:
    """A decoded picture as RGB of 8 bits, what is transparent laid on white.

    Args:
        picture: decoded.
        container: its file.
        label: its name in warnings.
        white: the value that is white in grey or colours of more than 8 bits; None takes what the file states, else the
            greatest of the type (1 for real numbers).

    Raises:
        SampleError: the value of white is unknown, or there are values beyond it.
    """
    means = meaning(container, picture)
    if means.shifted is not None:
        picture = _with_white(picture, container, means.shifted, white)
    if white is not None:
        white *= means.scale
    clear = _clear_mask(picture, container, means)
    if picture.mode.startswith(("I", "F")) or means.signed:
        picture = _grey(picture, means, label, white)
    elif means.bits == 16:
        picture = _deep_colour(picture, container, means, label, white)
    if clear is not None:
        picture = picture.convert("RGB")
        picture.paste((255, 255, 255), mask=Image.fromarray(clear))
    elif picture.has_transparency_data:
        if picture.mode in ("La", "RGBa"):
            picture = picture.convert("LA" if picture.mode == "La" else "RGBA")
        rgba = picture.convert("RGBA")
        picture = Image.new("RGBA", rgba.size, "white")
        picture.alpha_composite(rgba)
    return picture.convert("RGB")


def _with_white(picture: Image.Image, container: Container, header: Header, white: float | None) -> Image.Image:
    """Colours of JPEG 2000 of more than 8 bits, of which Pillow holds 8, the greatest as 0."""
    greatest = (1 << max(header.depths)) - 1
    if white is not None and white != greatest:
        raise SampleError(f"the white of colours in JPEG 2000 is {greatest:,}, got {white:,.9g}; convert it to PNG of 16 bits")
    restored = restore_white(picture, container.content, header)
    if restored is None:
        raise SampleError("JPEG 2000 with colours of more than 8 bits, whose white may be read as black; convert it to PNG")
    return restored


def _clear_mask(picture: Image.Image, container: Container, means: Meaning) -> Bool[np.ndarray, "H W"] | None:
    """Where a picture has the one colour that is transparent, compared in all its bits; None where Pillow does that well."""
    held = picture.info.get("transparency")
    if means.clear:
        del picture.info["transparency"]
    if not means.clear and not (picture.mode.startswith("I;16") and isinstance(held, int)):
        return None
    colour = means.clear or (held,)
    values = np.asarray(picture)
    if values.dtype == bool:
        return values == bool(colour[0])
    if values.ndim == 2:
        return values == colour[0]
    if means.bits < 16:
        return (values == np.array(colour)).all(axis=2)
    return (values == np.array(colour) >> 8).all(axis=2) & (_lower(container) == np.array(colour) & 255).all(axis=2)


def _lower(container: Container) -> UInt8[np.ndarray, "H W C"]:
    """The lower halves of samples of 16 bits, of which Pillow keeps the upper ones."""
    with Image.open(io.BytesIO(container.content)) as picture:
        tiles = picture.tile  # pyright: ignore[reportAttributeAccessIssue]
        for i, tile in enumerate(tiles):
            raw, *others = (tile.args,) if isinstance(tile.args, str) else tile.args or ("",)
            if raw not in _OTHER_BYTES:
                raise SampleError(f"the range of samples of the kind {raw} cannot be changed; save it as RGB of 8 bits")
            args = _OTHER_BYTES[raw] if isinstance(tile.args, str) else (_OTHER_BYTES[raw], *others)
            tiles[i] = tile._replace(args=args)
        return np.asarray(picture)


def _deep_colour(picture: Image.Image, container: Container, means: Meaning, label: str, white: float | None) -> Image.Image:
    """Colours of 16 bits, of which Pillow holds the upper halves: as they are where white is 65,535."""
    upper = np.asarray(picture)
    alpha = picture.mode in ("RGBA", "LA")
    most = (int(upper[..., :-1].max() if alpha else upper.max()) << 8) + 255
    known = white or means.white
    if known is None and (not means.significant or most >= 1 << means.significant):
        _warn_if_dim(label, most if most > 255 else 0, _DEEP)
        return picture
    if known == _DEEP:
        return picture
    values = upper.astype(np.uint16) << 8 | _lower(container)
    colours = values[..., :-1] if alpha else values
    if known is None and (known := _unscaled(colours, means.significant)) is None:
        return picture
    _check_range(float(colours.min()), float(colours.max()), 0.0, known)
    return Image.fromarray(_scaled(values, 0.0, known, inverted=False), picture.mode)


def _unscaled(values: UInt16[np.ndarray, "..."], significant: int) -> float | None:
    """White of samples of fewer bits that were stored unscaled, which PNG does not allow but cameras do.

    Samples scaled to 16 bits, as PNG requires, have zeros below their significant bits where they are so dark.
    """
    below = (1 << (16 - significant)) - 1
    if not significant or int(values.max()) >= 1 << significant or not (values & below).any():
        return None
    return float((1 << significant) - 1)


def _grey(picture: Image.Image, means: Meaning, label: str, white: float | None) -> Image.Image:
    """Grey of more than 8 bits, with a sign, or of real numbers, as grey of 8 bits."""
    values = np.asarray(picture)
    if means.signed and values.dtype == np.uint8:
        values = values.view(np.int8)
    elif means.bits == 32 and not means.signed and values.dtype == np.int32:
        values = values.view(np.uint32)
    low, high = _extremes(values)
    known = white or means.white or (_unscaled(values, means.significant) if values.dtype == np.uint16 else None)
    black = 0.0 if white else means.black
    if known is None:
        if means.signed:
            values_are = f"samples with a sign, from {low:,.9g} to {high:,.9g}"
            raise SampleError(f"{values_are}, and the file does not state which value is white: {_OPTION}")
        if values.dtype == np.uint32 and high < (1 << 32) // DIM:
            values_are = f"samples of 32 bits up to {high:,.0f}"
            raise SampleError(f"{values_are}, and the file does not state which value is white: {_OPTION}")
        known = 1.0 if values.dtype.kind == "f" else float(_DEEP) if values.dtype != np.uint32 else float((1 << 32) - 1)
        _check_range(low, high, black, known)
        if known > 1 and not means.significant:
            _warn_if_dim(label, high, known)
    _check_range(low, high, black, known)
    return Image.fromarray(_scaled(values, black, known, inverted=means.inverted))


def _extremes(values: np.ndarray) -> tuple[float, float]:
    """Least and greatest value.

    Raises:
        SampleError: some are not finite.
    """
    if values.dtype.kind == "f" and (bad := sum(int((~np.isfinite(values[rows])).sum()) for rows in _blocks(values))):
        raise SampleError(f"{bad:,} of {values.size:,} values are NaN or infinite, expected numbers from 0 to 1")
    return float(values.min()), float(values.max())


def _check_range(low: float, high: float, black: float, white: float) -> None:
    if low < black or high > white:
        expected = f"expected {black:,.9g} to {white:,.9g}; another value of white: {_OPTION}"
        raise SampleError(f"grey values from {low:,.9g} to {high:,.9g}, {expected}")


def _warn_if_dim(label: str, high: float, white: float) -> None:
    if 0 < high < white / DIM:
        warnings.warn(
            f"{label}: no value above {high:,.0f} of {white:,.0f}, so it comes out dark; if another value is white "
            f"(4095 for cameras of 12 bits): {_OPTION}",
            DimPictureWarning,
            stacklevel=2,
        )


def _blocks(values: np.ndarray) -> Iterator[slice]:
    rows = max(1, BLOCK // max(1, int(np.prod(values.shape[1:]))))
    return (slice(start, start + rows) for start in range(0, len(values), rows))


def _scaled(values: np.ndarray, black: float, white: float, *, inverted: bool) -> UInt8[np.ndarray, "..."]:
    """0 for black to 255 for white, rounded; values above white, of alpha, are 255."""
    out = np.empty(values.shape, np.uint8)
    table = None
    if values.dtype == np.uint16:
        table = _levels(np.arange(_DEEP + 1), black, white, inverted=inverted)
    for rows in _blocks(values):
        out[rows] = _levels(values[rows], black, white, inverted=inverted) if table is None else table[values[rows]]
    return out


def _levels(values: np.ndarray, black: float, white: float, *, inverted: bool) -> UInt8[np.ndarray, "..."]:
    levels = ((values - black) * (255 / (white - black))).clip(0, 255).round().astype(np.uint8)
    return 255 - levels if inverted else levels
