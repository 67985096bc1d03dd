"""The authors' checkpoints as models of this library."""

from dataclasses import replace

import torch

from ctran.folders.config import config_of
from ctran.folders.tagger import Tagger
from ctran.labels import LabelSpace
from ctran.methods.ctran import Config, build
from ctran.paper.checkpoints import Checkpoint


def tagger_of(
    checkpoint: Checkpoint, labels: LabelSpace | None, *, heads: int, image_size: int | None, use_states: bool
) -> Tagger:
    """The model of a checkpoint.

    Args:
        checkpoint: of the authors' released code.
        labels: in the order of training; None takes those that the checkpoint's kind has.
        heads: attention heads, which the checkpoint does not hold.
        image_size: side of the input in pixels; None is that of the released code.
        use_states: whether the model was trained with known labels.

    Raises:
        ValueError: labels in an order that is not the released one.
        WeightsError: tensors are missing or have other shapes.
    """
    kind = checkpoint.kind
    labels = kind.released_order(labels or LabelSpace(kind.label_names(checkpoint.num_labels)))
    kind.check_order(labels)
    prepared = replace(kind.preprocessing, size=image_size or kind.preprocessing.size)
    options = Config(
        backbone=kind.backbone,
        weights="none",
        image_size=prepared.size,
        fit=prepared.fit,
        centre=prepared.centre,
        resample=prepared.resample,
        resizer=prepared.resizer,
        num_layers=checkpoint.num_layers,
        num_heads=heads,
        use_states=use_states,
    )
    with torch.device("meta"):  # names and shapes, no random weights to throw away
        model = build(options, labels)
    checkpoint.fill(model)
    return Tagger(model, labels, config_of("ctran", options, prepared), prepared)
