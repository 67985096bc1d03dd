"""Image tokens Z from any timm network (paper, Sec. 3.1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.errors import UserError, nearest
from ctran.model.networks import timm
from ctran.model.pieces import check_pieces, piece


@dataclass(frozen=True)
class Features:
    """Image features of a batch, from ``encode_images``; they depend on the images alone, so they can be cached.

    Args:
        tokens: image tokens, row by row over the grid.
        grid: ``(h, w)`` with ``h * w = P``.
        image_cache: tensors of ``B`` entries each that :meth:`ctran.model.Method.prepare` computes once for
            several calls of ``predict_labels``. None without one.
        maps: outputs of inner modules of the backbone by name, ``[B, c, h', w']``; those requested from :class:`Backbone`.
    """

    tokens: Float[Tensor, "B P C"]
    grid: tuple[int, int]
    image_cache: Mapping[str, Tensor] | None = None
    maps: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, images: slice | Int[Tensor, "..."]) -> "Features":
        """Features of some of the images."""
        return self.each(lambda tensor: tensor[images])

    def each(self, change: Callable[[Tensor], Tensor]) -> "Features":
        """The features with every tensor changed: moved to a device, copied, indexed."""
        image_cache, maps = (
            None if named is None else {name: change(tensor) for name, tensor in named.items()}
            for named in (self.image_cache, self.maps)
        )
        return Features(change(self.tokens), self.grid, image_cache, maps)

    @classmethod
    def join(cls, parts: "Sequence[Features]") -> "Features":
        """Concatenate batches of one grid, all with an image cache or none."""
        if len(parts) == 1:
            return parts[0]
        image_cache, maps = _joined([part.image_cache for part in parts]), _joined([part.maps for part in parts])
        return cls(torch.cat([part.tokens for part in parts]), parts[0].grid, image_cache, maps)

    def copy(self) -> "Features":
        """A copy that shares no storage."""
        return self.each(torch.clone)

    @property
    def arrays(self) -> dict[str, Tensor]:
        """All tensors by name: ``tokens``, ``maps.NAME`` and, of an image cache, ``image_cache.NAME``."""
        named = {"maps": self.maps or {}, "image_cache": self.image_cache or {}}
        return {"tokens": self.tokens} | {f"{kind}.{name}": t for kind, part in named.items() for name, t in part.items()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Tensor], grid: tuple[int, int]) -> "Features":
        """The reverse of :attr:`arrays`."""
        image_cache, maps = (
            {name.removeprefix(f"{kind}."): t for name, t in arrays.items() if name.startswith(f"{kind}.")} or None
            for kind in ("image_cache", "maps")
        )
        return cls(arrays["tokens"], grid, image_cache, maps)

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(tensor.nbytes for tensor in self.arrays.values())

    def rows_each(self, states: Int[Tensor, "R L"]) -> int | torch.SymInt:
        """Rows of states for each image, ``R / B`` (a symbol in an exported graph).

        Raises:
            ValueError: the images do not divide the rows.
        """
        rows, images = states.shape[0], self.tokens.shape[0]  # not len(): it would freeze the sizes of an exported graph
        if rows % images:
            raise ValueError(f"states must have the same number of rows for each of {images} images, got {rows} rows")
        return rows // images


_TRIED_SIDE = 128
"""Side of the image used to test cutting a network, in pixels; some networks need about this size."""


def _joined(parts: Sequence[Mapping[str, Tensor] | None]) -> dict[str, Tensor] | None:
    """Concatenate the named tensors of several batches."""
    present = [part for part in parts if part is not None]
    return {name: torch.cat([part[name] for part in present]) for name in present[0]} if present else None


def _grid_of(tokens: int) -> tuple[int, int]:
    """The grid of a sequence of image tokens: square if their number is a square, otherwise one row."""
    side = round(tokens**0.5)
    return (side, side) if side * side == tokens else (1, tokens)


class Backbone(nn.Module):
    """A timm network without its classifier: ``[B, 3, H, W] -> Features``.

    Args:
        name: any name of ``timm.list_models()`` whose output is a feature map or a sequence of patch tokens.
        image_size: side of the images, for networks that are built for one size (vision transformers); others take any.
        maps: modules of the network whose outputs :attr:`Features.maps` holds, in the order in which they run: by name (such as
            ``layer3`` of a ResNet), or by the stride of their map in pixels (16), which :meth:`stage` translates to a name.
            Their names are in :attr:`maps`, their channels in :attr:`map_channels`.

    Built without weights; :func:`ctran.model.pretrained.load_weights` fills them in.

    Raises:
        ValueError: no such network or module, or a network that cannot be cut there; in :meth:`forward`, one without image
            tokens.
    """

    def __init__(self, name: str, image_size: int | None = None, *, maps: Sequence[str | int] = ()) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise UserError(f"timm has no network {name!r}{nearest(name, timm.list_models())}")
        self.name = name
        built_for = timm.get_pretrained_cfg(name)
        fixed = image_size is not None and built_for is not None and built_for.fixed_input_size
        self.built_with: dict[str, Any] = {"img_size": image_size} if fixed else {}
        self.network: Any = timm.create_model(name, pretrained=False, num_classes=0, **self.built_with)
        self.channels: int = self.network.num_features
        self.appended = 0  # of these, channels that a subclass appends to the network's
        cfg: dict[str, Any] = self.network.pretrained_cfg
        self.mean: tuple[float, float, float] = tuple(cfg["mean"])
        self.std: tuple[float, float, float] = tuple(cfg["std"])
        self.maps = tuple(self.stage(at) if isinstance(at, int) else at for at in maps)
        self.stops = self.maps  # where the network is cut; a subclass may use the maps by itself and give none
        side = self.built_with.get("img_size", _TRIED_SIDE)
        self.map_channels = check_pieces(self.network, self.maps, side, name) if maps else {}

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Features:
        """Image tokens, in the dtype of the weights, and the requested maps."""
        return self._rest(images.to(next(self.parameters()).dtype), None)

    def resume(self, name: str, values: Float[Tensor, "B c h w"]) -> Features:
        """Features computed from given values of the inner map ``name`` (one of :attr:`maps`), by the modules after it."""
        if name not in self.maps:
            raise ValueError(f"backbone {self.name} was built to resume from {', '.join(self.maps) or 'no map'}, got {name!r}")
        return self._rest(values, name)

    def stage(self, stride: int) -> str:
        """Name of the module whose output has this stride, such as ``layer3`` of a ResNet for 16.

        Raises:
            UserError: the network has no map of that stride.
        """
        stages = {info["reduction"]: info["module"] for info in getattr(self.network, "feature_info", [])}
        if stride not in stages:
            raise UserError(f"backbone {self.name} has no map of stride {stride} (there are: {sorted(stages)})")
        return str(stages[stride])

    def _rest(self, values: Tensor, after: str | None) -> Features:
        """Run all modules after ``after`` (None: all), piece by piece, and keep the maps at :attr:`stops`."""
        given = {} if after is None else {after: values}
        names = self.stops if after is None else self.stops[self.stops.index(after) + 1 :]
        for name in names:
            values = given[name] = piece(self.network, after, name).forward_features(values)
            after = name
        found = self._tokens(piece(self.network, after, None).forward_features(values))
        return replace(found, maps=given) if given else found

    def _tokens(self, maps: Any) -> Features:
        """The network's output as image tokens."""
        channels = self.channels - self.appended
        if not isinstance(maps, Tensor) or channels not in maps.shape[1:]:
            raise UserError(f"backbone {self.name} gives no single map or row of {channels}-channel tokens; choose another")
        if maps.ndim == 3:  # patch tokens, after class and register tokens
            tokens = maps[:, getattr(self.network, "num_prefix_tokens", 0) :]
            return Features(tokens, _grid_of(tokens.shape[1]))
        if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
            maps = maps.permute(0, 3, 1, 2)
        return Features(maps.flatten(2).transpose(1, 2), (maps.shape[2], maps.shape[3]))
