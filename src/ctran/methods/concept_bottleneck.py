"""Concept bottleneck models (Koh et al., ICML 2020): classes from concepts, which may be given instead of predicted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.bounds import within
from ctran.labels import LabelSpace, LabelState
from ctran.losses._base import EntryLoss, LabelLoss
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.model import Backbone, Features, Method, Stage, TrainingStep
from ctran.model.attention import repeat_rows
from ctran.model.stages import Losses

if TYPE_CHECKING:
    from ctran.data.table import SampleTable
    from ctran.training.options import Training

SUMMARY = "concept bottleneck: classes from predicted concepts (extra labels), known concepts are interventions"
ABOUT = About(
    source="P. W. Koh, T. Nguyen, Y. S. Tang, S. Mussmann, E. Pierson, B. Kim, P. Liang: Concept Bottleneck Models, ICML; "
    "yewsiang/ConceptBottleneck d6353f2",
    year=2020,
    needs="extra labels, which are the concepts; without any, all labels are concepts and all are predicted from them",
    differs="the percentiles that known concepts take are those of the training pictures, a running mean over batches, not of "
    "the test pictures; no auxiliary classifier of Inception; an average over draws of known groups, where the code returns "
    "their maximum; sequential sees freshly augmented pictures, where the code augments each once; norms and biases have no "
    "weight decay, and both stages have the same; the rate has no floor",
    uncertain="the figures of 10, 15 and 20 groups in C-Tran's Table 4 seem to be read off a plot of the joint model",
    compared="yewsiang/ConceptBottleneck d6353f2: logits from averaged features differ by at most 3e-7",
)

Variant = Literal["joint", "sequential", "independent", "standard", "multi_task", "no_bottleneck"]
TWO_STAGES = ("sequential", "independent")
BOTTLENECKS = (*TWO_STAGES, "joint", "standard")
PERCENTILES = (0.05, 0.95)
"""Logits that a concept takes where it is known to be absent, and present: these percentiles of the predicted ones."""
SLOWEST = 0.01
"""Least weight of a batch in the running percentiles."""


@dataclass(frozen=True)
class Config(MethodConfig):
    """Concept bottleneck models; concepts are the extra labels, classes the others.

    Args:
        variant: joint trains all at once; sequential first the concepts, then classes from predicted concepts; independent
            first the concepts, then classes from true concepts; standard is joint without a loss of concepts; multi_task
            predicts concepts and classes side by side, no_bottleneck classes alone: these two ignore known labels.
        concept_weight: lambda, weight of each concept's loss beside that of the classes (joint, multi_task).
        weighted: multiply a concept's loss by negatives / positives in the training pictures, both of its terms alike.
        normalise: divide the loss of joint and multi_task by 1 + concept_weight times the number of concepts.
        concept_share: share of the epochs in which concepts are trained (sequential, independent).
        task_learning_rate: of the epochs that train classes from concepts (sequential, independent); null is
            training.learning_rate.
    """

    may_differ = MethodConfig.may_differ | {"concept_weight", "weighted", "normalise", "concept_share", "task_learning_rate"}

    variant: Variant = "joint"
    concept_weight: float = within(0.01, 0)
    weighted: bool = True
    normalise: bool = True
    concept_share: float = within(2 / 3, 0, 1)
    task_learning_rate: float | None = within(None, 0)

    def published_as(self, training: "Training") -> tuple[str, ...]:
        """Models without a bottleneck one by one, those with one together."""
        return ("bottleneck" if self.variant in BOTTLENECKS else self.variant,)

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """Concepts, then classes; or all at once."""
        if self.variant not in TWO_STAGES:
            return super().stages(epochs)
        first = round(self.concept_share * epochs)
        return (
            Stage(first, "concepts", {"task": 0.0}),
            Stage(epochs - first, "task", {"backbone": 0.0, "image": 0.0, "task": self.task_learning_rate}),
        )

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Options of another variant."""
        yield from super().unused(training)
        why = f"model.variant is {self.variant}"
        if self.variant not in ("joint", "multi_task"):
            yield from ((key, why) for key in ("concept_weight", "normalise"))
        if self.variant in ("standard", "no_bottleneck"):
            yield "weighted", f"{why}, which has no loss of concepts"
        if self.variant not in TWO_STAGES:
            yield from ((key, why) for key in ("concept_share", "task_learning_rate"))


class WeightedBCE(EntryLoss):
    """Binary cross-entropy times a weight for each label."""

    def __init__(self, weights: Float[Tensor, " L"]) -> None:
        super().__init__()
        self.weights = weights

    def forward(
        self, logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], *, epoch: int = 0, index: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B L"]:
        positive = (truth == LabelState.POSITIVE).to(logits.dtype)
        return self.weights * F.binary_cross_entropy_with_logits(logits, positive, reduction="none")


class MultiTask(Method):
    r"""Concepts and classes side by side, :math:`c, y = W \bar z + b`: without a bottleneck, so known concepts change nothing.

    The loss of a picture is that of its classes plus :math:`\lambda \sum_k w_k \mathrm{BCE}_k` over its concepts, divided by
    :math:`1 + \lambda K`; ``training.reduction`` is over pictures.
    """

    label_parameters = frozenset({"image.weight", "image.bias"})
    statistics = frozenset({"imbalance"})
    uses_states = False
    concepts: Tensor
    classes: Tensor
    imbalance: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        self.image = nn.Linear(backbone.channels, len(labels))
        self.num_concepts = len(labels.extra) or len(labels)
        self.register_buffer("concepts", ~labels.targets if labels.extra else labels.targets, persistent=False)
        self.register_buffer("classes", labels.targets, persistent=False)
        self.register_buffer("imbalance", torch.ones(len(labels)))

    def fit_statistics(self, table: "SampleTable") -> None:
        """``imbalance``: negatives over positives of each label; 1 where there are none of either kind."""
        _, negative, positive = table.assumed.counts()
        both = (negative > 0) & (positive > 0)
        self.imbalance.copy_(torch.where(both, negative / positive.clamp(min=1), 1.0))

    def prepare(self, features: Features) -> Features:
        """The features with the logits of :attr:`image`."""
        return replace(features, image_cache={"logits": self.image(self.pooled(features).to(self.image.weight.dtype))})

    def image_logits(self, features: Features) -> Float[Tensor, "B L"]:
        """Linear layer on averaged image features."""
        cache = features.image_cache or self.prepare(features).image_cache
        assert cache is not None
        return cache["logits"]

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits; the same for all ``states``."""
        features.rows_each(states)  # raises if the images do not divide the rows
        return repeat_rows(self.image_logits(features), states.shape[0])

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """Of classes by the recipe's loss, of concepts by weighted cross-entropy."""
        logits = self.predict_labels(step.features, step.states)
        return self._both(logits, logits, step, criterion)

    def _both(
        self, logits: Float[Tensor, "B L"], concepts: Float[Tensor, "B L"], step: TrainingStep, criterion: LabelLoss
    ) -> Losses:
        """Losses of logits of classes and logits of concepts."""
        terms = {"labels": self._of_classes(logits, step, criterion)}
        if self.config.variant in ("standard", "no_bottleneck"):
            return terms
        weight = self.config.concept_weight
        terms["concepts"] = weight * self._of_concepts(concepts, step, criterion)
        scale = 1 + weight * self.num_concepts if self.config.normalise else 1
        return {name: term / scale for name, term in terms.items()}

    def _of_classes(self, logits: Float[Tensor, "B L"], step: TrainingStep, criterion: LabelLoss) -> Float[Tensor, ""]:
        return _each_picture(criterion, logits, self.classes, step)

    def _of_concepts(self, logits: Float[Tensor, "B L"], step: TrainingStep, criterion: LabelLoss) -> Float[Tensor, ""]:
        weights = self.imbalance if self.config.weighted else torch.ones_like(self.imbalance)
        across = {"reduction": criterion.reduction, "across_processes": criterion.across_processes}
        return _each_picture(LabelLoss(WeightedBCE(weights), **across), logits, self.concepts, step)

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.image.bias.data.copy_(log_odds)


def _each_picture(
    criterion: LabelLoss, logits: Float[Tensor, "B L"], counted: Bool[Tensor, " L"], step: TrainingStep
) -> Float[Tensor, ""]:
    """Loss of some of the labels, summed over the labels of a picture; mean or sum over pictures, as the recipe's reduction."""
    value = criterion(logits, step.truth, step.states, epoch=step.epoch, index=step.index, labels=counted)
    if criterion.reduction == "sum":
        return value
    return value * criterion.counted(step.truth, step.states, counted).sum() / len(step.truth)


class Bottleneck(MultiTask):
    r"""Classes from concepts alone: :math:`\hat c = W \bar z + b`, :math:`y = V g + v`.

    :math:`g_k` is what the second layer gets of concept :math:`k`: its logit, or its probability where the variant is
    ``independent``. A known concept takes 0 or 1 in place of a probability, and in place of a logit the 5th or 95th percentile
    of the logits predicted for it (test-time intervention, Sec. 5).

    Shapes: :math:`V` is ``[L, L]``, of which the rows of classes and the columns of concepts are used, so that labels may be
    exchanged in fine-tuning.
    """

    label_parameters = MultiTask.label_parameters | {"task.bias", "percentiles"}
    label_matrices = frozenset({"task.weight"})
    rate_parts = ("backbone", "image", "task")
    uses_states = True
    trains_with_known = False  # interventions are made at test time alone
    percentiles: Tensor
    batches: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__(backbone, labels, config)
        self.task = nn.Linear(len(labels), len(labels))
        bound = self.num_concepts**-0.5  # PyTorch's of a layer with the concepts as its only inputs
        nn.init.uniform_(self.task.weight, -bound, bound)
        nn.init.uniform_(self.task.bias, -bound, bound)
        self.register_buffer("percentiles", torch.tensor([-1.0, 1.0]).repeat(len(labels), 1))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def given(self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        """Inputs of the second layer from predicted logits of concepts and known concepts; 0 for labels that are none."""
        if self.config.variant == "independent":
            absent, present, predicted = torch.zeros_like(logits), torch.ones_like(logits), logits.sigmoid()
        else:
            absent, present = self.percentiles.T
            predicted = logits
        known = torch.where(states == LabelState.POSITIVE, present, absent)
        return torch.where(states == LabelState.UNKNOWN, predicted, known) * self.concepts

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits of classes given the known concepts; those of concepts do not depend on known labels."""
        image = super().predict_labels(features, states)
        return torch.where(self.classes, self.task(self.given(image, states)), image)

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """Of the stage: concepts, classes from fixed concepts (true ones if independent), or both."""
        image = self.image_logits(step.features)
        self._count(image.detach())
        if step.stage == "concepts":
            return {"concepts": self._of_concepts(image, step, criterion) / self.num_concepts}
        if step.stage == "task":
            states = step.truth if self.config.variant == "independent" else step.states
            return {"labels": self._of_classes(self.task(self.given(image.detach(), states)), step, criterion)}
        return self._both(self.task(self.given(image, step.states)), image, step, criterion)

    @torch.no_grad()
    def _count(self, logits: Float[Tensor, "B L"]) -> None:
        """Move the percentiles towards those of a batch: their mean at first, later a moving one."""
        self.batches += 1
        seen = torch.stack([torch.quantile(logits.float(), at, dim=0) for at in PERCENTILES], dim=1)
        self.percentiles.lerp_(seen, max(1 / int(self.batches), SLOWEST))

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        super().set_prior(log_odds)
        self.task.bias.data.copy_(log_odds)


def build(config: Config, labels: LabelSpace) -> MultiTask:
    """The model with random weights."""
    kind = Bottleneck if config.variant in BOTTLENECKS else MultiTask
    return kind(backbone_of(config), labels, config)
