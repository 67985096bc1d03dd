"""One linear layer on the averaged image features: the baseline."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.bounds import within
from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.model import Backbone, Features, Method
from ctran.model.attention import repeat_rows

SUMMARY = "one linear layer on the averaged features; known labels are ignored"


@dataclass(frozen=True)
class Config(MethodConfig):
    """Average pooling and one linear layer.

    Args:
        dropout: on the pooled features, in training.
    """

    may_differ = MethodConfig.may_differ | {"dropout"}

    dropout: float = within(0.0, 0, 1, below=True)


class Linear(Method):
    """``logits = W mean_p(z_p) + b``; takes states, as every method does, and ignores them."""

    label_parameters = frozenset({"classifier.weight", "classifier.bias"})
    uses_states = False

    def __init__(self, backbone: Backbone, *, num_labels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(backbone.channels, num_labels)

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits; the same for all ``states``."""
        logits = self.classifier(self.dropout(features.tokens.mean(dim=1, dtype=self.classifier.weight.dtype)))
        features.rows_each(states)  # raises if the images do not divide the rows
        return repeat_rows(logits, states.shape[0])

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.classifier.bias.data.copy_(log_odds)


def build(config: Config, labels: LabelSpace) -> Linear:
    """The model with random weights."""
    return Linear(Backbone(config.backbone, config.image_size), num_labels=len(labels), dropout=config.dropout)
