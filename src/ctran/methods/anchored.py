"""C-Tran with an anchor, and other changes beyond the paper for small data sets and frozen backbones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace, LabelState
from ctran.losses._base import LabelLoss
from ctran.methods import ctran
from ctran.methods._base import backbone_of
from ctran.methods._crossfit import CrossFit
from ctran.model import Backbone, CTran, Features, Method, Stage, TrainingStep
from ctran.model.attention import repeat_rows
from ctran.model.encoder import EncoderLayer, Start
from ctran.model.stages import Losses

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "C-Tran with an anchor: a linear layer reads the image, the encoder what known labels change (beyond the paper)"
SEPARATE = "separate"
"""Name of the stage in which encoder and anchor learn each without the other."""


@dataclass(frozen=True)
class Config(ctran.Config):
    """C-Tran with changes beyond the paper; with anchor false and all else at its default it is the paper's model.

    Args:
        anchor: logits = linear layer on the averaged image features + change of the encoder's logits by image tokens and
            known labels.
        soft_states: an unknown label's state is P times the anchor's probability, not 0.
        attention_dropout: false keeps dropout out of the attention weights.
        positive_bias: added to attention scores towards known positive labels, in half of the heads.
        image_bias: added to attention scores towards image tokens.
        token_dropout: share of the image tokens' channels set to zero in training.
        pooled_dropout: the same for the averaged features of the anchor.
        orthogonal: start the attention's matrices orthogonal.
        separate_epochs: number of first epochs of training.epochs in which the encoder learns from labels alone and the anchor
            from images alone; the other epochs train their sum.
        separate_learning_rate: of encoder and anchor in separate_epochs; null is as in other epochs.
        anchor_learning_rate: of the anchor; null is training.learning_rate, 0 freezes it (but see separate_learning_rate).
        anchor_weight_decay: of the anchor; null is training.weight_decay.
        anchor_folds: number of copies of the anchor, each trained without its share of the pictures in separate_epochs; in the
            others the encoder learns with the logits of the copy not trained on the picture. 0 is none.
    """

    may_differ = ctran.Config.may_differ | {
        *("token_dropout", "pooled_dropout", "separate_epochs", "separate_learning_rate"),
        *("anchor_learning_rate", "anchor_weight_decay", "anchor_folds"),
    }
    renamed: ClassVar[Mapping[str, str]] = {
        "training.apart_epochs": "model.separate_epochs",
        "training.apart_learning_rate": "model.separate_learning_rate",
        "training.anchor_learning_rate": "model.anchor_learning_rate",
        "training.anchor_weight_decay": "model.anchor_weight_decay",
        "training.anchor_folds": "model.anchor_folds",
    }

    anchor: bool = True
    soft_states: bool = False
    attention_dropout: bool = True
    positive_bias: float = within(0.0)
    image_bias: float = within(0.0)
    token_dropout: float = within(0.0, 0, 1, below=True)
    pooled_dropout: float = within(0.0, 0, 1, below=True)
    orthogonal: bool = False
    separate_epochs: int = within(0, 0)
    separate_learning_rate: float | None = within(None, 0)
    anchor_learning_rate: float | None = within(None, 0)
    anchor_weight_decay: float | None = within(None, 0)
    anchor_folds: int = within(0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.anchor_folds == 1:
            raise UserError(f"model.anchor_folds must be 0 or at least 2, got {self.anchor_folds}")
        if self.anchor_folds and (not self.separate_epochs or self.anchor_learning_rate != 0):
            raise UserError("model.anchor_folds needs model.separate_epochs, which train the folds, and anchor_learning_rate 0")
        if self.separate_epochs and not self.anchor:
            raise UserError("model.separate_epochs needs model.anchor true: there are no two parts to train separately")
        if self.soft_states and not self.anchor:
            raise UserError("model.soft_states needs model.anchor: without an anchor there is no probability to be the state")

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """Encoder and anchor separately, then jointly; either may have no epochs."""
        if not self.separate_epochs <= epochs:
            raise UserError(
                "model.separate_epochs must lie between 0 and training.epochs, "
                f"got {self.separate_epochs} of {epochs}: they are the first of the epochs; set both"
            )
        own = self.separate_learning_rate
        separately = {"": own, "anchor": self.anchor_learning_rate if own is None else own}
        jointly = {"anchor": self.anchor_learning_rate}
        return (
            Stage(self.separate_epochs, SEPARATE, separately, hide_images=False),
            Stage(epochs - self.separate_epochs, "joint", jointly),
        )

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Options of an anchor, an image, states, dropout, epochs or copies that there are not."""
        yield from super().unused(training)
        of_anchor = ("pooled_dropout", "anchor_learning_rate", "anchor_weight_decay")
        if not self.anchor:
            yield from ((key, "model.anchor is false") for key in of_anchor)
        if not self.use_image:
            of_image = ("soft_states", "image_bias", "token_dropout", "anchor_folds", *of_anchor)
            yield from ((key, "model.use_image is false") for key in of_image)
        if not self.use_states and not (self.soft_states and self.use_image):
            yield "positive_bias", "model.use_states is false, so no label is known to be positive"
        if not self.dropout:
            yield "attention_dropout", "model.dropout is 0"
        if not self.separate_epochs:
            yield "separate_learning_rate", "model.separate_epochs is 0"
        rates = {s.name: s.learning_rates["anchor"] for s in self.stages(max(training.epochs, 1)) if s.epochs}
        if all(rate == 0 for rate in rates.values()):
            yield "anchor_weight_decay", "the anchor's learning rate is 0 in all epochs"
        if rates.get(SEPARATE) == 0:
            yield "anchor_folds", "the anchor's learning rate is 0 in model.separate_epochs (see model.separate_learning_rate)"
        if "joint" not in rates:
            why = "no epochs follow model.separate_epochs"
            yield "anchor_folds", why
            if self.separate_learning_rate is not None and not self.anchor_folds:
                yield "anchor_learning_rate", f"{why}, and these have model.separate_learning_rate"

    def helper(self, model: Method) -> CrossFit | None:
        """Copies of the anchor; None for a model without image."""
        if not self.anchor_folds or not isinstance(model, Anchored) or model.anchor is None:
            return None
        return CrossFit(model.anchor, folds=self.anchor_folds, dropout=model.pooled_dropout)


OPTIONS = (
    "anchor",
    "soft_states",
    "attention_dropout",
    "positive_bias",
    "image_bias",
    "token_dropout",
    "pooled_dropout",
    "orthogonal",
    "anchor_weight_decay",
)
"""Options of :class:`Anchored` beside those of C-Tran."""


class Anchored(CTran):
    r"""C-Tran, anchored to a linear layer.

    With :math:`f` the paper's logits, from encoder and classifier, and :math:`\bar z` the averaged image features,

    .. math:: A \bar z + a + f(z, s) - f(\emptyset, 0),

    where :math:`f(\emptyset, 0)` are the unconditional logits, without image and with all labels unknown: a linear layer
    predicts from the picture, the encoder adds the effect of tokens and known labels. Without image the anchor is the
    classifier's bias.

    Args:
        backbone, num_labels, options: of :class:`~ctran.model.CTran`.
        anchor: False leaves the anchor out; the options that follow work without it, except ``soft_states``.
        soft_states: the state of an unknown label is not 0 but ``P`` times the anchor's probability that it is present, so that
            the picture's evidence for one label influences the others as known labels do.
        attention_dropout: False keeps dropout out of the attention weights (the fused kernel then runs on CPU).
        positive_bias: added to the attention scores towards labels that are known to be present (times the probability, for
            soft states), in the first half of the heads, so that from the first step on they stand out among many labels.
        image_bias: added to the attention scores towards image tokens.
        token_dropout, pooled_dropout: share of the channels set to zero in training, of the image tokens in the encoder
            and of the averaged features in the anchor.
        orthogonal: start the attention's matrices orthogonal.
        anchor_weight_decay: of the anchor in training; None is the recipe's.
    """

    label_parameters = CTran.label_parameters | {"anchor.weight", "anchor.bias"}
    rate_parts = ("backbone", "anchor")
    unconditional: Tensor | None

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_labels: int,
        anchor: bool = True,
        soft_states: bool = False,
        attention_dropout: bool = True,
        positive_bias: float = 0.0,
        image_bias: float = 0.0,
        token_dropout: float = 0.0,
        pooled_dropout: float = 0.0,
        orthogonal: bool = False,
        anchor_weight_decay: float | None = None,
        **options: Any,
    ) -> None:
        layer = partial(Layer, attention_dropout=attention_dropout, orthogonal=orthogonal)
        super().__init__(backbone, num_labels=num_labels, layer=layer, **options)
        if soft_states and not anchor:
            raise UserError("soft_states needs an anchor: without it there is no probability to be the state")
        self.anchored, self.soft_states = anchor, soft_states
        self.positive_bias, self.image_bias = positive_bias, image_bias
        self.token_dropout, self.pooled_dropout = token_dropout, pooled_dropout
        self.anchor = nn.Linear(backbone.channels, num_labels) if anchor and self.use_image else None
        self.weight_decays = {} if anchor_weight_decay is None else {"anchor": anchor_weight_decay}
        self.register_buffer("unconditional", None, persistent=False)

    def pooled_logits(self, features: Features) -> Float[Tensor, "B L"]:
        """The anchor: a linear layer on the averaged image features."""
        assert self.anchor is not None
        pooled = features.tokens.mean(dim=1, dtype=self.anchor.weight.dtype)
        return self.anchor(F.dropout(pooled, self.pooled_dropout, self.training))

    def encode_labels(
        self,
        image: Mapping[str, Tensor] | None,
        states: Int[Tensor, "R L"],
        anchor: Float[Tensor, "R L"] | None = None,
    ) -> Float[Tensor, "R L"]:
        """Logits of encoder and classifier alone.

        Args:
            anchor: logits for soft states; None leaves the states of unknown labels at 0.
        """
        start, bias = self._start_and_bias(states, anchor)
        return self.classifier(self.encoder(start, image, bias, self.image_bias))

    def _start_and_bias(
        self, states: Int[Tensor, "R L"], anchor: Float[Tensor, "R L"] | None
    ) -> tuple[Start, Float[Tensor, "R K 1 L"] | float]:
        """Initial label tokens, and what ``positive_bias`` adds to the attention scores towards each."""
        soft = anchor.sigmoid() * (states == LabelState.UNKNOWN) if self.soft_states and anchor is not None else None
        if soft is None:
            start = self._start(states)
        else:
            start = self.encoder.start(self.labels(states) + soft[..., None] * self.labels.known_state[1])
        return start, towards_positive(states, soft, self.positive_bias, self.encoder.num_heads)

    @torch.no_grad()
    def precompute(self) -> None:
        self.unconditional = self._unconditional()
        if not self.soft_states:
            super().precompute()

    def _channels(self, features: Features) -> Float[Tensor, "B P C"]:
        tokens = super()._channels(features)
        if self.training and self.token_dropout:  # the same channels in all tokens of an image
            tokens = tokens * F.dropout(torch.ones_like(tokens[:, :1]), self.token_dropout)
        return tokens

    def prepare(self, features: Features) -> Features:
        """As in C-Tran, with the anchor's logits; if the features hold logits named ``anchor`` already, these are used."""
        given = dict(features.image_cache or {})
        if not (self.anchored and self.use_image) or given.keys() - {"anchor"}:
            return super().prepare(features)
        image = self.encoder.cache_image(self.image_tokens(features))
        image["unconditional"] = self._unconditional().expand(features.tokens.shape[0], -1)
        image["anchor"] = given["anchor"] if given else self.pooled_logits(features)
        return replace(features, image_cache=image)

    def _logits(self, image: Mapping[str, Tensor] | None, states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        if not self.anchored:
            return self.encode_labels(image, states)
        if image is None:
            return self.encode_labels(None, states) + self.classifier.bias - self._unconditional()
        tokens = dict(image)
        anchor, unconditional = (repeat_rows(tokens.pop(name), states.shape[0]) for name in ("anchor", "unconditional"))
        return anchor + self.encode_labels(tokens, states, anchor) - unconditional

    def _unconditional(self) -> Float[Tensor, "1 L"]:
        """Logits of encoder and classifier without image and with all labels unknown."""
        if self.unconditional is not None:
            return self.unconditional
        nothing = torch.zeros_like(self.classifier.bias, dtype=torch.long)
        return self.encode_labels(None, nothing[None])

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """In the separate stage, losses of the encoder on labels alone and of the anchor on images alone; in the joint stage
        label mask training, with the logits of the anchor's copy that was not trained on the picture, if there are copies."""
        if step.stage == SEPARATE:
            return self._separate_losses(step, criterion)
        if isinstance(step.helper, CrossFit):
            held_out = step.helper.held_out(step.features.tokens.mean(dim=1), step.index)
            step = replace(step, features=replace(step.features, image_cache={"anchor": held_out}))
        return super().loss(step, criterion)

    def _separate_losses(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        features, truth, rows = step.features, step.truth, {"epoch": step.epoch, "index": step.index}
        hidden = torch.ones(len(truth), dtype=torch.bool, device=truth.device)
        logits = self.predict_labels(features, step.states, hide_image=hidden)
        losses = {"labels": criterion(logits, truth, step.states, **rows)}
        if self.anchor is None:
            return losses
        losses["anchor"] = criterion(self.pooled_logits(features), truth, torch.zeros_like(step.states), **rows)
        if isinstance(step.helper, CrossFit):
            pooled = features.tokens.mean(dim=1)
            losses["copies"] = step.helper.loss(pooled, truth, step.index, criterion, epoch=step.epoch)
        return losses

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        super().set_prior(log_odds)
        if self.anchor is not None:
            self.anchor.bias.data.copy_(log_odds)

    def attention(self, features: Features, states: Int[Tensor, "B L"]) -> list[Float[Tensor, "B K N N"]]:
        states = states if self.use_states else torch.zeros_like(states)
        anchor = self.pooled_logits(features) if self.soft_states and self.use_image else None
        start, bias = self._start_and_bias(states, anchor)
        image = self.image_tokens(features) if self.use_image else None
        return self.encoder.attention(start, image, bias, self.image_bias)


def towards_positive(
    states: Int[Tensor, "R L"], soft: Float[Tensor, "R L"] | None, bias: float, heads: int
) -> Float[Tensor, "R K 1 L"] | float:
    """What is added to the attention scores towards each label: ``bias`` for known positives, in the first half of the heads.

    Args:
        soft: probabilities of unknown labels, which get that share of ``bias``; None for none.
    """
    if not bias:
        return 0.0
    present = (states == LabelState.POSITIVE).float()
    present = present if soft is None else present + soft
    first_half = (torch.arange(heads, device=states.device) < heads / 2)[:, None, None]
    return bias * present[:, None, None, :] * first_half


class Layer(EncoderLayer):
    """An encoder layer that may start orthogonal and keep dropout out of its attention weights."""

    def __init__(self, *, dim: int, num_heads: int, dropout: float, attention_dropout: bool, orthogonal: bool) -> None:
        super().__init__(dim=dim, num_heads=num_heads, dropout=dropout)
        if not attention_dropout:
            self.attention_dropout = 0.0
        if orthogonal:
            for square in (*self.qkv.weight.data.chunk(3), self.out.weight.data):
                nn.init.orthogonal_(square)


def build(config: Config, labels: LabelSpace) -> Anchored:
    """The model with random weights."""
    options = {name: getattr(config, name) for name in (*ctran.OPTIONS, *OPTIONS)}
    return Anchored(backbone_of(config), num_labels=len(labels), **options)
