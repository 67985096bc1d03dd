"""The assembly: backbone, label tokens, encoder, classifier (paper, Fig. 3). The formulas alone: ``reference.py``."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.labels import LabelState
from ctran.model.backbone import Backbone, Features
from ctran.model.chunks import predict_in_parts
from ctran.model.classifier import LabelClassifier
from ctran.model.embeddings import LabelTokens
from ctran.model.encoder import EncoderLayer, Start, StartTable
from ctran.model.method import Method
from ctran.model.positions import Positions, sine
from ctran.model.schemes import ENCODERS, Attention


class CTran(Method):
    r"""C-Tran: image tokens and label tokens in one transformer encoder.

    Shapes: ``B`` images, ``P`` image tokens, ``C`` backbone channels, ``D`` token width, ``L`` labels, ``N = P + L``. The
    defaults are the paper's (Sec. 3.5); its backbone is ``resnet101``, so ``D = C = 2048``.

    Args:
        backbone: makes image tokens; its weights are part of this model's.
        num_labels: ``L``.
        token_dim: ``D``; None takes ``C``. Where it differs from ``C`` a linear map narrows the tokens (Sec. 4.4).
        num_layers, num_heads, dropout: of the encoder.
        positions: ``sine`` adds sinusoidal position embeddings to the image tokens (an ablation).
        use_image: False leaves the image tokens out (Table 5, "no image").
        use_states: False leaves the state embeddings out, all labels are unknown (Table 5, "no LMT").
        attention: which token attends to which, a file of :mod:`ctran.model.schemes`; ``full`` is the paper's.
        num_latents: of ``latent`` attention.
        layer: builds a layer of the encoder.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.
    """

    label_parameters = frozenset({"labels.label.weight", "classifier.weight", "classifier.bias"})
    heavy = ("backbone", "narrow", "encoder")

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_labels: int,
        token_dim: int | None = None,
        num_layers: int = 3,
        num_heads: int = 4,
        dropout: float = 0.1,
        positions: Positions = "none",
        use_image: bool = True,
        use_states: bool = True,
        attention: Attention = "full",
        num_latents: int = 64,
        layer: Callable[..., EncoderLayer] = EncoderLayer,
    ) -> None:
        super().__init__()
        dim = token_dim or backbone.channels
        self.backbone, self.positions = backbone, positions
        self.use_image, self.use_states, self.scheme = use_image, use_states, attention
        self.narrow = nn.Identity() if dim == backbone.channels else nn.Linear(backbone.channels, dim)
        self.labels = LabelTokens(num_labels=num_labels, dim=dim)
        own = {"num_latents": num_latents} if attention == "latent" else {}
        self.encoder = ENCODERS[attention](
            dim=dim, num_layers=num_layers, num_heads=num_heads, dropout=dropout, layer=layer, **own
        )
        self.classifier = LabelClassifier(num_labels=num_labels, dim=dim)
        self.table: StartTable | None = None

    def encode_labels(self, image: Mapping[str, Tensor] | None, states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        """Logits from cached image tensors and states (Eq. 1-5).

        Args:
            image: from :meth:`ctran.model.encoder.Encoder.cache_image`; None for no image.
        """
        return self.classifier(self.encoder(self._start(states), image))

    def _start(self, states: Int[Tensor, "R L"]) -> Start:
        """Label tokens with the first layer's projections."""
        return self.encoder.start(self.labels(states)) if self.table is None else self.table(states)

    @torch.no_grad()
    def precompute(self) -> None:
        every = torch.arange(len(LabelState), device=self.classifier.bias.device)[:, None]
        self.table = StartTable(self.encoder.start(self.labels(every.expand(-1, len(self.classifier.bias)))))

    def image_tokens(self, features: Features) -> Float[Tensor, "B P D"]:
        """Image tokens of width ``D``, the encoder's input."""
        tokens = self.narrow(self._channels(features))
        return tokens + sine(features.grid, tokens.shape[2]).to(tokens) if self.positions == "sine" else tokens

    def _channels(self, features: Features) -> Float[Tensor, "B P C"]:
        """The backbone's tokens in the dtype of the encoder."""
        return features.tokens.to(self.encoder.norm.weight.dtype)

    def prepare(self, features: Features) -> Features:
        """The features with an image cache, from :meth:`~ctran.model.encoder.Encoder.cache_image`."""
        if features.image_cache is not None:
            return features
        return replace(features, image_cache=self.encoder.cache_image(self.image_tokens(features)) if self.use_image else {})

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits of all labels; those of labels known in ``states`` are not clamped to the known values.

        Args:
            features: of ``B`` images, from :meth:`encode_images` or, for several calls with the same images, :meth:`prepare`.
            states: :class:`~ctran.labels.LabelState` codes, ``R / B`` consecutive rows for each image.
            hide_image: rows whose image is left out as if ``use_image`` were False (image dropout, a training option beyond the
                paper); needs ``R = B``.
        """
        each = features.rows_each(states)
        if not self.use_states:
            states = torch.zeros_like(states)
        if not self.use_image:
            return self._logits(None, states)
        if hide_image is not None and hide_image.any():
            return self._partly_hidden(features, states, hide_image)
        features = self.prepare(features)
        if not torch.compiler.is_exporting() and each > 1 and not torch.is_grad_enabled():
            at_once = self.encoder.rows_at_once(features.tokens.shape[1], states.shape[1])
            if len(states) > at_once:
                return predict_in_parts(self.predict_labels, features, states, at_once)
        return self._logits(features.image_cache, states)

    def _logits(self, image: Mapping[str, Tensor] | None, states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        """Logits from the image cache of :meth:`prepare`; without image if it is None."""
        return self.encode_labels(image, states)

    def _partly_hidden(self, features: Features, states: Int[Tensor, "R L"], hide: Bool[Tensor, " R"]) -> Float[Tensor, "R L"]:
        """Logits of rows with and of rows without image, computed separately."""
        shown, hidden = (~hide).nonzero()[:, 0], hide.nonzero()[:, 0]
        without = self._logits(None, states[hidden])
        if not len(shown):
            return without
        logits = self.predict_labels(features[shown], states[shown])
        return torch.cat([logits, without])[torch.cat([shown, hidden]).argsort()]

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """The rows ``l_i`` of Eq. 1."""
        return self.labels.label.weight.detach()

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.classifier.bias.data.copy_(log_odds)

    def checkpoint_activations(self) -> None:
        """Checkpoint the encoder's layers."""
        self.encoder.activation_checkpointing = True

    @property
    def uses_image(self) -> bool:
        return self.use_image

    @property
    def hides_images(self) -> bool:
        """Whether images can be left out: not where none is used."""
        return self.use_image

    @property
    def has_contributions(self) -> bool:
        """False without ``use_image``."""
        return self.use_image

    def blank_logits(self, features: Features, states: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Logits without image tokens."""
        return self.predict_labels(features, states, hide_image=torch.ones(len(states), dtype=torch.bool, device=states.device))

    @property
    def has_attention(self) -> bool:
        """Attention to an image; False without ``use_image``."""
        return self.use_image

    def attention(self, features: Features, states: Int[Tensor, "B L"]) -> list[Float[Tensor, "B K N N"]]:
        """Attention maps of every layer over ``P`` image tokens (none without ``use_image``), then ``L`` label tokens."""
        states = states if self.use_states else torch.zeros_like(states)
        return self.encoder.attention(self._start(states), self.image_tokens(features) if self.use_image else None)
