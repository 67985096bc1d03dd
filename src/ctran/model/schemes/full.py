"""Each token attends to all tokens: the paper's encoder (Sec. 3.2)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ctran.model.attention import Source, repeat_rows, weights
from ctran.model.encoder import Encoder, Start
from ctran.model.layer import EncoderLayer


class FullEncoder(Encoder):
    """Image and label tokens in one sequence; costs ``(P + L)^2``. The last layer updates label tokens only, as only these
    are classified.
    """

    def cache_image(self, tokens: Float[Tensor, "B P D"]) -> dict[str, Tensor]:
        """The normalised image tokens with the first layer's queries, keys and values; all later values depend on the labels'
        states."""
        h = self.norm(tokens.to(self.norm.weight.dtype))
        q, k, v = self.stack[0].project(h)
        return {"tokens": h, "queries": q, "keys": k, "values": v}

    def forward(
        self,
        start: Start,
        image: Mapping[str, Tensor] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> Float[Tensor, "R L D"]:
        (h, *projected), places = start, 0
        rows, labels = h.shape[:2]
        if image is not None:
            repeated = {name: repeat_rows(part, rows) for name, part in image.items()}
            h = torch.cat([repeated["tokens"], h], dim=1)  # (R, N, D)
            projected = [torch.cat([repeated[n], p], dim=2) for n, p in zip(Start._fields[1:], projected, strict=True)]
            places = h.shape[1] - labels
        if places and (image_bias or isinstance(bias, Tensor)):
            each = bias if isinstance(bias, Tensor) else h.new_full((rows, self.num_heads, 1, labels), bias)
            bias = F.pad(each, (places, 0), value=image_bias)
        for number, layer in enumerate(self.stack):
            last, first = number + 1 == len(self.layers), number == 0
            h = self.run(self._update, layer, h, places if last else 0, bias, projected if first else None)
        return h

    def _update(
        self,
        layer: EncoderLayer,
        h: Float[Tensor, "R N D"],
        first: int,
        bias: Tensor | float,
        projected: Sequence[Tensor] | None,
    ) -> Float[Tensor, "R Q D"]:
        """Tokens from ``first`` on after one layer.

        Args:
            projected: queries, keys and values of all tokens, if already computed.
        """
        if projected:
            q, k, v = projected
            q = q[:, :, first:]
        elif first:
            (q,), (k, v) = layer.project(h[:, first:], "q"), layer.project(h, "kv")
        else:
            q, k, v = layer.project(h)
        return layer.update(h[:, first:], layer.attend(q, [Source(k, v, bias)]))

    @torch.no_grad()
    def attention(
        self,
        start: Start,
        tokens: Float[Tensor, "R P D"] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> list[Float[Tensor, "R K N N"]]:
        x, y = self.first_tokens(start, tokens)
        maps = []
        for layer in self.stack:
            (qx, kx, vx), (qy, ky, vy) = layer.project(x), layer.project(y)
            both = [Source(kx, vx, image_bias), Source(ky, vy, bias)]
            maps.append(torch.cat([weights(qx, both), weights(qy, both)], dim=2))
            y = layer.update(y, layer.attend(qy, both))
            x = layer.update(x, layer.attend(qx, both)) if x.shape[1] else x
        return maps

    def rows_at_once(self, places: int, labels: int) -> int:
        return max(1, self.tokens_at_once // (places + labels))
