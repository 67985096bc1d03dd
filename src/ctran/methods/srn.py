"""SRN: attention maps of the labels, weighted by confidence, through convolutions that learn how labels lie to each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.labels import LabelSpace
from ctran.losses._base import LabelLoss
from ctran.methods._about import About
from ctran.methods._base import MethodConfig
from ctran.methods._state_free import StateFree
from ctran.model import Backbone, Features, Stage, TrainingStep
from ctran.model.stages import Losses

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "SRN: relations between labels and places from attention maps of all labels; known labels are ignored"
ABOUT = About(
    source="F. Zhu, H. Li, W. Ouyang, N. Yu, X. Wang: Learning Spatial Regularization with Image-level Supervisions for "
    "Multi-label Image Classification, CVPR; zhufengx/SRN_multilabel 64acf8e",
    year=2017,
    needs="the backbone's map of stride 16 beside its last one",
    differs="attention maps of other sizes than 14 x 14 (those of 224 px) are averaged to it, so that filters have one size; "
    "training in one stage as an option (model.staged false)",
    uncertain="how long each of the four stages lasts (here a quarter of the epochs), and the rates of the first three; the "
    "repository has patches of Caffe and the evaluation, but no definition of the network, so nothing could be compared",
)
STRIDE = 16
"""Of the map that attention works on."""
SHARE = 0.5
"""Of the main network's logits in the prediction (alpha); the rest is that of the spatial regularization."""
FILTERS = 4
"""Filters for each channel of the last convolution."""
STAGES = {"main": ("backbone", "main"), "attention": ("attend",), "relations": ("relate",)}
"""Stage -> the modules that train in it; a fourth trains all of them."""
PARTS = tuple(part for parts in STAGES.values() for part in parts)


@dataclass(frozen=True)
class Config(MethodConfig):
    """SRN.

    Args:
        token_dim: channels of the attention network and of the convolutions over attention maps.
        cells: side of the attention maps that the last convolution takes as a whole.
        staged: four stages of a quarter of the epochs each: main network; attention; relations; all. false trains all from the
            start, by the losses of the last stage.
        joint_learning_rate: in the last of four stages; higher ones are said to diverge.
    """

    may_differ = MethodConfig.may_differ | {"staged", "joint_learning_rate"}

    token_dim: int = within(512, 1, 65_536)
    cells: int = within(14, 1, 512)
    staged: bool = True
    joint_learning_rate: float = within(1e-3, 0, above=True)

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """Four stages, the first of which has what is left of the others; or one."""
        if not self.staged:
            return (Stage(epochs, "all"),)
        each = epochs // 4
        frozen = [(name, {part: 0.0 for part in PARTS if part not in parts}) for name, parts in STAGES.items()]
        lengths = (epochs - 3 * each, each, each)
        stages = [Stage(length, name, rates) for length, (name, rates) in zip(lengths, frozen, strict=True)]
        return (*stages, Stage(each, "all", dict.fromkeys(PARTS, self.joint_learning_rate)))

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Inner maps are taken as maps; one stage has one rate."""
        yield from super().unused(training)
        yield "inner_maps", f"the method takes the map of stride {STRIDE} by itself"
        if not self.staged:
            yield "joint_learning_rate", "model.staged is false, and training.learning_rate is that of the only stage"


class LabelAttention(nn.Module):
    """Attention, the softmax over the places of three convolutions, and confidence of each label at each place."""

    def __init__(self, channels: int, dim: int, num_labels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, dim, 1), nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU()
        )  # fmt: skip
        self.scores = nn.Conv2d(dim, num_labels, 1)
        self.confidence = nn.Conv2d(channels, num_labels, 1)

    def forward(self, maps: Float[Tensor, "B C h w"]) -> tuple[Float[Tensor, "B L h w"], Float[Tensor, "B L h w"]]:
        """Attention, which sums to 1 over the places, and confidence."""
        scores = self.scores(self.inner(maps))
        return scores.flatten(2).softmax(dim=2).view_as(scores), self.confidence(maps)


class Relations(nn.Module):
    """Logits from weighted attention maps of all labels: two convolutions over the labels at each place, then
    :data:`FILTERS` filters of the whole map for each channel."""

    def __init__(self, dim: int, cells: int, num_labels: int) -> None:
        super().__init__()
        self.cells = cells
        self.weight = nn.Parameter(torch.empty(num_labels, dim))  # one row a label, as fine-tuning copies them
        nn.init.uniform_(self.weight, -(num_labels**-0.5), num_labels**-0.5)
        self.bias = nn.Parameter(torch.zeros(dim))
        self.mix = nn.Conv2d(dim, dim, 1)
        self.whole = nn.Conv2d(dim, FILTERS * dim, cells, groups=dim)
        self.classifier = nn.Linear(FILTERS * dim, num_labels)

    def forward(self, maps: Float[Tensor, "B L h w"]) -> Float[Tensor, "B L"]:
        """Logits."""
        if maps.shape[2:] != (self.cells, self.cells):
            maps = F.adaptive_avg_pool2d(maps, self.cells)
        over_labels = F.conv2d(maps, self.weight.T[..., None, None], self.bias).relu()
        return self.classifier(self.whole(self.mix(over_labels).relu()).relu().flatten(1))


class Outputs(NamedTuple):
    """Logits of the three parts."""

    main: Float[Tensor, "B L"]
    attention: Float[Tensor, "B L"]
    relations: Float[Tensor, "B L"]


class SRN(StateFree):
    r"""Prediction :math:`\alpha y^m + (1 - \alpha) y^r` with :math:`\alpha = 1/2`, from image tokens z and a finer map x:

    .. math:: y^m = W \bar z + b, \quad y^a_i = \sum_p A_{ip} S_{ip}, \quad y^r = r(\sigma(S) \odot A),

    with attention A and confidence S of x (:class:`LabelAttention`) and r of :class:`Relations`. Stages train y^m, y^a and y^r
    one after another, with what came before frozen; the last trains all by the sum of the three losses.

    Source: Zhu et al., CVPR 2017, Sec. 3; zhufengx/SRN_multilabel 64acf8e, issue 13 (three losses at once).
    """

    rate_parts = PARTS
    label_parameters = frozenset(
        f"{module}.{kind}"
        for module in ("main", "attend.scores", "attend.confidence", "relate.classifier")
        for kind in ("weight", "bias")
    ) | {"relate.weight"}  # fmt: skip

    def __init__(self, config: Config, num_labels: int) -> None:
        super().__init__()
        self.backbone = Backbone(config.backbone, config.image_size, maps=[STRIDE])
        (channels,) = self.backbone.map_channels.values()
        self.main = nn.Linear(self.backbone.channels, num_labels)
        self.attend = LabelAttention(channels, config.token_dim, num_labels)
        self.relate = Relations(config.token_dim, config.cells, num_labels)

    def outputs(self, features: Features) -> Outputs:
        """Logits of the three parts, from features with the finer map."""
        dtype = self.main.weight.dtype
        (maps,) = (features.maps or {}).values()
        attention, confidence = self.attend(maps.to(dtype))
        pooled = (attention * confidence).sum(dim=(2, 3))
        return Outputs(self.main(features.tokens.to(dtype).mean(dim=1)), pooled, self.relate(confidence.sigmoid() * attention))

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        found = self.outputs(features)
        return SHARE * found.main + (1 - SHARE) * found.relations

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """The loss of the part that the stage trains, or of all three."""
        found = self.outputs(step.features)._asdict()
        chosen = {step.stage: found[step.stage]} if step.stage in found else found
        return {
            name: criterion(each, step.truth, step.states, epoch=step.epoch, index=step.index) for name, each in chosen.items()
        }


def build(config: Config, labels: LabelSpace) -> SRN:
    """The model with random weights.

    Raises:
        UserError: the backbone has no map of stride 16.
    """
    return SRN(config, len(labels))
