"""C-Tran for what a pairwise model of the labels leaves over, as far as it helps on pictures that it was not trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.bounds import within
from ctran.data.feature_table import FeatureTable
from ctran.errors import UserError
from ctran.labels import LabelSpace, LabelState
from ctran.losses._base import LabelLoss
from ctran.methods import pairwise
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._held_out import HeldOutModels, held_out_models
from ctran.methods._outer import outer_fits, outer_folds
from ctran.methods.anchored import Layer, towards_positive
from ctran.methods.pairwise import Pairwise
from ctran.model import Backbone, Features, Method, Stage, TrainingStep
from ctran.model.chunks import predict_in_parts
from ctran.model.classifier import LabelClassifier
from ctran.model.embeddings import LabelTokens
from ctran.model.encoder import Start
from ctran.model.schemes import ENCODERS, Attention
from ctran.model.stages import Losses

SUMMARY = "pairwise, plus what two C-Tran encoders add to it, weighted by known share and label (beyond the paper)"
ABOUT = About(
    source="this project, on C-Tran (CVPR 2021); stacking of D. Wolpert, 1992, in Neural Networks 5",
    year=2026,
    needs="averaged image features of all training pictures, in memory, for the fits",
    differs="the whole method: two of the paper's encoders learn what a pairwise model leaves over",
)
ENCODERS_STAGE, WEIGHTS_STAGE = "encoders", "weights"
"""Names of the stages."""
SHARES = 4
"""Known shares, evenly from 0 to 1, between which the weight of the encoders is interpolated."""
SHRINK = 30.0
"""How strongly the weight of a label is kept to that of all labels, in entries of its annotation."""


@dataclass(frozen=True)
class Config(pairwise.Config):
    """A pairwise model and two encoders.

    Args:
        token_dim: width of the encoders' tokens.
        num_layers: layers of each encoder.
        num_heads: attention heads of each.
        dropout: in the encoders.
        attention: which token attends to which; see :mod:`ctran.model.schemes`.
        positive_bias: added to attention scores towards known positive labels, in half of the heads.
        image_bias: added to attention scores towards image tokens.
        token_dropout: share of the image tokens' channels set to zero in training.
        weight_epochs: number of last epochs of training.epochs in which the encoders are frozen and their weights by label and
            known share are fitted.
        weight_learning_rate: in these epochs.
    """

    may_differ = pairwise.Config.may_differ | {"dropout", "token_dropout", "weight_epochs", "weight_learning_rate"}

    token_dim: int = within(64, 1, 65_536)
    num_layers: int = within(2, 1, 256)
    num_heads: int = within(4, 1, 1024)
    dropout: float = within(0.1, 0, 1, below=True)
    attention: Attention = "image_first"
    positive_bias: float = within(5.0)
    image_bias: float = within(-2.0)
    token_dropout: float = within(0.3, 0, 1, below=True)
    weight_epochs: int = within(2, 1)
    weight_learning_rate: float = within(0.03, 0, above=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token_dim % self.num_heads:
            raise UserError(
                f"model.num_heads must divide model.token_dim, got {self.num_heads} heads and {self.token_dim} channels"
            )

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """The encoders, then their weights."""
        if epochs and self.weight_epochs >= epochs:
            raise UserError(
                f"model.weight_epochs must be less than training.epochs, got {self.weight_epochs} of {epochs}: the others "
                "train the encoders; set both"
            )
        return (
            Stage(max(epochs - self.weight_epochs, 0), ENCODERS_STAGE, {"shares": 0, "own": 0}, hide_images=False),
            Stage(
                min(self.weight_epochs, epochs),
                WEIGHTS_STAGE,
                {"": 0, "shares": self.weight_learning_rate, "own": self.weight_learning_rate},
                hide_images=False,
            ),
        )

    def helper(self, model: Method) -> HeldOutModels | None:
        """The fits without each fold of the training pictures; None before :meth:`Residual.fit_features`."""
        return model.held_out if isinstance(model, Residual) else None


class LabelEncoder(nn.Module):
    """C-Tran's encoder without its image network: image tokens, states and probabilities to a change of each label's logit.

    The classifier starts at 0, so that training starts from the logits that are changed.
    """

    def __init__(self, channels: int, num_labels: int, config: Config) -> None:
        super().__init__()
        dim = config.token_dim
        self.positive_bias, self.image_bias, self.token_dropout = config.positive_bias, config.image_bias, config.token_dropout
        self.narrow = nn.Linear(channels, dim)
        self.labels = LabelTokens(num_labels=num_labels, dim=dim)
        self.encoder = ENCODERS[config.attention](
            dim=dim,
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            dropout=config.dropout,
            layer=partial(Layer, attention_dropout=False, orthogonal=True),
        )
        self.classifier = LabelClassifier(num_labels=num_labels, dim=dim)
        nn.init.zeros_(self.classifier.weight)

    def cache_image(self, tokens: Float[Tensor, "B P C"]) -> dict[str, Tensor]:
        """Tensors that depend on the image alone."""
        if self.training and self.token_dropout:  # the same channels in all tokens of an image
            tokens = tokens * F.dropout(torch.ones_like(tokens[:, :1]), self.token_dropout)
        return self.encoder.cache_image(self.narrow(tokens))

    def forward(
        self, image: Mapping[str, Tensor], states: Int[Tensor, "R L"], logits: Float[Tensor, "R L"]
    ) -> Float[Tensor, "R L"]:
        """Changes of the logits.

        Args:
            image: from :meth:`cache_image`.
            logits: whose probabilities are the states of unknown labels.
        """
        start, bias = self._start_and_bias(states, logits)
        return self.classifier(self.encoder(start, image, bias, self.image_bias))

    def attention(
        self, tokens: Float[Tensor, "B P C"], states: Int[Tensor, "B L"], logits: Float[Tensor, "B L"]
    ) -> list[Float[Tensor, "B K N N"]]:
        """Attention of every layer over image tokens, then label tokens."""
        start, bias = self._start_and_bias(states, logits)
        return self.encoder.attention(start, self.narrow(tokens), bias, self.image_bias)

    def _start_and_bias(
        self, states: Int[Tensor, "R L"], logits: Float[Tensor, "R L"]
    ) -> tuple[Start, Float[Tensor, "R K 1 L"] | float]:
        """Initial label tokens, and what ``positive_bias`` adds to the attention scores towards each."""
        soft = logits.sigmoid() * (states == LabelState.UNKNOWN)
        start = self.encoder.start(self.labels(states) + soft[..., None] * self.labels.known_state[1])
        return start, towards_positive(states, soft, self.positive_bias, self.encoder.num_heads)


class Residual(Pairwise):
    r"""Pairwise logits plus the weighted mean of two encoders' changes,

    .. math:: \ell_i(z, s) + w_i(u) \tfrac12 \big(\Delta^1_i(z, s) + \Delta^2_i(z, s)\big),
        \qquad w_i(u) = \min(\max(\textstyle\sum_k h_k(u) a_k + b_i, 0), 1)

    with pairwise logits :math:`\ell`, encoders :math:`\Delta` of image tokens and states, and the share :math:`u` of known
    labels (:math:`h_k` interpolates linearly between :data:`SHARES` shares). Each encoder is trained on four fifths of the
    pictures, on pairwise logits that were not fitted to the picture; the weights are fitted to the other fifth. So the encoders
    count where they help on new pictures.

    Source: stacking (Wolpert, Neural Networks 5, 1992) of a residual model; cross-fitting as in Chernozhukov et al. (2018).
    """

    needs_epochs = True
    label_parameters = Pairwise.label_parameters
    rate_parts = ("backbone", "shares", "own")

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__(backbone, labels, config)
        self.encoders = nn.ModuleList(LabelEncoder(backbone.channels, len(labels), config) for _ in range(2))
        self.shares = nn.Parameter(torch.full((SHARES,), 0.5))
        self.own = nn.Parameter(torch.zeros(len(labels)))
        self.held_out: HeldOutModels | None = None
        self.entries = 0

    @property
    def both(self) -> list[LabelEncoder]:
        """The encoders."""
        return [encoder for encoder in self.encoders if isinstance(encoder, LabelEncoder)]

    def fit_features(self, table: FeatureTable) -> str:
        """Fit the pairwise model, and those on top of which the encoders are trained.

        Raises:
            UserError: fewer than two pictures, of which none could be held out.
        """
        if table.truth.shape[0] < 2:
            raise UserError(f"{self.title} needs at least two training pictures, got {table.truth.shape[0]}; add pictures")
        inputs, given = self.input_table(table)
        images, how, fits = self.fit_both(inputs, given)
        fits = fits or outer_fits(self, inputs, given, images.l2)
        self.held_out = held_out_models(outer_folds(inputs), fits, how)
        self.entries = int(table.annotated.sum())
        return self.chosen(images, how)

    def image_part(self, features: Features) -> dict[str, Tensor]:
        """Image logits, and the image's part of both encoders."""
        cache = super().image_part(features)
        for number, encoder in enumerate(self.both):
            image = encoder.cache_image(features.tokens.to(self.weight.dtype))
            cache |= {f"{number}.{name}": tensor for name, tensor in image.items()}
        return cache

    def change(
        self, number: int, features: Features, states: Int[Tensor, "R L"], logits: Float[Tensor, "R L"]
    ) -> Float[Tensor, "R L"]:
        """What one encoder adds to the logits of prepared features."""
        prefix, cache = f"{number}.", features.image_cache or {}
        image = {name.removeprefix(prefix): tensor for name, tensor in cache.items() if name.startswith(prefix)}
        return self.both[number](image, states, logits)

    def weights(self, states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        """Weight of the encoders for each row's share of known labels, and each label."""
        share = (states != LabelState.UNKNOWN).to(self.shares.dtype).mean(dim=1, keepdim=True) * (SHARES - 1)
        at = torch.arange(SHARES, device=states.device)
        return (((1 - (share - at).abs()).clamp(min=0) @ self.shares)[:, None] + self.own).clamp(0, 1)

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits of all labels."""
        features = self.prepare(features)
        if not torch.compiler.is_exporting() and features.rows_each(states) > 1 and not torch.is_grad_enabled():
            at_once = self.both[0].encoder.rows_at_once(features.tokens.shape[1], states.shape[1])
            if len(states) > at_once:
                return predict_in_parts(self.predict_labels, features, states, at_once)
        logits, change = self._both_parts(features, states)
        return logits + self.weights(states) * change

    def _both_parts(self, features: Features, states: Int[Tensor, "R L"]) -> tuple[Float[Tensor, "R L"], Float[Tensor, "R L"]]:
        """Pairwise logits of prepared features, and the mean change of the encoders."""
        logits = self.known_logits(*self.image_rows(features, states))
        changes = [self.change(number, features, states, logits) for number in range(len(self.encoders))]
        return logits, torch.stack(changes).mean(dim=0)

    def parts(self, features: Features, states: Int[Tensor, "R L"]) -> dict[str, Float[Tensor, "R L"]]:
        """The linear layer, the pairwise model, and it with the encoders at full weight."""
        logits, change = self._both_parts(features := self.prepare(features), states)
        return super().parts(features, states) | {"pairwise": logits, "pairwise + encoders": logits + change}

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """Those of both encoders, side by side."""
        return torch.cat([encoder.labels.label.weight.detach() for encoder in self.both], dim=1)

    @property
    def has_attention(self) -> bool:
        """True: that of the encoders."""
        return True

    def attention(self, features: Features, states: Int[Tensor, "B L"]) -> list[Float[Tensor, "B K N N"]]:
        """Mean of both encoders."""
        logits = self.known_logits(*self.image_rows(self.prepare(features), states))
        each = [encoder.attention(features.tokens.to(logits.dtype), states, logits) for encoder in self.both]
        return [torch.stack(layers).mean(dim=0) for layers in zip(*each, strict=True)]

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """The encoders' losses, each without the pictures of one fold; then that of the weights, on these pictures."""
        held_out, features, states = step.helper, step.features, step.states
        if not isinstance(held_out, HeldOutModels):
            raise TypeError("residual is trained after fit_features, whose fits without each fold are the step's helper")
        weighting, fold, images = step.stage == WEIGHTS_STAGE, held_out.folds[step.index], self.image_inputs(features)
        chosen, found = list[Tensor](), list[Tensor]()
        for number, encoder in enumerate(self.both):
            encoder.train(self.training and not weighting)  # weights are those of predictions, which have no dropout
            rows = (fold == number if weighting else fold != number).nonzero()[:, 0]
            logits = held_out.logits(self, number, images[rows], states[rows], step.index[rows])
            if len(rows):
                with torch.set_grad_enabled(not weighting):
                    image = encoder.cache_image(features.tokens[rows].to(logits.dtype))
                    change = encoder(image, states[rows], logits)
                logits = logits + (self.weights(states[rows]) * change if weighting else change)
            chosen.append(rows)
            found.append(logits)
        rows = torch.cat(chosen)  # one call, so that the loss of several processes is the loss of all their pictures
        loss = criterion(torch.cat(found), step.truth[rows], states[rows], epoch=step.epoch, index=step.index[rows])
        if not weighting:
            return {"labels": loss}
        shrink = SHRINK / max(self.entries, 1) * self.own.square().sum()
        return {"labels": loss + 0 * self.shares.sum(), "shrink": shrink}  # a batch may have no picture of these folds


def build(config: Config, labels: LabelSpace) -> Residual:
    """The model before its fit."""
    return Residual(backbone_of(config), labels, config)
