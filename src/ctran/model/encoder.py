"""Transformer encoder over image and label tokens (paper, Sec. 3.2): what all attention schemes share."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ctran.model.layer import EncoderLayer

__all__ = ["Encoder", "EncoderLayer", "Start", "StartTable"]


class Start(NamedTuple):
    """Label tokens after the first LayerNorm, with the first layer's projections: all that is computed per label."""

    tokens: Float[Tensor, "R L D"]
    queries: Float[Tensor, "R K L d"]
    keys: Float[Tensor, "R K L d"]
    values: Float[Tensor, "R K L d"]


class StartTable(nn.Module):
    """The precomputed :class:`Start` of every label in every state, for fixed weights.

    Args:
        start: one row per state, in the order of :class:`~ctran.labels.LabelState`.
    """

    def __init__(self, start: Start) -> None:
        super().__init__()
        for name, part in zip(Start._fields, start, strict=True):  # (3, L, ...)
            rows = part if name == "tokens" else part.transpose(1, 2)
            self.register_buffer(name, rows.contiguous(), persistent=False)

    def forward(self, states: Int[Tensor, "R L"]) -> Start:
        """The entries of these states."""
        num_labels = self.get_buffer("tokens").shape[1]
        if states.shape[1] != num_labels:
            raise ValueError(f"expected states of {num_labels} labels, got {states.shape[1]}")
        label = torch.arange(states.shape[1], device=states.device)
        tokens, *heads = (self.get_buffer(name)[states, label] for name in Start._fields)
        return Start(tokens, *(part.transpose(1, 2) for part in heads))


class Encoder(nn.Module):
    """One LayerNorm of each token, then ``num_layers`` layers (Eq. 2-4). Subclasses, one file each in
    :mod:`ctran.model.schemes`, define which token attends to which.

    Shapes: ``R`` rows of label tokens, ``B`` images (``R / B`` consecutive rows each), ``P`` image tokens, ``L`` labels,
    ``D`` token width, ``K`` heads of width ``d``.

    Args:
        layer: builds a layer from ``dim``, ``num_heads`` and ``dropout``.

    With :attr:`activation_checkpointing` the layers are computed again in the backward pass instead of stored: less memory,
    more time, same result.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.2.
    """

    tokens_at_once: ClassVar[int] = 4096
    """Tokens computed together if images have several rows; a larger number takes more memory and is not faster."""

    def __init__(
        self, *, dim: int, num_layers: int, num_heads: int, dropout: float, layer: Callable[..., EncoderLayer] = EncoderLayer
    ) -> None:
        super().__init__()
        self.num_heads, self.activation_checkpointing = num_heads, False
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(layer(dim=dim, num_heads=num_heads, dropout=dropout) for _ in range(num_layers))

    @property
    def stack(self) -> list[EncoderLayer]:
        """The layers, first to last."""
        return [cast(EncoderLayer, layer) for layer in self.layers]

    def start(self, labels: Float[Tensor, "R L D"]) -> Start:
        """LayerNorm and the first layer's projections of label tokens."""
        h = self.norm(labels.to(self.norm.weight.dtype))
        return Start(h, *self.stack[0].project(h))

    def cache_image(self, tokens: Float[Tensor, "B P D"]) -> dict[str, Tensor]:
        """Tensors that depend on the image tokens alone, for :meth:`forward`."""
        raise NotImplementedError

    def forward(
        self,
        start: Start,
        image: Mapping[str, Tensor] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> Float[Tensor, "R L D"]:
        """Updated label tokens.

        Args:
            start: from :meth:`start`.
            image: from :meth:`cache_image`; None for no images.
            bias: added to the attention scores towards each label token (0 in the paper).
            image_bias: added to the attention scores towards image tokens (0 in the paper).
        """
        raise NotImplementedError

    def attention(
        self,
        start: Start,
        tokens: Float[Tensor, "R P D"] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> list[Float[Tensor, "R K N N"]]:
        """Attention weights of every layer, first to last, over image tokens, then label tokens; each row sums to 1.

        Slower than :meth:`forward`, which uses the fused kernel.
        """
        raise NotImplementedError

    def first_tokens(
        self, start: Start, tokens: Float[Tensor, "R P D"] | None
    ) -> tuple[Float[Tensor, "R P D"], Float[Tensor, "R L D"]]:
        """Image tokens (``P = 0`` where ``tokens`` is None) and label tokens as the first layer takes them."""
        return start.tokens[:, :0] if tokens is None else self.norm(tokens), start.tokens

    def rows_at_once(self, places: int, labels: int) -> int:
        """Rows to compute together if images have several, for ``P`` image and ``L`` label tokens."""
        raise NotImplementedError

    def run(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """``step(*arguments)``; with activation checkpointing only the arguments are kept for the backward pass."""
        if self.activation_checkpointing and torch.is_grad_enabled():
            return checkpoint(step, *arguments, use_reentrant=False)
        return step(*arguments)
