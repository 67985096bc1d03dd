"""As ``image_first``, but label tokens attend to each other through a few learned tokens: for thousands of labels."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ctran.errors import UserError
from ctran.model.attention import Source
from ctran.model.layer import EncoderLayer
from ctran.model.schemes.image_first import ImageFirstEncoder

MOST_LATENTS = 65_536
"""Upper bound of ``num_latents``; they should be few."""


class LatentEncoder(ImageFirstEncoder):
    """In each layer ``M`` latents attend to the label tokens, then label tokens to image tokens and latents (induced set
    attention); costs ``P^2 + L (P + 2 M)``.

    Args:
        num_latents: ``M``.

    Source: Lee et al., Set Transformer, ICML 2019, Sec. 3.1, with the layer's own weights for both of its steps.
    """

    def __init__(self, *, dim: int, num_latents: int = 64, **options: Any) -> None:
        if not 1 <= num_latents <= MOST_LATENTS:
            raise UserError(f"num_latents must lie between 1 and {MOST_LATENTS:,}, got {num_latents:,}")
        super().__init__(dim=dim, **options)
        self.latents = nn.Parameter(torch.randn(num_latents, dim))

    def start_latents(self, labels: Float[Tensor, "R L D"]) -> Float[Tensor, "R M D"]:
        return self.norm(self.latents).expand(labels.shape[0], -1, -1)

    def label_source(
        self, layer: EncoderLayer, labels: Source, latents: Float[Tensor, "R M D"] | None
    ) -> tuple[Source, Float[Tensor, "R M D"]]:
        """The latents after they attended to the label tokens."""
        assert latents is not None
        latents = layer.update(latents, layer.attend(layer.project(latents, "q")[0], [labels]))
        k, v = layer.project(latents, "kv")
        return Source(k, v), latents

    def rows_at_once(self, places: int, labels: int) -> int:
        return self.rows_with_keys(labels, places + len(self.latents))
