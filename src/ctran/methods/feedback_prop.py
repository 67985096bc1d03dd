"""Feedback-prop (Wang et al., CVPR 2018): known labels change the activations of any trained method while it predicts."""

import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran import methods, registry
from ctran.bounds import within
from ctran.errors import UserError, nearest
from ctran.labels import LabelSpace, LabelState
from ctran.methods import _base
from ctran.methods._about import About
from ctran.methods._base import MethodConfig
from ctran.model import Backbone, Features, Method, Stage

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "feedback-prop on any method: gradient steps on activations towards the known labels, at each prediction"
ABOUT = About(
    source="T. Wang, K. Yamaguchi, V. Ordonez: Feedback-prop: Convolutional Neural Network Inference under Partial Evidence, "
    "CVPR; uvavision/feedbackprop 0511eb0",
    year=2018,
    needs="another method, whose weights it uses; gradients while it predicts",
    differs="the loss of the known labels is summed for each picture, where the code has the mean over known labels and batch, "
    "which makes predictions depend on batch mates; residual takes as many steps as it says, the code one more; a picture "
    "without known labels is not changed, the code's weight decay moves it",
    uncertain="which layer C-Tran means by convolutional layer 13 of ResNet-101: by analogy with ResNet-18, where conv13 is "
    "the output of layer3, here the map of stride 16; literally it would be in layer2 (model.layers [8])",
    compared="uvavision/feedbackprop 0511eb0: logits after ten steps on one picture differ by at most 5e-6, in both modes, "
    "without weight decay, whose share depends on that mean",
)


@dataclass(frozen=True)
class Config(MethodConfig):
    """Feedback-prop on another method, which is trained as always; or not at all, with training.init_from a run of it.

    Args:
        method: the method whose activations change; it may use known labels itself.
        options: options of that method, by name; those of backbone and pictures are beside this one.
        mode: layerwise moves the activations of each layer in turn; residual adds to all layers what is found jointly.
        layers: strides, in pixels, of the inner maps that change, falling networks first (8 before 16); none: image tokens.
        steps: of Adam, for each layer or jointly.
        rate: of Adam.
        decay: Adam's weight decay, an L2 penalty of activations (layerwise) or of what is added (residual).
    """

    may_differ = MethodConfig.may_differ | {"options", "mode", "layers", "steps", "rate", "decay"}

    method: str = "linear"
    options: dict[str, Any] = field(default_factory=dict)
    mode: Literal["layerwise", "residual"] = "layerwise"
    layers: tuple[int, ...] = within((16,), 1)
    steps: int = within(10, 0)
    rate: float = within(3e-3, 0, above=True)
    decay: float = within(1e-4, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.layers) != sorted(set(self.layers)):
            raise UserError(f"model.layers must rise, got {list(self.layers)}")
        if self.layers and self.inner_maps:
            raise UserError("model.inner_maps averages inner maps over image tokens: set it to false, or model.layers to []")
        _ = self.wrapped  # refuses options that the method does not have

    @property
    def wrapped(self) -> MethodConfig:
        """All options of the wrapped method."""
        if self.method == __name__.rpartition(".")[2]:
            raise UserError(f"model.method: {self.method} cannot be wrapped in itself")
        kind = registry.find(methods, self.method).Config
        hints, shared = typing.get_type_hints(kind), {f.name: getattr(self, f.name) for f in fields(MethodConfig)}
        own = {f.name for f in fields(kind)} - shared.keys()
        found: dict[str, Any] = {}
        for name, value in self.options.items():
            if name not in own:
                raise UserError(f"model.options: method {self.method!r} has no option {name!r}{nearest(name, sorted(own))}")
            try:
                found[name] = msgspec.convert(value, hints[name], strict=False)
            except msgspec.ValidationError as error:
                raise UserError(f"model.options: {name}: {error}") from None
        return kind(**shared, **found)

    @property
    def weights_of(self) -> tuple[str, MethodConfig]:
        """The wrapped method: this one has no weights of its own."""
        return self.method, self.wrapped

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """Those of the wrapped method."""
        return self.wrapped.stages(epochs)

    def helper(self, model: Method) -> nn.Module | None:
        """That of the wrapped method."""
        return self.wrapped.helper(model)

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Options of the steps where there are none; and those of the wrapped method."""
        if not self.steps:
            yield from ((key, "model.steps is 0") for key in ("mode", "layers", "rate", "decay"))
        shared = {f.name for f in fields(MethodConfig)}
        for key, why in self.wrapped.unused(training):
            if key in shared or "." in key:
                yield key, why
            elif key in self.options:
                yield "options", f"{key}: {why}"


class FeedbackProp(Method):
    r"""Mixin before the class of a method: what it predicts follows from activations that explain the known labels.

    With :math:`t(a)` the logits from activations :math:`a` of a layer on, and :math:`K` a picture's known labels,

    .. math:: a \leftarrow \mathrm{Adam}\Big(a, \nabla_a \sum_{k \in K} \mathrm{BCE}(t(a)_k, y_k)\Big)

    is repeated from the computed ones on, then :math:`t(a)` is the prediction (layerwise; several layers in turn, each computed
    from those before). In residual mode :math:`a_l + \delta_l` take the place of all :math:`a_l`, and the :math:`\delta_l`, at
    first 0, move jointly.

    A method that uses known labels itself gets none of them in the steps, whose loss it would know, and all in the end.

    Nothing changes in training, nor for pictures without known labels. Every picture is computed by itself: the gradient of a
    sum over pictures is that of each, and Adam works entry by entry.
    """

    needs_grad = True
    uses_states = True
    feedback: Config

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits after the steps; in training those of the wrapped method."""
        if self.training or not self.feedback.steps:
            return super().predict_labels(features, states, hide_image=hide_image)
        logits = super().predict_labels(features, states)
        rows = (states != LabelState.UNKNOWN).any(dim=1).nonzero()[:, 0]
        if not len(rows):
            return logits
        images = rows // int(features.rows_each(states))
        moved = self._moved(features[images], states[rows])
        return logits.index_copy(0, rows, super().predict_labels(moved, states[rows]).to(logits.dtype))

    def _moved(self, features: Features, states: Int[Tensor, "R L"]) -> Features:
        """Features after the steps, one entry for each row of states."""
        places = [self.backbone.stage(stride) for stride in self.feedback.layers]
        if self.feedback.mode == "residual":
            return self._residual(features, states, places)
        for place in places or [None]:
            start = features.tokens if place is None else (features.maps or {})[place]
            features = self._layer(features, start, place, states)
        return features

    def _layer(self, features: Features, start: Tensor, place: str | None, states: Int[Tensor, "R L"]) -> Features:
        """Features after the steps of one layer."""

        def with_values(values: list[Tensor]) -> Features:
            return self._replaced(features, place, values[0])

        return with_values(self._steps([start], with_values, states))

    def _residual(self, features: Features, states: Int[Tensor, "R L"], places: list[str]) -> Features:
        """Features with what is added to the layers found jointly."""
        starts = [features.tokens] if not places else [(features.maps or {})[place] for place in places]

        def with_added(added: list[Tensor]) -> Features:
            if not places:
                return self._replaced(features, None, features.tokens + added[0])
            found = features
            for place, each in zip(places, added, strict=True):
                found = self._replaced(found, place, (found.maps or {})[place] + each)
            return found

        return with_added(self._steps([torch.zeros_like(start) for start in starts], with_added, states))

    def _replaced(self, features: Features, place: str | None, values: Tensor) -> Features:
        """Features computed from other values of a map, or with other tokens; without an image cache."""
        if place is None:
            return Features(values, features.grid, maps=features.maps)
        found = self.backbone.resume(place, values)
        return replace(found, maps={**(features.maps or {}), **(found.maps or {})})

    def _steps(
        self, starts: list[Tensor], features_of: Callable[[list[Tensor]], Features], states: Int[Tensor, "R L"]
    ) -> list[Tensor]:
        """Steps of Adam on copies of tensors, from which ``features_of`` makes features."""
        moving = [start.detach().clone().requires_grad_() for start in starts]
        optimizer = torch.optim.Adam(moving, lr=self.feedback.rate, weight_decay=self.feedback.decay)
        known, present = states != LabelState.UNKNOWN, (states == LabelState.POSITIVE).float()
        for _ in range(self.feedback.steps):
            with torch.enable_grad():
                logits = super().predict_labels(features_of(moving), torch.zeros_like(states)).float()
                loss = (F.binary_cross_entropy_with_logits(logits, present, reduction="none") * known).sum()
                optimizer.zero_grad()
                loss.backward(inputs=moving)  # these alone: the weights get no gradient
            optimizer.step()
        return [tensor.detach() for tensor in moving]

    def stored(self, features: Features) -> Features:
        """All of them: the steps need the maps."""
        return features

    @property
    def has_contributions(self) -> bool:
        """False: a prediction is the end of many steps."""
        return False


def build(config: Config, labels: LabelSpace) -> Method:
    """The wrapped method with random weights, predicting by feedback-prop."""
    model = _base.build(config.method, config.wrapped, labels)
    plain = type(model)
    if config.layers:
        if model.backbone.maps:
            raise UserError(f"model.layers: method {config.method!r} uses inner maps itself: set model.layers to []")
        model.backbone = Backbone(config.backbone, config.image_size, maps=config.layers)
    own = {"trains_with_known": plain.uses_states and plain.trains_with_known, "__doc__": FeedbackProp.__doc__}
    model.__class__ = type(FeedbackProp.__name__, (FeedbackProp, plain), own)  # its tensors keep their names: a run's fit
    vars(model)["feedback"] = config
    return model
