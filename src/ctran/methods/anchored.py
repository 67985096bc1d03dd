"""C-Tran with an anchor, and other changes beyond the paper for small data sets and frozen backbones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods import ctran
from ctran.methods._about import About
from ctran.methods._anchored import SEPARATE, Anchored
from ctran.methods._base import backbone_of
from ctran.methods._crossfit import CrossFit
from ctran.methods._encoder_options import Layer as Layer  # residual takes both from here
from ctran.methods._encoder_options import towards_positive as towards_positive
from ctran.model import Method, Stage

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "C-Tran with an anchor: a linear layer reads the image, the encoder what known labels change (beyond the paper)"
ABOUT = About(
    source="this project, on C-Tran (CVPR 2021)",
    year=2026,
    differs="the whole method: the paper's encoder predicts from the image alone, too",
)


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


def build(config: Config, labels: LabelSpace) -> Anchored:
    """The model with random weights."""
    options = {name: getattr(config, name) for name in (*ctran.OPTIONS, *OPTIONS)}
    return Anchored(backbone_of(config), num_labels=len(labels), **options)
