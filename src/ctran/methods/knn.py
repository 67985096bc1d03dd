"""Nearest neighbours among the training pictures: a floor that every trained method should exceed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.data.feature_table import FeatureTable
from ctran.data.loading import seed_of
from ctran.labels import LabelSpace, LabelState
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.methods._image_fit import descend, log_loss
from ctran.model import Backbone, Features, Method
from ctran.model.attention import repeat_rows

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "share of positives among the most similar training pictures; known labels are ignored"
ABOUT = About(
    source="T. Cover, P. Hart: Nearest neighbor pattern classification, IEEE Transactions on Information Theory 13",
    year=1967,
    needs="averaged image features of all training pictures, which are saved with the model",
)

NEIGHBOURS = (200, 100, 50, 20, 10, 5)
"""Numbers of neighbours that are tried."""
ROWS = 256
"""Pictures that are decided at a time: their neighbours' labels are in memory."""
PRIOR = 2.0
"""Weight of a label's prevalence in a vote, in neighbours."""


@dataclass(frozen=True)
class Config(MethodConfig):
    """Nearest neighbours by the cosine of averaged image features.

    Args:
        examples: training pictures that the model keeps; of more, a random sample.
        neighbours: pictures that vote; null chooses by the pictures' votes for each other.
    """

    may_differ = MethodConfig.may_differ | {"examples", "neighbours"}

    examples: int = within(4096, 1)
    neighbours: int | None = within(None, 1)

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Further views: pictures are compared in the test transform, the first view."""
        yield from super().unused(training)
        if training.feature_views > 1:
            yield "training.feature_views", "pictures are compared by their first view alone"


class KNN(Method):
    """``p = (positive neighbours + prior) / (annotated neighbours + prior)``, as logits."""

    fits_features = True
    needs_epochs = False
    uses_states = False
    not_exported = "it compares a picture with stored training pictures"
    statistics = frozenset({"examples", "truth", "prevalence", "neighbours"})
    examples: Tensor
    truth: Tensor
    prevalence: Tensor
    neighbours: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        self.register_buffer("examples", torch.zeros(config.examples, backbone.channels))
        self.register_buffer("truth", torch.zeros(config.examples, len(labels), dtype=torch.int8))
        self.register_buffer("prevalence", torch.full((len(labels),), 0.5))
        self.register_buffer("neighbours", torch.tensor(config.neighbours or 1))

    def fit_features(self, table: FeatureTable) -> str:
        """Keep the pictures in the test transform, and choose the number of neighbours by leaving each picture out."""
        pictures = table.views.shape[1]
        generator = torch.Generator().manual_seed(seed_of(table.seed, 22))
        kept = torch.randperm(pictures, generator=generator)[: self.config.examples].sort().values
        self.examples.zero_()
        self.truth.zero_()
        self.examples[: len(kept)] = F.normalize(table.views[0, kept], dim=1)
        self.truth[: len(kept)] = table.target[kept].to(torch.int8)
        self.prevalence.copy_(table.prevalence)
        if self.config.neighbours is None:
            similar = self.examples[: len(kept)] @ self.examples.T
            similar.fill_diagonal_(-torch.inf)
            positive, annotated = table.positive[kept], table.annotated[kept]
            possible = [k for k in NEIGHBOURS if k < len(kept)] or [1]
            chosen = descend(possible, lambda k: log_loss(self.votes(similar, int(k)), positive, annotated))
            self.neighbours.fill_(int(chosen))
        return f"{int(self.neighbours)} neighbours among {len(kept):,} pictures"

    def votes(self, similar: Float[Tensor, "B M"], neighbours: int) -> Float[Tensor, "B L"]:
        """Logits from the nearest examples.

        Args:
            similar: cosine with each example; examples that are zero (fewer pictures than ``examples``) do not vote.
        """
        return torch.cat([self._votes(part, neighbours) for part in similar.split(ROWS)])

    def _votes(self, similar: Float[Tensor, "B M"], neighbours: int) -> Float[Tensor, "B L"]:
        empty = (self.examples == 0).all(dim=1)
        nearest = similar.masked_fill(empty, -torch.inf).topk(min(neighbours, similar.shape[1]), dim=1)
        chosen = self.truth[nearest.indices]
        counts = nearest.values.isfinite()[..., None]
        positive = ((chosen == LabelState.POSITIVE) & counts).sum(dim=1)
        annotated = ((chosen != LabelState.UNKNOWN) & counts).sum(dim=1)
        return ((positive + PRIOR * self.prevalence) / (annotated + PRIOR)).logit()

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits; the same for all ``states``."""
        features.rows_each(states)  # raises if the images do not divide the rows
        pooled = F.normalize(features.tokens.mean(dim=1, dtype=torch.float32), dim=1)
        return repeat_rows(self.votes(pooled @ self.examples.T, int(self.neighbours)), states.shape[0])

    @property
    def has_contributions(self) -> bool:
        """False: a vote does not come from places of the picture."""
        return False


def build(config: Config, labels: LabelSpace) -> KNN:
    """The model before its fit."""
    return KNN(backbone_of(config), labels, config)
