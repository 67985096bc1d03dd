"""The assembly: backbone, label tokens, encoder, classifier (paper, Fig. 3)."""

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.errors import UserError
from ctran.labels import LabelState
from ctran.model.attention import Attention, spread
from ctran.model.backbone import Backbone, Features
from ctran.model.classifier import LabelClassifier
from ctran.model.embeddings import LabelTokens
from ctran.model.encoder import Encoder, Start, StartTable
from ctran.model.method import Method
from ctran.model.positions import Positions, sine

TOKENS_AT_ONCE = 4096
"""Of all rows of states that are answered together."""
SCORES_AT_ONCE = 2**26
"""Attention scores that are written out together where rows share an image's keys."""


class CTran(Method):
    r"""C-Tran: image tokens and label tokens in one transformer encoder.

    Shapes: ``B`` images, ``P`` image tokens, ``C`` backbone channels, ``D`` token width, ``L`` labels, ``N = P + L``. The
    defaults are the paper's (Sec. 3.5); its backbone is ``resnet101``, so ``D = C = 2048``.

    Args:
        backbone: makes image tokens; its weights are part of this model's.
        num_labels: ``L``.
        token_dim: ``D``; None takes ``C``. Where it differs from ``C`` a linear map narrows the tokens (Sec. 4.4).
        num_layers, num_heads, dropout: of the encoder.
        positions: ``sine`` adds a fixed code of its place to each image token (an ablation).
        use_image: False leaves the image tokens out (Table 5, "no image").
        use_states: False leaves the state embeddings out, all labels are unknown (Table 5, "no LMT").

    Beyond the paper, all off by default:

    Args:
        anchored: with :math:`f` the encoder and classifier and :math:`\bar z` the averaged image features, logits become
            :math:`A \bar z + a + f(z, s) - f(\emptyset, 0)`, where :math:`f(\emptyset, 0)` is told nothing and shown
            nothing: a linear layer says what the picture shows, the encoder what tokens and known labels change. Without
            image the anchor is the classifier's bias.
        soft_states: the state of an unknown label is not 0 but ``P`` times the anchor's probability that it is present, so that
            what the picture says of one label reaches the others the way known labels do. Needs ``anchored``.
        attention_dropout: False keeps dropout out of the attention weights (the fused kernel then runs on CPU).
        positive_bias: added to the attention scores towards labels that are known to be present (times the probability, for
            soft states), in the first half of the heads, so that from the first step on they stand out among many labels.
        image_bias: added to the attention scores towards image tokens.
        token_dropout, pooled_dropout: share of the channels set to zero in training, of the image tokens in the encoder
            and of the averaged features in the anchor.
        orthogonal: start the attention's matrices orthogonal.
        attention, num_latents: who attends to whom; see :class:`~ctran.model.encoder.Encoder`. ``full`` is the paper's.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.
    """

    label_parameters = frozenset(
        {"labels.label.weight", "classifier.weight", "classifier.bias", "anchor.weight", "anchor.bias"}
    )

    heavy = ("backbone", "narrow", "encoder")
    rate_parts = ("backbone", "anchor")
    untold: Tensor | None

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
        anchored: bool = False,
        soft_states: bool = False,
        attention_dropout: bool = True,
        positive_bias: float = 0.0,
        image_bias: float = 0.0,
        token_dropout: float = 0.0,
        pooled_dropout: float = 0.0,
        orthogonal: bool = False,
        attention: Attention = "full",
        num_latents: int = 64,
    ) -> None:
        super().__init__()
        if soft_states and not anchored:
            raise UserError("soft_states needs anchored: without an anchor there is no probability to be the state")
        dim = token_dim or backbone.channels
        self.backbone, self.positions = backbone, positions
        self.use_image, self.use_states, self.anchored = use_image, use_states, anchored
        self.soft_states = soft_states
        self.positive_bias, self.image_bias = positive_bias, image_bias
        self.token_dropout, self.pooled_dropout = token_dropout, pooled_dropout
        self.narrow = nn.Identity() if dim == backbone.channels else nn.Linear(backbone.channels, dim)
        self.labels = LabelTokens(num_labels=num_labels, dim=dim)
        self.encoder = Encoder(
            dim=dim,
            num_layers=num_layers,
            num_heads=num_heads,
            dropout=dropout,
            attention_dropout=attention_dropout,
            orthogonal=orthogonal,
            attention=attention,
            num_latents=num_latents,
        )
        self.classifier = LabelClassifier(num_labels=num_labels, dim=dim)
        self.anchor = nn.Linear(backbone.channels, num_labels) if anchored and use_image else None
        self.table: StartTable | None = None
        self.register_buffer("untold", None, persistent=False)

    def _start(
        self, states: Int[Tensor, "R L"], anchor: Float[Tensor, "R L"] | None = None
    ) -> tuple[Start, Float[Tensor, "R K 1 L"] | float]:
        """What label tokens begin with, and what ``positive_bias`` adds to the attention scores towards each.

        Args:
            anchor: logits that soft states are made of; None leaves unknown labels at 0.
        """
        soft = anchor.sigmoid() * (states == LabelState.UNKNOWN) if self.soft_states and anchor is not None else None
        start = self.encoder.start(self.labels(states, soft)) if self.table is None else self.table(states)
        if not self.positive_bias:
            return start, 0.0
        present = (states == LabelState.POSITIVE).float()
        present = present if soft is None else present + soft
        heads = self.encoder.num_heads
        first_half = (torch.arange(heads, device=states.device) < heads / 2)[:, None, None]
        return start, self.positive_bias * present[:, None, None, :] * first_half

    @torch.no_grad()
    def tabulate(self) -> None:
        """Keep what depends on the weights alone."""
        self.untold = self._untold()
        if not self.soft_states:
            every = torch.arange(len(LabelState), device=self.classifier.bias.device)[:, None]
            self.table = StartTable(self.encoder.start(self.labels(every.expand(-1, len(self.classifier.bias)))))

    def _image_tokens(self, features: Features) -> Float[Tensor, "B P D"]:
        """Image tokens as the encoder takes them."""
        tokens = features.tokens.to(self.encoder.norm.weight.dtype)
        if self.training and self.token_dropout:  # the same channels at every place of an image
            tokens = tokens * F.dropout(torch.ones_like(tokens[:, :1]), self.token_dropout)
        tokens = self.narrow(tokens)
        return tokens + sine(features.grid, tokens.shape[2]).to(tokens) if self.positions == "sine" else tokens

    def encode_labels(
        self,
        memory: Mapping[str, Tensor] | None,
        states: Int[Tensor, "R L"],
        anchor: Float[Tensor, "R L"] | None = None,
    ) -> Float[Tensor, "R L"]:
        """Logits by the paper's path alone: encoder, then classifier.

        Args:
            memory: of :meth:`prepare`; None is no image.
            anchor: logits that soft states are made of; None leaves unknown labels at 0.
        """
        start, bias = self._start(states, anchor)
        return self.classifier(self.encoder(start, memory, bias, self.image_bias))

    def pooled_logits(self, features: Features) -> Float[Tensor, "B L"]:
        """The anchor: a linear layer on the averaged image features."""
        assert self.anchor is not None
        pooled = features.tokens.mean(dim=1, dtype=self.anchor.weight.dtype)
        return self.anchor(F.dropout(pooled, self.pooled_dropout, self.training))

    def prepare(self, features: Features) -> Features:
        """The features with all that this model makes of an image before it is told states: the anchor's logits, and what
        :meth:`ctran.model.encoder.Encoder.remember` says."""
        return replace(features, memory=self._memory(features, anchor=True))

    def _memory(self, features: Features, *, anchor: bool) -> dict[str, Tensor]:
        if not self.use_image:
            return {}
        memory = self.encoder.remember(self._image_tokens(features))
        if self.anchored:
            memory["untold"] = self._untold().expand(features.tokens.shape[0], -1)
            if anchor:
                memory["anchor"] = self.pooled_logits(features)
        return memory

    def predict_labels(
        self,
        features: Features,
        states: Int[Tensor, "R L"],
        *,
        hide_image: Bool[Tensor, " R"] | None = None,
        anchor: Float[Tensor, "R L"] | None = None,
    ) -> Float[Tensor, "R L"]:
        """Logits of all labels; those of labels that ``states`` shows are whatever the readout says.

        Args:
            features: of ``B`` images, from :meth:`encode_images` or, where several questions follow, :meth:`prepare`.
            states: :class:`~ctran.labels.LabelState` codes, ``R / B`` rows for each image in turn.
            hide_image: rows whose image is left out as if ``use_image`` were False (image dropout, a training option beyond the
                paper); needs ``R = B``.
            anchor: logits to take for the anchor's (in training, those of an anchor that has not seen these pictures).
        """
        each = features.rows_each(states)
        if not self.use_states:
            states = torch.zeros_like(states)
        if not self.use_image:
            return self._without_image(states)
        if hide_image is not None and hide_image.any():
            return self._partly_hidden(features, states, hide_image, anchor)
        if features.memory is None:
            features = replace(features, memory=self._memory(features, anchor=anchor is None))
        if not torch.compiler.is_exporting() and each > 1 and not torch.is_grad_enabled():
            at_once = self._rows_at_once(features, states)
            if len(states) > at_once:
                return self._in_parts(features, states, anchor, at_once)
        memory = dict(features.memory or {})
        own, untold = memory.pop("anchor", None), memory.pop("untold", None)
        if untold is None:
            return self.encode_labels(memory, states)
        if anchor is None:
            assert own is not None
            anchor = spread(own, states.shape[0])
        return anchor + self.encode_labels(memory, states, anchor) - spread(untold, states.shape[0])

    def _in_parts(
        self, features: Features, states: Int[Tensor, "R L"], anchor: Float[Tensor, "R L"] | None, at_once: int
    ) -> Float[Tensor, "R L"]:
        """:meth:`predict_labels` for as many images together as have ``at_once`` rows; of one that has more, so many rows."""
        each = features.rows_each(states)
        images, answers = max(1, at_once // each), []
        for first in range(0, len(features), images):
            some, rows = features[first : first + images], slice(first * each, (first + images) * each)
            own = None if anchor is None else anchor[rows].split(at_once)
            for number, part in enumerate(states[rows].split(at_once)):
                answers.append(self.predict_labels(some, part, anchor=None if own is None else own[number]))
        return torch.cat(answers)

    def _rows_at_once(self, features: Features, states: Int[Tensor, "R L"]) -> int:
        """Rows that are answered together where images have several: more take more memory and are not faster."""
        places, labels = features.tokens.shape[1], states.shape[1]
        if self.encoder.scheme == "full":
            return max(1, TOKENS_AT_ONCE // (places + labels))
        keys = places + (labels if self.encoder.latents is None else len(self.encoder.latents))
        return max(1, min(TOKENS_AT_ONCE // labels, SCORES_AT_ONCE // (self.encoder.num_heads * labels * keys)))

    def _without_image(self, states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        logits = self.encode_labels(None, states)
        return logits + self.classifier.bias - self._untold() if self.anchored else logits

    def _partly_hidden(
        self, features: Features, states: Int[Tensor, "R L"], hide: Bool[Tensor, " R"], anchor: Float[Tensor, "R L"] | None
    ) -> Float[Tensor, "R L"]:
        """Rows with and rows without image, each by itself."""
        shown, hidden = (~hide).nonzero()[:, 0], hide.nonzero()[:, 0]
        without = self._without_image(states[hidden])
        if not len(shown):
            return without
        logits = self.predict_labels(features[shown], states[shown], anchor=None if anchor is None else anchor[shown])
        return torch.cat([logits, without])[torch.cat([shown, hidden]).argsort()]

    def _untold(self) -> Float[Tensor, "1 L"]:
        """What encoder and classifier say of no picture when nothing is known."""
        if self.untold is not None:
            return self.untold
        nothing = torch.zeros_like(self.classifier.bias, dtype=torch.long)
        return self.encode_labels(None, nothing[None])

    @property
    def has_contributions(self) -> bool:
        """Not without ``use_image``."""
        return self.use_image

    def blank_logits(self, features: Features, states: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Logits without image tokens."""
        return self.predict_labels(features, states, hide_image=torch.ones(len(states), dtype=torch.bool, device=states.device))

    @property
    def has_attention(self) -> bool:
        """To a picture; not without ``use_image``."""
        return self.use_image

    def attention(self, features: Features, states: Int[Tensor, "B L"]) -> list[Float[Tensor, "B K N N"]]:
        """Attention maps of every layer over ``P`` image tokens (none without ``use_image``), then ``L`` label tokens."""
        if not self.use_states:
            states = torch.zeros_like(states)
        anchor = self.pooled_logits(features) if self.soft_states and self.use_image else None
        start, bias = self._start(states, anchor)
        image = self._image_tokens(features) if self.use_image else None
        return self.encoder.attention(start, image, bias, self.image_bias)
