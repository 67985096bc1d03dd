"""The assembly: backbone, label tokens, encoder, classifier (paper, Fig. 3)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.model.backbone import Backbone, Features
from ctran.model.classifier import LabelClassifier
from ctran.model.embeddings import LabelTokens
from ctran.model.encoder import Encoder
from ctran.model.method import Method


class CTran(Method):
    """C-Tran: image tokens and label tokens in one transformer encoder.

    Shapes: ``B`` images, ``P`` image tokens, ``C`` backbone channels, ``D`` token width, ``L`` labels. The defaults are the
    paper's (Sec. 3.5); its backbone is ``resnet101``, so ``D = C = 2048``.

    Args:
        backbone: makes image tokens; its weights are part of this model's.
        num_labels: ``L``.
        token_dim: ``D``; None takes ``C``. Where it differs from ``C`` a linear map narrows the tokens (Sec. 4.4).
        num_layers, num_heads, dropout: of the encoder.
        use_image: False leaves the image tokens out (Table 5, "no image").
        pooled_residual: add a linear layer on the averaged image features to the logits. Beyond the paper.
        token_dropout: share of the channels of the backbone's features set to zero in training. Beyond the paper.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.
    """

    label_parameters = frozenset({"labels.label.weight", "classifier.weight", "classifier.bias", "residual.weight"})

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
        pooled_residual: bool = False,
        token_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        dim = token_dim or backbone.channels
        self.backbone = backbone
        self.use_image = use_image
        self.feature_dropout = nn.Dropout(token_dropout)
        self.narrow = nn.Identity() if dim == backbone.channels else nn.Linear(backbone.channels, dim)
        self.labels = LabelTokens(num_labels=num_labels, dim=dim)
        self.encoder = Encoder(dim=dim, num_layers=num_layers, num_heads=num_heads, dropout=dropout)
        self.classifier = LabelClassifier(num_labels=num_labels, dim=dim)
        self.residual = nn.Linear(backbone.channels, num_labels, bias=False) if pooled_residual else None

    def tokens(self, features: Features, states: Int[Tensor, "B L"]) -> Float[Tensor, "B N D"]:
        """Input H of the encoder: ``P`` image tokens, then ``L`` label tokens."""
        return torch.cat([self.narrow(features.tokens), self.labels(states)], dim=1)

    def predict_labels(
        self, features: Features, states: Int[Tensor, "B L"], *, hide_image: Bool[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        """Logits of all labels; those of labels that ``states`` shows are whatever the readout says.

        Args:
            features: of :meth:`encode_images`.
            states: :class:`~ctran.labels.LabelState` codes.
            hide_image: images that are left out as if ``use_image`` were False: no image tokens, no residual (image-token
                dropout, a training option beyond the paper).
        """
        if not self.use_image or (hide_image is not None and hide_image.all()):
            return self.classifier(self.encoder(self.labels(states)))
        if hide_image is not None and hide_image.any():
            shown, hidden = (~hide_image).nonzero()[:, 0], hide_image.nonzero()[:, 0]
            with_image = self.predict_labels(Features(features.tokens[shown], features.grid), states[shown])
            without = self.classifier(self.encoder(self.labels(states[hidden])))
            return torch.cat([with_image, without])[torch.cat([shown, hidden]).argsort()]
        features = Features(self.feature_dropout(features.tokens), features.grid)
        h = self.encoder(self.tokens(features, states))
        logits = self.classifier(h[:, -states.shape[1] :])
        if self.residual is not None:
            logits = logits + self.residual(features.tokens.mean(dim=1))
        return logits

    def attention(self, features: Features, states: Int[Tensor, "B L"]) -> list[Float[Tensor, "B K N N"]]:
        """Attention maps of every layer over ``P`` image tokens, then ``L`` label tokens."""
        return self.encoder.attention(self.tokens(features, states))
