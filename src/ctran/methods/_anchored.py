"""The network of the method ``anchored``; its options are in ``anchored.py``."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.errors import UserError
from ctran.labels import LabelState
from ctran.losses._base import LabelLoss
from ctran.methods._crossfit import CrossFit
from ctran.methods._encoder_options import Layer, towards_positive
from ctran.model import Backbone, CTran, Features, TrainingStep
from ctran.model.attention import repeat_rows
from ctran.model.encoder import Start
from ctran.model.stages import Losses

SEPARATE = "separate"
"""Name of the stage in which encoder and anchor learn each without the other."""


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

    name = "anchored"  # in messages; by default it is that of the file
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
