"""The assembly: backbone, label tokens, encoder, classifier (paper, Fig. 3)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.labels import LabelState
from ctran.model.backbone import Backbone, Features
from ctran.model.classifier import LabelClassifier
from ctran.model.embeddings import LabelTokens
from ctran.model.encoder import Encoder
from ctran.model.method import Method


class CTran(Method):
    r"""C-Tran: image tokens and label tokens in one transformer encoder.

    Shapes: ``B`` images, ``P`` image tokens, ``C`` backbone channels, ``D`` token width, ``L`` labels, ``N = P + L``. The
    defaults are the paper's (Sec. 3.5); its backbone is ``resnet101``, so ``D = C = 2048``.

    Args:
        backbone: makes image tokens; its weights are part of this model's.
        num_labels: ``L``.
        token_dim: ``D``; None takes ``C``. Where it differs from ``C`` a linear map narrows the tokens (Sec. 4.4).
        num_layers, num_heads, dropout: of the encoder.
        use_image: False leaves the image tokens out (Table 5, "no image").
        use_states: False leaves the state embeddings out, all labels are unknown (Table 5, "no LMT").

    Beyond the paper, all off by default:

    Args:
        anchored: with :math:`f` the encoder and classifier and :math:`\bar z` the averaged image features, logits become
            :math:`A \bar z + a + f(x, s) - f(x, 0)`, where ``0`` is all labels unknown: a linear layer says what the picture
            shows, the encoder what the known labels change, so that with nothing known the answer is the linear layer's.
            Without image the anchor is the classifier's bias.
        attention_dropout: False keeps dropout out of the attention weights (the fused kernel then runs on CPU).
        positive_bias: added to the attention scores towards labels that are known to be present, in the first half of the
            heads, so that from the first step on they stand out among many labels.
        image_bias: added to the attention scores towards image tokens.
        token_dropout, pooled_dropout: share of the channels set to zero in training, of the image tokens in the encoder
            and of the averaged features in the anchor.
        orthogonal: start the attention's matrices orthogonal.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.
    """

    label_parameters = frozenset(
        {"labels.label.weight", "classifier.weight", "classifier.bias", "anchor.weight", "anchor.bias"}
    )

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_labels: int,
        token_dim: int | None = None,
        num_layers: int = 3,
        num_heads: int = 4,
        dropout: float = 0.1,
        use_image: bool = True,
        use_states: bool = True,
        anchored: bool = False,
        attention_dropout: bool = True,
        positive_bias: float = 0.0,
        image_bias: float = 0.0,
        token_dropout: float = 0.0,
        pooled_dropout: float = 0.0,
        orthogonal: bool = False,
    ) -> None:
        super().__init__()
        dim = token_dim or backbone.channels
        self.backbone = backbone
        self.use_image, self.use_states, self.anchored = use_image, use_states, anchored
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
        )
        self.classifier = LabelClassifier(num_labels=num_labels, dim=dim)
        self.anchor = nn.Linear(backbone.channels, num_labels) if anchored and use_image else None

    def tokens(self, features: Features | None, states: Int[Tensor, "B L"]) -> Float[Tensor, "B N D"]:
        """Input H of the encoder: image tokens (none without ``features``), then label tokens."""
        labels = self.labels(states)
        return labels if features is None else torch.cat([self.narrow(features.tokens), labels], dim=1)

    def attention_bias(self, states: Int[Tensor, "B L"], image_tokens: int) -> Float[Tensor, "B K 1 N"] | None:
        """What the options add to the attention scores towards each token; None where they add nothing."""
        if not self.positive_bias and not (self.image_bias and image_tokens):
            return None
        heads = self.encoder.num_heads
        first_half = (torch.arange(heads, device=states.device) < heads / 2)[:, None, None]
        towards_labels = self.positive_bias * (states == LabelState.POSITIVE)[:, None, None, :] * first_half
        return F.pad(towards_labels, (image_tokens, 0), value=self.image_bias)

    def encode_labels(self, features: Features | None, states: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Logits by the paper's path alone: encoder, then classifier."""
        h = self.tokens(features, states)
        bias = self.attention_bias(states, h.shape[1] - states.shape[1])
        return self.classifier(self.encoder(h, bias)[:, -states.shape[1] :])

    def change(self, features: Features | None, states: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """What the known labels change: logits with ``states`` less logits with all labels unknown."""
        unknown = torch.zeros_like(states if features is not None else states[:1])  # without image one row is all rows
        return self.encode_labels(features, states) - self.encode_labels(features, unknown)

    def pooled_logits(self, features: Features) -> Float[Tensor, "B L"]:
        """The anchor: a linear layer on the averaged image features."""
        assert self.anchor is not None
        return self.anchor(F.dropout(features.tokens.mean(dim=1), self.pooled_dropout, self.training))

    def predict_labels(
        self, features: Features, states: Int[Tensor, "B L"], *, hide_image: Bool[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Logits of all labels; those of labels that ``states`` shows are whatever the readout says.

        Args:
            features: of :meth:`encode_images`.
            states: :class:`~ctran.labels.LabelState` codes.
            hide_image: images that are left out as if ``use_image`` were False (image dropout, a training option beyond the
                paper).
        """
        if not self.use_states:
            states = torch.zeros_like(states)
        if not self.use_image or (hide_image is not None and hide_image.all()):
            return self.classifier.bias + self.change(None, states) if self.anchored else self.encode_labels(None, states)
        if hide_image is not None and hide_image.any():
            shown, hidden = (~hide_image).nonzero()[:, 0], hide_image.nonzero()[:, 0]
            with_image = self.predict_labels(Features(features.tokens[shown], features.grid), states[shown])
            without = self.predict_labels(features, states[hidden], hide_image=hide_image[hidden])
            return torch.cat([with_image, without])[torch.cat([shown, hidden]).argsort()]
        kept = self._drop_channels(features)
        if self.anchored:
            return self.pooled_logits(features) + self.change(kept, states)
        return self.encode_labels(kept, states)

    def _drop_channels(self, features: Features) -> Features:
        """Token dropout: the same channels at every place of an image."""
        if not self.training or not self.token_dropout:
            return features
        channels = torch.ones_like(features.tokens[:, :1])
        return Features(features.tokens * F.dropout(channels, self.token_dropout), features.grid)

    def attention(self, features: Features, states: Int[Tensor, "B L"]) -> list[Float[Tensor, "B K N N"]]:
        """Attention maps of every layer over ``P`` image tokens, then ``L`` label tokens."""
        bias = self.attention_bias(states, features.tokens.shape[1])
        return self.encoder.attention(self.tokens(features, states), bias)
