"""Image tokens Z from any timm network (paper, Sec. 3.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.errors import UserError, nearest
from ctran.model.networks import timm


@dataclass(frozen=True)
class Features:
    """What the slow half of a model knows of a batch of images; depends on the images alone, so it can be cached.

    Args:
        tokens: image tokens, row by row over the grid.
        grid: ``(h, w)`` with ``h * w = P``.
        memory: what a method has made of the images so as not to make it again for each question
            (:meth:`ctran.model.Method.prepare`): tensors of ``B`` entries each. None where it has not.
    """

    tokens: Float[Tensor, "B P C"]
    grid: tuple[int, int]
    memory: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, images: slice | Int[Tensor, "..."]) -> "Features":
        """Those of some of the images."""
        memory = None if self.memory is None else {name: tensor[images] for name, tensor in self.memory.items()}
        return Features(self.tokens[images], self.grid, memory)

    @classmethod
    def join(cls, parts: "Sequence[Features]") -> "Features":
        """Those of several batches as one; of one grid, prepared all or none."""
        if len(parts) == 1:
            return parts[0]
        memories = [part.memory for part in parts if part.memory is not None]
        memory = {name: torch.cat([m[name] for m in memories]) for name in memories[0]} if memories else None
        return cls(torch.cat([part.tokens for part in parts]), parts[0].grid, memory)

    def copy(self) -> "Features":
        """The same in memory of its own."""
        memory = None if self.memory is None else {name: tensor.clone() for name, tensor in self.memory.items()}
        return Features(self.tokens.clone(), self.grid, memory)

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        return self.tokens.nbytes + sum(tensor.nbytes for tensor in (self.memory or {}).values())

    def rows_each(self, states: Int[Tensor, "R L"]) -> int | torch.SymInt:
        """Rows of states for each image, ``R / B`` (a symbol in an exported graph).

        Raises:
            ValueError: the images do not divide the rows.
        """
        rows, images = states.shape[0], self.tokens.shape[0]  # not len(): it would freeze the sizes of an exported graph
        if rows % images:
            raise ValueError(f"states must have the same number of rows for each of {images} images, got {rows} rows")
        return rows // images


def grid_of(tokens: int) -> tuple[int, int]:
    """The grid of image tokens that a network gives as a row, from a square image; one row where they are not a square.

    The same for tokens from the network and for stored ones, of which nothing else is known.
    """
    side = round(tokens**0.5)
    return (side, side) if side * side == tokens else (1, tokens)


class Backbone(nn.Module):
    """A timm network without its classifier: ``[B, 3, H, W] -> Features``.

    Args:
        name: any name of ``timm.list_models()`` whose last stage is a map or a row of patch tokens.
        image_size: side of the images, for networks that are built for one size (vision transformers); others take any.

    Built without weights; :func:`ctran.model.pretrained.load_weights` fills them in.

    Raises:
        ValueError: no such network; in :meth:`forward`, one without image tokens.
    """

    def __init__(self, name: str, image_size: int | None = None) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise UserError(f"timm has no network {name!r}{nearest(name, timm.list_models())}")
        self.name = name
        built_for = timm.get_pretrained_cfg(name)
        fixed = image_size is not None and built_for is not None and built_for.fixed_input_size
        self.built_with: dict[str, Any] = {"img_size": image_size} if fixed else {}
        self.network: Any = timm.create_model(name, pretrained=False, num_classes=0, **self.built_with)
        self.channels: int = self.network.num_features
        cfg: dict[str, Any] = self.network.pretrained_cfg
        self.mean: tuple[float, float, float] = tuple(cfg["mean"])
        self.std: tuple[float, float, float] = tuple(cfg["std"])

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Features:
        """Image tokens, in the precision of the weights."""
        maps = self.network.forward_features(images.to(next(self.parameters()).dtype))
        if not isinstance(maps, Tensor) or self.channels not in maps.shape[1:]:
            raise UserError(
                f"backbone {self.name} gives no single map or row of {self.channels}-channel tokens; choose another"
            )
        if maps.ndim == 3:  # patch tokens, after class and register tokens
            tokens = maps[:, getattr(self.network, "num_prefix_tokens", 0) :]
            return Features(tokens, grid_of(tokens.shape[1]))
        if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
            maps = maps.permute(0, 3, 1, 2)
        return Features(maps.flatten(2).transpose(1, 2), (maps.shape[2], maps.shape[3]))
