"""Open an image safely; turn it into the tensor that a network expects."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms import v2

MAX_PIXELS = 100_000_000
"""Pictures with more pixels are refused before they are decoded (decompression bombs)."""

Fit = Literal["pad", "squash", "crop", "cut"]
"""How a picture becomes square; see :class:`Preprocessing`."""

Resample = Literal["bicubic", "bilinear"]
METHODS = {
    "bicubic": (Image.Resampling.BICUBIC, v2.InterpolationMode.BICUBIC),
    "bilinear": (Image.Resampling.BILINEAR, v2.InterpolationMode.BILINEAR),
}
"""Pillow's and torchvision's name of each."""

Augmentation = Literal["none", "flip", "crop", "clipart", "ctran576", "asl448", "cub299"]
"""Named training augmentations; see :func:`augmentation`."""


class BrokenImageError(ValueError):
    """A file that is missing, no picture, truncated or too large; the message names it and says which."""


def open_image(source: Path | str | bytes | Image.Image, *, name: str | None = None) -> Image.Image:
    """Decode a picture to RGB: EXIF rotation applied, transparency laid on white, grey of more than 8 bits scaled to 8.

    Args:
        source: a path, encoded bytes, or a Pillow image.
        name: what errors call it; the path by default.

    Raises:
        BrokenImageError: missing, not decodable, truncated, or of more than :data:`MAX_PIXELS` pixels.
    """
    label = name or ("<image>" if isinstance(source, bytes | Image.Image) else str(source))
    try:
        if isinstance(source, Image.Image):
            picture = source
        else:
            picture = Image.open(io.BytesIO(source if isinstance(source, bytes) else Path(source).read_bytes()))
        if picture.width * picture.height > MAX_PIXELS:
            size = f"{picture.width} x {picture.height}"
            raise BrokenImageError(f"{label}: {size} pixels, at most {MAX_PIXELS:,} are accepted; make it smaller")
        picture = _eight_bits(ImageOps.exif_transpose(picture), label)
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            rgba = picture.convert("RGBA")
            white = Image.new("RGBA", rgba.size, "white")
            white.alpha_composite(rgba)
            picture = white
        return picture.convert("RGB")
    except IsADirectoryError:
        raise BrokenImageError(f"{label} is a folder; name the pictures in it") from None
    except FileNotFoundError:
        raise BrokenImageError(f"{label}: no such file") from None
    except Image.DecompressionBombError:
        raise BrokenImageError(f"{label}: too many pixels, at most {MAX_PIXELS:,} are accepted") from None
    except UnidentifiedImageError:
        raise BrokenImageError(f"{label}: not a picture that Pillow can read") from None
    except (OSError, SyntaxError, ValueError, RuntimeError) as error:  # whatever Pillow's decoders raise
        if isinstance(error, BrokenImageError):
            raise
        raise BrokenImageError(f"{label}: broken picture ({error})") from None


def _eight_bits(picture: Image.Image, label: str) -> Image.Image:
    """Grey of 16 bits, or of real numbers between 0 and 1, as grey of 8 bits; Pillow itself would clip it."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.asarray(picture, dtype=np.float64)
    top = 1.0 if picture.mode.startswith("F") else 65535.0
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > top:
        raise BrokenImageError(f"{label}: grey values from {values.min():g} to {values.max():g}, expected 0 to {top:g}")
    return Image.fromarray((values * (255 / top)).round().astype(np.uint8))


def _middle(picture: Image.Image, size: int) -> Image.Image:
    """The middle square of a picture; black where it is smaller."""
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return picture.crop((left, top, left + size, top + size))


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a picture before the backbone; stored with the model.

    Args:
        size: side of the square input, in pixels.
        fit: ``pad`` keeps the shape and fills with white, ``squash`` resizes both sides, ``crop`` resizes the short side and
            cuts the middle, ``cut`` takes the middle without resizing (black beyond the picture's edge).
        mean, std: of the backbone's training, for values in 0 to 1.
        centre: share of the fitted square's side that is kept, cut from its middle: the picture is fitted to ``size / centre``
            first. The paper's test transform is ``squash`` with 0.9, 640 px to 576.
        resample: how a picture is resized, in training too. The released code's is ``bilinear``.
    """

    size: int = 224
    fit: Fit = "pad"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    centre: float = 1.0
    resample: Resample = "bicubic"

    def square(self, picture: Image.Image) -> Image.Image:
        """The picture as a ``size x size`` square."""
        if self.fit == "cut":
            return _middle(picture, self.size)
        whole, method = round(self.size / self.centre), METHODS[self.resample][0]
        if self.fit == "pad":
            fitted = ImageOps.pad(picture, (whole, whole), method, color="white")
        elif self.fit == "crop":
            fitted = ImageOps.fit(picture, (whole, whole), method)
        else:
            fitted = picture.resize((whole, whole), method)
        return _middle(fitted, self.size)

    def tensor(self, square: Image.Image) -> Float[Tensor, "3 H W"]:
        """Normalised values."""
        image = v2.functional.to_dtype(v2.functional.to_image(square), torch.float32, scale=True)
        return v2.functional.normalize(image, list(self.mean), list(self.std))

    def __call__(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        """The test transform: nothing random."""
        return self.tensor(self.square(picture))


def augmentation(name: Augmentation, preprocessing: Preprocessing) -> v2.Transform:
    """The random part of training, picture to square picture. Draws from torch's global generator.

    ``none``; ``flip`` mirrors; ``crop`` is a random crop of 50 to 100 % and a mirror; ``clipart`` adds small turns, shifts,
    scales (on white) and colour changes. Published ones: ``ctran576``, the released code's: squash to 640 / 576 of the size, a
    random square crop of one of five sizes, mirror; ``asl448``: squash, a square of one colour over up to a quarter of the
    picture, RandAugment, no mirror (Ridnik et al., ICCV 2021); ``cub299``: brightness and saturation, a random crop of 8 to
    100 %, mirror (Koh et al., ICML 2020).
    """
    size, method = preprocessing.size, METHODS[preprocessing.resample][1]
    square = v2.Lambda(preprocessing.square)
    flip = v2.RandomHorizontalFlip()
    if name == "none":
        return square
    if name == "flip":
        return v2.Compose([square, flip])
    if name == "crop":
        return v2.Compose([square, v2.RandomResizedCrop(size, scale=(0.5, 1.0), ratio=(0.8, 1.25)), flip])
    if name == "clipart":
        move = v2.RandomAffine((-15.0, 15.0), translate=(0.1, 0.1), scale=(0.7, 1.1), fill=255)
        crop = v2.RandomResizedCrop(size, scale=(0.5, 1.0), ratio=(0.8, 1.25))
        return v2.Compose([square, move, crop, flip, v2.ColorJitter(0.2, 0.2, 0.2, 0.03)])
    if name == "ctran576":
        whole = round(size * 640 / 576)
        crops = [v2.RandomCrop(round(whole * side / 640)) for side in (640, 576, 512, 384, 320)]
        resizes = [v2.Resize((side, side), method) for side in (whole, size)]
        return v2.Compose([resizes[0], v2.RandomChoice(crops), resizes[1], flip])
    if name == "asl448":
        return v2.Compose([v2.Resize((size, size), method), v2.Lambda(cutout), v2.RandAugment()])
    if name == "cub299":
        jitter = v2.ColorJitter(brightness=32 / 255, saturation=(0.5, 1.5))
        return v2.Compose([jitter, v2.RandomResizedCrop(size, interpolation=method), flip])
    raise ValueError(f"unknown augmentation {name!r}, expected one of {', '.join(get_args(Augmentation))}")


def cutout(picture: Image.Image) -> Image.Image:
    """A square of half the picture's side and of one random colour, its middle anywhere, cut off at the edges.

    Source: DeVries and Taylor (2017), in the form that Ridnik et al. (ICCV 2021) train with.
    """
    half = min(picture.size) // 4
    x, y = (int(torch.randint(length, ())) for length in picture.size)
    red, green, blue = torch.randint(256, (3,)).tolist()
    changed = picture.copy()
    changed.paste((red, green, blue), (max(0, x - half), max(0, y - half), x + half, y + half))
    return changed
