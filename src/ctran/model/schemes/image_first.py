"""Image tokens attend to image tokens only, label tokens to all: image tokens do not depend on the states."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ctran.model.attention import Source, weights
from ctran.model.encoder import Encoder, Start
from ctran.model.layer import EncoderLayer

_SCORES_AT_ONCE = 2**26
"""Attention scores computed together if rows share an image's keys."""


class ImageFirstEncoder(Encoder):
    """Equals :class:`~ctran.model.schemes.full.FullEncoder` with the scores of image tokens towards label tokens masked; for
    further states of an image only the label tokens are computed.
    """

    def cache_image(self, tokens: Float[Tensor, "B P D"]) -> dict[str, Tensor]:
        """Keys and values of the image tokens in every layer."""
        h = self.norm(tokens.to(self.norm.weight.dtype))
        image = dict[str, Tensor]()
        for number, layer in enumerate(self.stack):
            k, v, h = self.run(self._update_image, layer, h, number + 1 < len(self.layers))
            image[f"keys{number}"], image[f"values{number}"] = k, v
        return image

    def _update_image(self, layer: EncoderLayer, h: Float[Tensor, "B P D"], further: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values of image tokens, and the tokens themselves after a layer that is not the last."""
        k, v = layer.project(h, "kv")
        return k, v, layer.update(h, layer.attend(layer.project(h, "q")[0], [Source(k, v)])) if further else h

    def forward(
        self,
        start: Start,
        image: Mapping[str, Tensor] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> Float[Tensor, "R L D"]:
        h, latents = start.tokens, self.start_latents(start.tokens)
        for number, layer in enumerate(self.stack):
            sources = []
            if image is not None:
                sources.append(Source(image[f"keys{number}"], image[f"values{number}"], image_bias, shared=True))
            projected = start[1:] if number == 0 else None
            h, latents = self.run(self._update_labels, layer, h, latents, sources, bias, projected)
        return h

    def _update_labels(
        self,
        layer: EncoderLayer,
        h: Float[Tensor, "R L D"],
        latents: Float[Tensor, "R M D"] | None,
        image: list[Source],
        bias: Tensor | float,
        projected: Sequence[Tensor] | None,
    ) -> tuple[Float[Tensor, "R L D"], Float[Tensor, "R M D"] | None]:
        """Label tokens (and latents, in the scheme that has them) after one layer."""
        q, k, v = projected or layer.project(h)
        labels, latents = self.label_source(layer, Source(k, v, bias), latents)
        return layer.update(h, layer.attend(q, [*image, labels])), latents

    def start_latents(self, labels: Float[Tensor, "R L D"]) -> Float[Tensor, "R M D"] | None:
        """Latents before the first layer; none here."""
        return None

    def label_source(
        self, layer: EncoderLayer, labels: Source, latents: Float[Tensor, "R M D"] | None
    ) -> tuple[Source, Float[Tensor, "R M D"] | None]:
        """The source by which label tokens attend to each other: here the label tokens themselves."""
        return labels, latents

    @torch.no_grad()
    def attention(
        self,
        start: Start,
        tokens: Float[Tensor, "R P D"] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> list[Float[Tensor, "R K N N"]]:
        x, y = self.first_tokens(start, tokens)
        latents, maps = self.start_latents(y), []
        for layer in self.stack:
            (qx, kx, vx), (qy, ky, vy) = layer.project(x), layer.project(y)
            image, labels = Source(kx, vx, image_bias), Source(ky, vy, bias)
            source, further = self.label_source(layer, labels, latents)
            from_labels = weights(qy, [image, source])
            if latents is not None:  # weights towards latents, times the latents' towards labels
                towards = weights(layer.project(latents, "q")[0], [labels])
                places = x.shape[1]
                from_labels = torch.cat([from_labels[..., :places], from_labels[..., places:] @ towards], dim=3)
            from_image = F.pad(weights(qx, [image]), (0, y.shape[1]))
            maps.append(torch.cat([from_image, from_labels], dim=2))
            y = layer.update(y, layer.attend(qy, [image, source]))
            x = layer.update(x, layer.attend(qx, [image])) if x.shape[1] else x
            latents = further
        return maps

    def rows_at_once(self, places: int, labels: int) -> int:
        return self.rows_with_keys(labels, places + labels)

    def rows_with_keys(self, labels: int, keys: int) -> int:
        """Rows to compute together if each label token attends to ``keys`` keys."""
        return max(1, min(self.tokens_at_once // labels, _SCORES_AT_ONCE // (self.num_heads * labels * keys)))
