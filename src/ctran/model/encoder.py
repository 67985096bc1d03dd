"""Transformer encoder over image and label tokens (paper, Sec. 3.2)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ctran.errors import UserError
from ctran.model.attention import Attention, Source, spread, weights
from ctran.model.layer import EncoderLayer

__all__ = ["Encoder", "EncoderLayer", "Start", "StartTable"]


MOST_LATENTS = 65_536
"""More than there are labels in any data set: they are to be few."""


class Start(NamedTuple):
    """Label tokens after the first LayerNorm, and what the first layer projects them to: all that is done label by label."""

    tokens: Float[Tensor, "R L D"]
    queries: Float[Tensor, "R K L d"]
    keys: Float[Tensor, "R K L d"]
    values: Float[Tensor, "R K L d"]


class StartTable(nn.Module):
    """Starts of every label in every state: what label tokens begin with when no weight changes any more.

    Args:
        start: a row a state, in the order of :class:`~ctran.labels.LabelState`.
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
    """``num_layers`` encoder layers after one LayerNorm of each token.

    Shapes: ``R`` rows of label tokens, ``B`` images (each serves ``R / B`` rows in turn), ``P`` image tokens, ``L`` labels,
    ``D`` token width, ``K`` heads, ``M`` latents.

    Args:
        attention: ``full``, the paper's: each token attends to all; costs ``(P + L)^2``.
            ``image_first``: image tokens attend to image tokens only, label tokens to all, so that nothing of an image depends
            on the states. Equals ``full`` with the scores of image tokens towards label tokens masked.
            ``latent``: image tokens as in ``image_first``; label tokens attend to image tokens and to ``num_latents`` learned
            tokens, which attended to the labels before, in each layer (induced set attention); costs ``P^2 + L (P + 2 M)``.
        num_latents: ``M``.

    With :attr:`recompute` the layers are done again in the backward instead of being kept: less memory, more time, same result.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.2; ``latent``: Lee et al., Set Transformer, ICML 2019, Sec. 3.1, with the
    layer's own weights for both of its steps.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
        attention_dropout: bool = True,
        orthogonal: bool = False,
        attention: Attention = "full",
        num_latents: int = 64,
    ) -> None:
        super().__init__()
        if not 1 <= num_latents <= MOST_LATENTS:
            raise UserError(f"num_latents must lie between 1 and {MOST_LATENTS:,}, got {num_latents:,}")
        self.num_heads, self.scheme, self.recompute = num_heads, attention, False
        self.norm = nn.LayerNorm(dim)
        options = {"num_heads": num_heads, "attention_dropout": attention_dropout, "orthogonal": orthogonal}
        self.layers = nn.ModuleList(EncoderLayer(dim=dim, dropout=dropout, **options) for _ in range(num_layers))
        self.latents = nn.Parameter(torch.randn(num_latents, dim)) if attention == "latent" else None

    def remember(self, tokens: Float[Tensor, "B P D"]) -> dict[str, Tensor]:
        """All that the encoder makes of an image before it is told states.

        Under ``full`` the first layer's queries, keys and values of image tokens, and the normalised tokens; otherwise keys and
        values of every layer.
        """
        h = self.norm(tokens.to(self.norm.weight.dtype))
        if self.scheme == "full":
            q, k, v = self._layer(0).project(h)
            return {"tokens": h, "queries": q, "keys": k, "values": v}
        memory = dict[str, Tensor]()
        for number in range(len(self.layers)):
            layer = self._layer(number)
            k, v, h = self._run(self._look, layer, h, number + 1 < len(self.layers))
            memory[f"keys{number}"], memory[f"values{number}"] = k, v
        return memory

    def _look(self, layer: EncoderLayer, h: Float[Tensor, "B P D"], further: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values of image tokens, and the tokens themselves after a layer that is not the last."""
        k, v = layer.project(h, "kv")
        return k, v, layer.update(h, layer.attend(layer.project(h, "q")[0], [Source(k, v)])) if further else h

    def start(self, labels: Float[Tensor, "R L D"]) -> Start:
        """What comes first, label by label, from label tokens."""
        h = self.norm(labels.to(self.norm.weight.dtype))
        return Start(h, *self._layer(0).project(h))

    def forward(
        self,
        start: Start,
        memory: Mapping[str, Tensor] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> Float[Tensor, "R L D"]:
        """Updated label tokens.

        Args:
            start: of the label tokens.
            memory: what :meth:`remember` made of the images; None where there are none.
            bias: added to the scores towards each label token.
            image_bias: added to the scores towards image tokens.
        """
        if self.scheme == "full":
            return self._full(start, memory, bias, image_bias)
        h, latents = start.tokens, None
        if self.latents is not None:
            latents = self.norm(self.latents).expand(h.shape[0], -1, -1)
        for number in range(len(self.layers)):
            image = []
            if memory is not None:
                image.append(Source(memory[f"keys{number}"], memory[f"values{number}"], image_bias, shared=True))
            projected = start[1:] if number == 0 else None
            h, latents = self._run(self._answer, self._layer(number), h, latents, image, bias, projected)
        return h

    def _answer(
        self,
        layer: EncoderLayer,
        h: Float[Tensor, "R L D"],
        latents: Float[Tensor, "R M D"] | None,
        image: list[Source],
        bias: Tensor | float,
        projected: Sequence[Tensor] | None,
    ) -> tuple[Float[Tensor, "R L D"], Float[Tensor, "R M D"] | None]:
        """Label tokens, and latents where there are any, after one layer in which image tokens do not see them."""
        q, k, v = projected or layer.project(h)
        told = Source(k, v, bias)
        if latents is not None:
            latents = layer.update(latents, layer.attend(layer.project(latents, "q")[0], [told]))
            k, v = layer.project(latents, "kv")
            told = Source(k, v)
        return layer.update(h, layer.attend(q, [*image, told])), latents

    def _run(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """``step(*arguments)``; with ``recompute`` only its arguments are kept for the backward, where it is done again."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(step, *arguments, use_reentrant=False)
        return step(*arguments)

    def _full(
        self, start: Start, memory: Mapping[str, Tensor] | None, bias: Tensor | float, image_bias: float
    ) -> Float[Tensor, "R L D"]:
        """Image and label tokens in one sequence; the last layer updates label tokens only."""
        (h, *projected), places = start, 0
        rows, labels = h.shape[:2]
        if memory is not None:
            image = {name: spread(made, rows) for name, made in memory.items()}
            h = torch.cat([image["tokens"], h], dim=1)
            projected = [torch.cat([image[n], p], dim=2) for n, p in zip(Start._fields[1:], projected, strict=True)]
            places = h.shape[1] - labels
        if places and (image_bias or isinstance(bias, Tensor)):
            each = bias if isinstance(bias, Tensor) else h.new_full((rows, self.num_heads, 1, labels), bias)
            bias = F.pad(each, (places, 0), value=image_bias)
        for number in range(len(self.layers)):
            answered = places if number + 1 == len(self.layers) else 0
            begun = projected if number == 0 else None
            h = self._run(self._mix, self._layer(number), h, answered, bias, begun)
        return h

    def _mix(
        self,
        layer: EncoderLayer,
        h: Float[Tensor, "R N D"],
        first: int,
        bias: Tensor | float,
        projected: Sequence[Tensor] | None,
    ) -> Float[Tensor, "R Q D"]:
        """Tokens from ``first`` on, after one layer in which all see all."""
        if projected:
            q, k, v = projected
            q = q[:, :, first:]
        elif first:
            (q,), (k, v) = layer.project(h[:, first:], "q"), layer.project(h, "kv")
        else:
            q, k, v = layer.project(h)
        return layer.update(h[:, first:], layer.attend(q, [Source(k, v, bias)]))

    def _layer(self, number: int) -> EncoderLayer:
        layer = self.layers[number]
        assert isinstance(layer, EncoderLayer)
        return layer

    @torch.no_grad()
    def attention(
        self,
        start: Start,
        tokens: Float[Tensor, "R P D"] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> list[Float[Tensor, "R K N N"]]:
        """Attention maps of every layer, first to last, over image tokens, then label tokens; each row sums to 1.

        Costs what the fused kernel saves, so only on request. Under ``latent`` a label's weight towards another is the sum over
        the latents of its weight towards the latent and the latent's towards the other.
        """
        y = start.tokens
        x = y[:, :0] if tokens is None else self.norm(tokens)
        latents = None if self.latents is None else self.norm(self.latents).expand(len(y), -1, -1)
        maps = []
        for number in range(len(self.layers)):
            layer = self._layer(number)
            (qx, kx, vx), (q, k, v) = layer.project(x), layer.project(y)
            image, told = Source(kx, vx, image_bias), Source(k, v, bias)
            if self.scheme == "full":
                from_image, looked = weights(qx, [image, told]), layer.attend(qx, [image, told])
            else:
                from_image = F.pad(weights(qx, [image]), (0, y.shape[1]))
                looked = layer.attend(qx, [image]) if x.shape[1] else qx
            if latents is None:
                from_labels = weights(q, [image, told])
            else:
                towards_labels = weights(layer.project(latents, "q")[0], [told])
                latents = layer.update(latents, layer.attend(layer.project(latents, "q")[0], [told]))
                k, v = layer.project(latents, "kv")
                told = Source(k, v)
                both = weights(q, [image, told])
                from_labels = torch.cat([both[..., : x.shape[1]], both[..., x.shape[1] :] @ towards_labels], dim=3)
            maps.append(torch.cat([from_image, from_labels], dim=2))
            y = layer.update(y, layer.attend(q, [image, told]))
            x = layer.update(x, looked) if x.shape[1] else x
        return maps
