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
from ctran.model.positions import Positions, sine


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
    ) -> None:
        super().__init__()
        if soft_states and not anchored:
            raise ValueError("soft_states needs anchored: without an anchor there is no probability to be the state")
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
        )
        self.classifier = LabelClassifier(num_labels=num_labels, dim=dim)
        self.anchor = nn.Linear(backbone.channels, num_labels) if anchored and use_image else None

    def encoder_input(
        self, features: Features | None, states: Int[Tensor, "B L"], anchor: Float[Tensor, "B L"] | None = None
    ) -> tuple[Float[Tensor, "B N D"], Float[Tensor, "B K 1 N"] | None]:
        """Input H of the encoder, image tokens (none without ``features``), then label tokens; and what the options add to the
        attention scores towards each of them (None where they add nothing).

        Args:
            anchor: logits that soft states are made of; None leaves unknown labels at 0.
        """
        soft = anchor.sigmoid() * (states == LabelState.UNKNOWN) if self.soft_states and anchor is not None else None
        h = self.labels(states, soft)
        if features is not None:
            tokens = self.narrow(features.tokens)
            if self.positions == "sine":
                tokens = tokens + sine(features.grid, tokens.shape[2]).to(tokens)
            h = torch.cat([tokens, h], dim=1)
        image_tokens = h.shape[1] - states.shape[1]
        if not self.positive_bias and not (self.image_bias and image_tokens):
            return h, None
        present = (states == LabelState.POSITIVE).to(h.dtype)
        present = present if soft is None else present + soft
        heads = self.encoder.num_heads
        first_half = (torch.arange(heads, device=states.device) < heads / 2)[:, None, None]
        towards_labels = self.positive_bias * present[:, None, None, :] * first_half
        return h, F.pad(towards_labels, (image_tokens, 0), value=self.image_bias)

    def encode_labels(
        self, features: Features | None, states: Int[Tensor, "B L"], anchor: Float[Tensor, "B L"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Logits by the paper's path alone: encoder, then classifier. Arguments as in :meth:`encoder_input`."""
        h, bias = self.encoder_input(features, states, anchor)
        return self.classifier(self.encoder(h, bias)[:, -states.shape[1] :])

    def pooled_logits(self, features: Features) -> Float[Tensor, "B L"]:
        """The anchor: a linear layer on the averaged image features."""
        assert self.anchor is not None
        return self.anchor(F.dropout(features.tokens.mean(dim=1), self.pooled_dropout, self.training))

    def predict_labels(
        self,
        features: Features,
        states: Int[Tensor, "B L"],
        *,
        hide_image: Bool[Tensor, " B"] | None = None,
        anchor: Float[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L"]:
        """Logits of all labels; those of labels that ``states`` shows are whatever the readout says.

        Args:
            features: of :meth:`encode_images`.
            states: :class:`~ctran.labels.LabelState` codes.
            hide_image: images that are left out as if ``use_image`` were False (image dropout, a training option beyond the
                paper).
            anchor: logits to take for the anchor's (in training, those of an anchor that has not seen these pictures).
        """
        if not self.use_states:
            states = torch.zeros_like(states)
        if hide_image is not None and not hide_image.any():
            hide_image = None
        if not self.use_image or (hide_image is not None and hide_image.all()):
            logits = self.encode_labels(None, states)
            return logits + self.classifier.bias - self._untold() if self.anchored else logits
        if hide_image is not None:
            shown, hidden = (~hide_image).nonzero()[:, 0], hide_image.nonzero()[:, 0]
            part = Features(features.tokens[shown], features.grid)
            with_image = self.predict_labels(part, states[shown], anchor=None if anchor is None else anchor[shown])
            without = self.predict_labels(features, states[hidden], hide_image=hide_image[hidden])
            return torch.cat([with_image, without])[torch.cat([shown, hidden]).argsort()]
        if not self.anchored:
            return self.encode_labels(self._drop_channels(features), states)
        anchor = self.pooled_logits(features) if anchor is None else anchor
        return anchor + self.encode_labels(self._drop_channels(features), states, anchor) - self._untold()

    def _untold(self) -> Float[Tensor, "1 L"]:
        """What encoder and classifier say of no picture when nothing is known."""
        nothing = torch.zeros_like(self.classifier.bias, dtype=torch.long)
        return self.encode_labels(None, nothing[None])

    def _drop_channels(self, features: Features) -> Features:
        """Token dropout: the same channels at every place of an image."""
        if not self.training or not self.token_dropout:
            return features
        channels = torch.ones_like(features.tokens[:, :1])
        return Features(features.tokens * F.dropout(channels, self.token_dropout), features.grid)

    def attention(self, features: Features, states: Int[Tensor, "B L"]) -> list[Float[Tensor, "B K N N"]]:
        """Attention maps of every layer over ``P`` image tokens (none without ``use_image``), then ``L`` label tokens."""
        if not self.use_states:
            states = torch.zeros_like(states)
        anchor = self.pooled_logits(features) if self.soft_states and self.use_image else None
        return self.encoder.attention(*self.encoder_input(features if self.use_image else None, states, anchor))
