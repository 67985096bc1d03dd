"""What a method costs beside its backbone: parameters, and operations of a picture and of a changed label."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ctran.labels import LabelState
from ctran.model import Features, Method

LABELS, SIDE = 80, 448
"""Number of labels and side of the picture in pixels for which costs of methods are compared."""


@dataclass(frozen=True)
class Cost:
    """Of a model without its backbone.

    Args:
        parameters: numbers that are saved with it, buffers included.
        picture: multiply-adds of the first prediction for a picture, from its image features.
        changed: multiply-adds of a further prediction for the same picture, with other known labels.
    """

    parameters: int
    picture: int
    changed: int


def multiply_adds(run: Callable[[], object]) -> int:
    """Of the matrix products and convolutions of one eager call, attention included; other operations count nothing."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its kernel is not counted, nor is the fused attention's on CPU
    try:
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops() // 2


def cost_of(model: Method, features: Features, num_labels: int) -> Cost:
    """Cost of predicting all labels of one picture.

    Args:
        features: of one picture, as ``model.encode_images`` gives them.
        num_labels: of the model.
    """
    states = torch.zeros(1, num_labels, dtype=torch.long)
    known = states.clone()
    known[0, 0] = LabelState.POSITIVE  # a method may compute more where something is known
    state = model.state_dict()
    parameters = sum(tensor.numel() for name, tensor in state.items() if not name.startswith("backbone."))
    trained = [p for p in model.parameters() if p.requires_grad]
    model.requires_grad_(False)  # without gradients, PyTorch's counter fails where a module's input is a parameter that has one
    try:
        with model.without_gradients():
            prepared = model.prepare(features)
            changed = multiply_adds(lambda: model.predict_labels(prepared, known))
            picture = multiply_adds(lambda: model.predict_labels(model.prepare(features), states))
    finally:
        for p in trained:
            p.requires_grad_()
    return Cost(parameters, picture, changed)
