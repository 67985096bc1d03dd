"""How a method defines its training: stages, and the inputs of its loss."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.model.backbone import Features


@dataclass(frozen=True)
class Stage:
    """Consecutive epochs of training. The next stage starts from the averaged weights, with a fresh optimizer and schedule.

    Args:
        epochs: number of epochs; a stage with 0 is skipped.
        name: for the method's loss (:attr:`TrainingStep.stage`).
        learning_rates: part of the model (:attr:`ctran.model.Method.rate_parts`, or an empty string for the rest) -> rate; 0
            freezes it. Parts that are not named, or None, have the recipe's.
        hide_images: whether the recipe's ``training.hide_image`` applies.
    """

    epochs: int
    name: str = ""
    learning_rates: Mapping[str, float | None] = field(default_factory=dict)
    hide_images: bool = True


@dataclass(frozen=True)
class TrainingStep:
    """Inputs of a loss, for ``B`` pictures.

    Args:
        features: of the pictures.
        truth: :class:`~ctran.labels.LabelState` codes of the annotation.
        states: codes of the known labels; the others count in the loss if they are annotated.
        index: row of each picture in the training table.
        hide_image: pictures whose image is left out; None if the option is off.
        epoch: from 0.
        stage: name of the stage.
        helper: module that the method trains beside the model (:meth:`ctran.methods._base.MethodConfig.helper`).
    """

    features: Features
    truth: Int[Tensor, "B L"]
    states: Int[Tensor, "B L"]
    index: Int[Tensor, " B"]
    hide_image: Bool[Tensor, " B"] | None = None
    epoch: int = 0
    stage: str = ""
    helper: nn.Module | None = None


Losses = dict[str, Float[Tensor, ""]]
"""Terms by name; their sum is minimised, the curves show the first."""
