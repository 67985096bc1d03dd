"""One linear layer on the pooled image features: the baseline."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.bounds import within
from ctran.data.feature_table import FeatureTable
from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.methods._image_fit import fit_images
from ctran.methods._pooling import Pooling, pool, pooled_width
from ctran.model import Backbone, Features, Method
from ctran.model.attention import repeat_rows

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "one linear layer on pooled image features; known labels are ignored"
ABOUT = About(
    source="logistic regression on averaged features, as the baseline of Z.-M. Chen et al., ML-GCN, CVPR",
    year=2019,
    needs="solver lbfgs: averaged image features of all training pictures, in memory",
)


@dataclass(frozen=True)
class Config(MethodConfig):
    """Pooling and one linear layer. Of a ResNet-101, mean and max are the rows GAP and GMP of published tables.

    Args:
        solver: sgd trains for epochs, with the part training; lbfgs fits a logistic regression a label to stored features
            (training.feature_views) in one step, with a penalty chosen by cross-validation, and needs training.epochs 0.
        dropout: on the pooled features, in training; solver sgd alone.
        pooling: of the image tokens: mean; max, the greatest value of each channel; or mean_max, both.
    """

    may_differ = MethodConfig.may_differ | {"solver", "dropout"}

    solver: Literal["sgd", "lbfgs"] = "sgd"
    dropout: float = within(0.0, 0, 1, below=True)
    pooling: Pooling = "mean"

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Dropout belongs to gradient steps."""
        yield from super().unused(training)
        if self.solver != "sgd":
            yield "dropout", f"it belongs to model.solver sgd, and this is {self.solver}"

    def published_as(self, training: "Training") -> tuple[str, ...]:
        """The pooling, of which the literature has two."""
        return (f"pooling {self.pooling}",)


class Linear(Method):
    """``logits = W pool_p(z_p) + b``; takes states, as every method does, and ignores them."""

    label_parameters = frozenset({"classifier.weight", "classifier.bias"})
    uses_states = False

    def __init__(
        self, backbone: Backbone, *, num_labels: int, dropout: float = 0.0, solver: str = "sgd", pooling: Pooling = "mean"
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.fits_features = solver == "lbfgs"
        self.needs_epochs = not self.fits_features
        self.dropout = nn.Dropout(dropout)
        self.pooling: Pooling = pooling
        self.classifier = nn.Linear(pooled_width(backbone.channels, pooling), num_labels)

    def pooled(self, features: Features) -> Float[Tensor, "B C"]:
        """The linear layer's input."""
        return pool(features.tokens.to(self.classifier.weight.dtype), self.pooling)

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits; the same for all ``states``."""
        logits = self.classifier(self.dropout(self.pooled(features)))
        features.rows_each(states)  # raises if the images do not divide the rows
        return repeat_rows(logits, states.shape[0])

    def fit_features(self, table: FeatureTable) -> str:
        """Logistic regressions by L-BFGS (``solver: lbfgs``)."""
        found = fit_images(table)
        self.classifier.weight.data.copy_(found.weight)
        self.classifier.bias.data.copy_(found.bias)
        return f"penalty of image weights {found.l2:g}"

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.classifier.bias.data.copy_(log_odds)


def build(config: Config, labels: LabelSpace) -> Linear:
    """The model with random weights."""
    backbone = backbone_of(config)
    return Linear(backbone, num_labels=len(labels), dropout=config.dropout, solver=config.solver, pooling=config.pooling)
