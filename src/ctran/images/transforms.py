"""Turn a picture into the tensor that a network expects; named training augmentations."""

from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ctran.errors import UserError
from ctran.images.reading import BrokenImageError, as_image, as_pixels, open_image, open_pixels

__all__ = ["Augmentation", "BrokenImageError", "Fit", "Preprocessing", "Resample", "Resizer"]
__all__ += ["augmentation", "cutout", "open_image", "open_pixels"]

Fit = Literal["pad", "squash", "crop", "cut"]
"""How a picture becomes square; see :class:`Preprocessing`."""

Resample = Literal["bicubic", "bilinear"]
METHODS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
"""Pillow's constant for each."""

Resizer = Literal["pillow", "torch"]
"""Whose code resizes; see :class:`Preprocessing`."""

Augmentation = Literal["none", "flip", "crop", "clipart", "ctran576", "asl448", "cub299"]
"""Named training augmentations; see :func:`augmentation`."""

RESIZING = {"ctran576": ("resample", "resizer"), "asl448": ("resample", "resizer"), "cub299": ("resample",)}
"""Options of :class:`Preprocessing` that an augmentation uses by itself, whatever ``fit`` is."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge, in pixels."""


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
        resizer: whose code resizes. ``torch`` is two to seven times as fast as ``pillow``; it rounds its weights to 16 bits, so
            values of 0 to 255 may differ by 1 (``docs/performance.md``; by more where white noise is enlarged in one direction
            and reduced in the other), and ``crop`` cuts at whole pixels. Random crops are Pillow's with either.
    """

    size: int = 224
    fit: Fit = "pad"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    centre: float = 1.0
    resample: Resample = "bicubic"
    resizer: Resizer = "pillow"

    def pixels(self, picture: UInt8[Tensor, "H W 3"]) -> UInt8[Tensor, "S S 3"]:
        """The picture as a ``size x size`` square."""
        if self.fit == "cut":
            return _middle(picture, self.size)
        height, width = picture.shape[:2]
        whole = round(self.size / self.centre)
        if self.fit == "crop":
            side = min(height, width)
            left, top = (width - side) / 2, (height - side) / 2
            fitted = self.resized(picture, whole, whole, (left, top, left + side, top + side))
        elif self.fit == "pad":
            long = max(height, width)
            high, wide = (whole if side == long else max(1, round(side / long * whole)) for side in (height, width))
            top, left = (-round((whole - side) / 2) for side in (high, wide))
            fitted = _window(self.resized(picture, high, wide), whole, top, left, fill=255)
        else:
            fitted = self.resized(picture, whole, whole)
        return _middle(fitted, self.size)

    def resized(
        self, picture: UInt8[Tensor, "H W 3"], height: int, width: int, box: Box | None = None
    ) -> UInt8[Tensor, "h w 3"]:
        """The picture, or the part of it within ``box``, at another size; antialiased."""
        if self.resizer == "pillow":
            return as_pixels(as_image(picture).resize((width, height), METHODS[self.resample], box))
        if box is not None:
            left, top, right, bottom = (int(edge) for edge in box)
            picture = picture[top:bottom, left:right].contiguous()
        batch = picture[None].permute(0, 3, 1, 2)  # permuted after indexing: torch sees channels last, and keeps it
        return interpolate(batch, (height, width), mode=self.resample, antialias=True).permute(0, 2, 3, 1)[0]

    def normalise(self, pixels: UInt8[Tensor, "*B H W 3"]) -> Float[Tensor, "*B 3 H W"]:
        """Normalised input of a network from ``uint8`` squares; channels last in memory.

        Runs on the pixels' device. On a CPU each picture stays in the processor's cache between the steps.
        """
        height, width = pixels.shape[-3:-1]
        values = torch.empty(pixels.shape, device=pixels.device)
        mean, std = (torch.tensor(x, device=pixels.device).repeat(width) for x in (self.mean, self.std))
        rows = (-1, height, 3 * width)  # vectorised: mean and std are as long as a row
        for square, out in zip(pixels.reshape(rows), values.view(rows), strict=True):
            out.copy_(square).mul_(1 / 255).sub_(mean).div_(std)
        return values.movedim(-1, -3)

    def square(self, picture: Image.Image) -> Image.Image:
        """:meth:`pixels` of an RGB picture, as a picture."""
        return as_image(self.pixels(as_pixels(picture)))

    def tensor(self, square: Image.Image) -> Float[Tensor, "3 H W"]:
        """Normalised values."""
        return self.normalise(as_pixels(square))

    def __call__(self, picture: Image.Image | UInt8[Tensor, "H W 3"]) -> Float[Tensor, "3 S S"]:
        """The test transform: nothing random."""
        return self.normalise(self.pixels(as_pixels(picture) if isinstance(picture, Image.Image) else picture))


def _middle(picture: UInt8[Tensor, "H W 3"], size: int) -> UInt8[Tensor, "S S 3"]:
    """The middle square of a picture; black where it is smaller."""
    height, width = picture.shape[:2]
    return _window(picture, size, (height - size) // 2, (width - size) // 2, fill=0)


def _window(picture: UInt8[Tensor, "H W 3"], size: int, top: int, left: int, fill: int) -> UInt8[Tensor, "S S 3"]:
    """A square of a picture, which may reach beyond its edges: ``fill`` there."""
    inside = picture[max(0, top) : top + size, max(0, left) : left + size]
    if inside.shape[:2] == (size, size):
        return inside
    square = picture.new_full((size, size, 3), fill)
    y, x = max(0, -top), max(0, -left)
    square[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return square


def augmentation(name: Augmentation, preprocessing: Preprocessing) -> nn.Module:
    """The random part of training, picture to square picture. Draws from torch's global generator.

    ``none``; ``flip`` mirrors; ``crop`` is a random crop of 50 to 100 % and a mirror; ``clipart`` adds small turns, shifts,
    scales (on white) and colour changes. Published ones: ``ctran576``, the released code's: squash to 640 / 576 of the size, a
    random square crop of one of five sizes, mirror; ``asl448``: squash, a square of one colour over up to a quarter of the
    picture, RandAugment, no mirror (Ridnik et al., ICCV 2021); ``cub299``: brightness and saturation, a random crop of 8 to
    100 %, mirror (Koh et al., ICML 2020).
    """
    from torchvision.transforms import v2  # imports PyTorch's compiler, which takes a second and no prediction needs

    size, method = preprocessing.size, v2.InterpolationMode(preprocessing.resample)
    squash = v2.Lambda(partial(_squashed, side=size, preprocessing=preprocessing))
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
        first = v2.Lambda(partial(_squashed, side=whole, preprocessing=preprocessing))
        return v2.Compose([first, v2.RandomChoice(crops), squash, flip])
    if name == "asl448":
        return v2.Compose([squash, v2.Lambda(cutout), v2.RandAugment()])
    if name == "cub299":
        jitter = v2.ColorJitter(brightness=32 / 255, saturation=(0.5, 1.5))
        return v2.Compose([jitter, v2.RandomResizedCrop(size, interpolation=method), flip])
    raise UserError(f"unknown augmentation {name!r}, expected one of {', '.join(get_args(Augmentation))}")


def _squashed(picture: Image.Image, side: int, preprocessing: Preprocessing) -> Image.Image:
    return as_image(preprocessing.resized(as_pixels(picture), side, side))


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
