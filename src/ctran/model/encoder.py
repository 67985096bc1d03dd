"""Transformer encoder over image and label tokens (paper, Eq. 2-4)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ctran.model.attention import Attention, Source, attend, spread, weights


class EncoderLayer(nn.Module):
    r"""One post-norm layer: self-attention (Eq. 2, 3), then a two-layer network of width ``D`` (Eq. 4),

    .. math::
        \alpha_{ij} = \mathrm{softmax}_j\big((W^q h_i)^\top (W^k h_j) / \sqrt{d}\big), \quad
        \bar h_i = \sum_j \alpha_{ij} W^v h_j, \quad
        h'_i = \mathrm{ReLU}(\bar h_i W^r + b_1) W^o + b_2,

    with a residual connection, dropout and LayerNorm around each half, in ``K`` heads of width ``d = D / K``. Computes what
    ``torch.nn.TransformerEncoderLayer(norm_first=False, activation="relu", dim_feedforward=D)`` computes.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.2 and 3.5.
    """

    def __init__(
        self, *, dim: int, num_heads: int, dropout: float, attention_dropout: bool = True, orthogonal: bool = False
    ) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(f"token width {dim} must be a multiple of the number of heads, got {num_heads} heads")
        self.num_heads, self.dropout = num_heads, dropout
        self.attention_dropout = dropout if attention_dropout else 0.0
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.wide = nn.Linear(dim, dim)
        self.narrow = nn.Linear(dim, dim)
        self.norm_attention = nn.LayerNorm(dim)
        self.norm_network = nn.LayerNorm(dim)
        nn.init.xavier_uniform_(self.qkv.weight)
        if orthogonal:
            for square in (*self.qkv.weight.data.chunk(3), self.out.weight.data):
                nn.init.orthogonal_(square)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def project(self, h: Float[Tensor, "R N D"], which: str = "qkv") -> Sequence[Float[Tensor, "R K N d"]]:
        """Queries, keys, values of each head: those that ``which`` names (``qkv``, ``q`` or ``kv``)."""
        dim = h.shape[2]
        rows = slice("qkv".index(which) * dim, ("qkv".index(which) + len(which)) * dim)
        parts = F.linear(h, self.qkv.weight[rows], self.qkv.bias[rows])
        parts = parts.unflatten(2, (len(which), self.num_heads, dim // self.num_heads))
        return parts.permute(2, 0, 3, 1, 4).unbind(0)

    def attend(self, q: Float[Tensor, "R K Q d"], sources: Sequence[Source]) -> Float[Tensor, "R K Q d"]:
        """Eq. 2 and 3, with dropout in training."""
        return attend(q, sources, self.attention_dropout if self.training else 0.0)

    def update(self, h: Float[Tensor, "R Q D"], mixed: Float[Tensor, "R K Q d"]) -> Float[Tensor, "R Q D"]:
        """All that follows the attention, which is done token by token."""
        mixed = self.out(mixed.transpose(1, 2).flatten(2))
        h = self.norm_attention(h + F.dropout(mixed, self.dropout, self.training))
        inner = F.dropout(F.relu(self.wide(h)), self.dropout, self.training)
        return self.norm_network(h + F.dropout(self.narrow(inner), self.dropout, self.training))

    def forward(self, h: Float[Tensor, "R N D"], bias: Tensor | float = 0.0) -> Float[Tensor, "R N D"]:
        """Update all tokens; each may attend to all. ``bias`` is added to the scores towards each token."""
        q, k, v = self.project(h)
        return self.update(h, self.attend(q, [Source(k, v, bias)]))


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
        self.num_heads, self.scheme = num_heads, attention
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
            memory[f"keys{number}"], memory[f"values{number}"] = k, v = layer.project(h, "kv")
            if number + 1 < len(self.layers):
                h = layer.update(h, layer.attend(layer.project(h, "q")[0], [Source(k, v)]))
        return memory

    def forward(
        self,
        labels: Float[Tensor, "R L D"],
        memory: Mapping[str, Tensor] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> Float[Tensor, "R L D"]:
        """Updated label tokens.

        Args:
            labels: label tokens.
            memory: what :meth:`remember` made of the images; None where there are none.
            bias: added to the scores towards each label token.
            image_bias: added to the scores towards image tokens.
        """
        h = self.norm(labels.to(self.norm.weight.dtype))
        if self.scheme == "full":
            return self._full(h, memory, bias, image_bias)
        latents = None if self.latents is None else self.norm(self.latents).expand(len(h), -1, -1)
        for number in range(len(self.layers)):
            layer = self._layer(number)
            image = []
            if memory is not None:
                image.append(Source(memory[f"keys{number}"], memory[f"values{number}"], image_bias, shared=True))
            if latents is None:
                q, k, v = layer.project(h)
                told = Source(k, v, bias)
            else:
                (q,) = layer.project(h, "q")
                latents = self._gather(layer, latents, h, bias)
                k, v = layer.project(latents, "kv")
                told = Source(k, v)
            h = layer.update(h, layer.attend(q, [*image, told]))
        return h

    def _full(
        self, labels: Tensor, memory: Mapping[str, Tensor] | None, bias: Tensor | float, image_bias: float
    ) -> Float[Tensor, "R L D"]:
        """Image and label tokens in one sequence; the last layer updates label tokens only."""
        rows, last = len(labels), len(self.layers) - 1
        image = (
            None if memory is None else {name: spread(memory[name], rows) for name in ("tokens", "queries", "keys", "values")}
        )
        h = labels if image is None else torch.cat([image["tokens"], labels], dim=1)
        places = h.shape[1] - labels.shape[1]
        if places and (image_bias or isinstance(bias, Tensor)):
            each = bias if isinstance(bias, Tensor) else h.new_full((rows, self.num_heads, 1, labels.shape[1]), bias)
            bias = F.pad(each, (places, 0), value=image_bias)
        for number in range(len(self.layers)):
            layer = self._layer(number)
            if number == 0:
                q, k, v = layer.project(labels)
                if image is not None:
                    q = q if last == 0 else torch.cat([image["queries"], q], dim=2)
                    k, v = torch.cat([image["keys"], k], dim=2), torch.cat([image["values"], v], dim=2)
            elif number < last:
                q, k, v = layer.project(h)
            else:
                (q,) = layer.project(h[:, places:], "q")
                k, v = layer.project(h, "kv")
            h = h[:, places:] if number == last else h
            h = layer.update(h, layer.attend(q, [Source(k, v, bias)]))
        return h

    def _gather(
        self, layer: EncoderLayer, latents: Float[Tensor, "R M D"], h: Float[Tensor, "R L D"], bias: Tensor | float
    ) -> Float[Tensor, "R M D"]:
        """Latents after they attended to the labels."""
        (q,), (k, v) = layer.project(latents, "q"), layer.project(h, "kv")
        return layer.update(latents, layer.attend(q, [Source(k, v, bias)]))

    def _layer(self, number: int) -> EncoderLayer:
        layer = self.layers[number]
        assert isinstance(layer, EncoderLayer)
        return layer

    @torch.no_grad()
    def attention(
        self,
        labels: Float[Tensor, "R L D"],
        tokens: Float[Tensor, "R P D"] | None = None,
        bias: Float[Tensor, "R K 1 L"] | float = 0.0,
        image_bias: float = 0.0,
    ) -> list[Float[Tensor, "R K N N"]]:
        """Attention maps of every layer, first to last, over image tokens, then label tokens; each row sums to 1.

        Costs what the fused kernel saves, so only on request. Under ``latent`` a label's weight towards another is the sum over
        the latents of its weight towards the latent and the latent's towards the other.
        """
        y = self.norm(labels)
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
                latents = self._gather(layer, latents, y, bias)
                k, v = layer.project(latents, "kv")
                told = Source(k, v)
                both = weights(q, [image, told])
                from_labels = torch.cat([both[..., : x.shape[1]], both[..., x.shape[1] :] @ towards_labels], dim=3)
            maps.append(torch.cat([from_image, from_labels], dim=2))
            y = layer.update(y, layer.attend(q, [image, told]))
            x = layer.update(x, looked) if x.shape[1] else x
        return maps
