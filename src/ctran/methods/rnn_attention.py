"""RNN-Attention (Wang et al., ICCV 2017): an LSTM looks at regions of the picture that it chooses, one after another."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.bounds import within
from ctran.labels import LabelSpace, LabelState
from ctran.losses._base import LabelLoss
from ctran.masking import scored_mask
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.methods._state_free import StateFree
from ctran.model import Backbone, Features, TrainingStep
from ctran.model.stages import Losses

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "RNN-Attention: an LSTM samples regions by a spatial transformer, the greatest score counts; known labels are ignored"
ABOUT = About(
    source="Z. Wang, T. Chen, G. Li, R. Xu, L. Lin: Multi-label Image Recognition by Recurrently Discovering Attentional "
    "Regions, ICCV",
    year=2017,
    differs="the map is narrowed by a 1x1 convolution and the hidden layers have 1024 units, not 4096, which would be 237 M "
    "weights; one view in the test, not ten crops at several sizes; pictures without labels are left out of objective "
    "softmax_l2, whose target they leave undefined; regions are sampled with the middles of the map's outer cells at -1 and 1",
    uncertain="the size of the regions, 14 x 14: no code of the authors was found, and third-party code leaves out the factor "
    "1/2 of the objective",
    compared="James-Yip/AttentionImageClass c8a5541 (third-party): logits differ by at most 1e-6 where its first layer, which "
    "is not rectified, is positive",
)

SMALLEST, LARGEST = 0.1, 0.5
"""Scales of a region below and above which it is penalised."""
ANCHOR_WEIGHT, POSITIVE_WEIGHT = 0.01, 0.1
"""Weights of the distance to the anchors, and of scales below :data:`SMALLEST`."""


@dataclass(frozen=True)
class Config(MethodConfig):
    """RNN-Attention.

    Args:
        regions: number of regions that are looked at after the whole picture.
        region_size: side of a sampled region, in cells; even.
        narrow_dim: channels of the map that is sampled.
        hidden_dim: units of the LSTM and of the layers before and after it.
        objective: softmax_l2 is the source's, a squared distance of softmax and normalised labels, whose scores rank labels but
            are no probabilities; bce is the recipe's loss.
        location_weight: gamma, weight of the penalties of the regions' scales and places.
    """

    may_differ = MethodConfig.may_differ | {"objective", "location_weight"}

    regions: int = within(5, 1, 64)
    region_size: int = within(14, 2, 64)
    narrow_dim: int = within(512, 1, 65_536)
    hidden_dim: int = within(1024, 1, 65_536)
    objective: Literal["softmax_l2", "bce"] = "softmax_l2"
    location_weight: float = within(0.1, 0)

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """The recipe's loss beside the source's objective."""
        yield from super().unused(training)
        if self.objective == "softmax_l2":
            keys = ("training.loss", "loss.*", "training.exclusive")
            yield from ((key, "model.objective is softmax_l2") for key in keys)


class RNNAttention(StateFree):
    r"""Regions :math:`f_k` of a map, sampled at scale :math:`(s_x, s_y)` and place :math:`(t_x, t_y)` of the step before:

    .. math:: (h_k, c_k) = \mathrm{LSTM}(\mathrm{relu}(W_f\,\mathrm{maxpool}(f_k)), h_{k-1}), \quad
        z_k = \mathrm{relu}(W_z h_k), \quad (s, t)_{k+1} = W_M z_k + b_M

    from the whole map at :math:`k = 0` on; the logits are :math:`\max_{k \ge 1} W_s z_k + b_s`. Penalties keep scales between
    two bounds and places near anchors: the middle, and points around it.

    Shapes: the largest tensor has ``B n n c`` entries, with the regions' side ``n`` and the narrowed channels ``c``.
    """

    label_parameters = frozenset({"classifier.weight", "classifier.bias"})
    anchors: Tensor
    whole: Tensor

    def __init__(self, backbone: Backbone, num_labels: int, config: Config) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        width, pooled = config.hidden_dim, config.region_size // 2
        self.narrow = nn.Linear(backbone.channels, config.narrow_dim)
        self.region = nn.Linear(pooled * pooled * config.narrow_dim, width)
        self.cell = nn.LSTMCell(width, width)
        self.out = nn.Linear(width, width)
        self.classifier = nn.Linear(width, num_labels)
        self.location = nn.Linear(width, 4)
        nn.init.zeros_(self.location.weight)
        self.register_buffer("whole", torch.tensor([1.0, 1.0, 0.0, 0.0]), persistent=False)
        self.location.bias.data.copy_(self.whole)
        self.register_buffer("anchors", anchors(config.regions), persistent=False)

    def sample(self, maps: Float[Tensor, "B c h w"], box: Float[Tensor, "B 4"]) -> Float[Tensor, "B c n n"]:
        """A region by bilinear interpolation; 0 outside of the map.

        Args:
            box: ``s_x, s_y, t_x, t_y``, in units of half the map's sides: 1, 1, 0, 0 is all of it.
        """
        line = torch.linspace(-1, 1, self.config.region_size, device=maps.device, dtype=maps.dtype)
        x, y = (box[:, i, None] * line + box[:, i + 2, None] for i in (0, 1))
        size = line.shape[0]
        grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=3)
        return F.grid_sample(maps, grid, align_corners=True)

    def glimpses(self, features: Features) -> tuple[Float[Tensor, "B K L"], Float[Tensor, "B K 4"]]:
        """Scores of each region, and where it is."""
        maps = self.narrow(features.tokens.to(self.narrow.weight.dtype)).transpose(1, 2).unflatten(2, features.grid)
        hidden = memory = self.location.bias.new_zeros(maps.shape[0], self.config.hidden_dim)
        box = self.whole.to(maps.dtype).expand(maps.shape[0], -1)
        scores, boxes = list[Tensor](), list[Tensor]()
        for number in range(self.config.regions + 1):
            region = F.max_pool2d(self.sample(maps, box), 2).flatten(1)
            hidden, memory = self.cell(self.region(region).relu(), (hidden, memory))
            z = self.out(hidden).relu()
            if number:
                scores.append(self.classifier(z))
                boxes.append(box)
            box = self.location(z)
        return torch.stack(scores, dim=1), torch.stack(boxes, dim=1)

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        return self.glimpses(features)[0].amax(dim=1)

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """Of the labels, and of the regions."""
        scores, boxes = self.glimpses(step.features)
        logits = scores.amax(dim=1)
        if self.config.objective == "bce":
            labels = criterion(logits, step.truth, step.states, epoch=step.epoch, index=step.index)
        else:
            labels = softmax_l2(logits, step.truth, scored_mask(step.truth, step.states))
            labels = labels.mean() if criterion.reduction == "mean" else labels.sum()
        return {"labels": labels, "location": self.config.location_weight * self.penalty(boxes).mean()}

    def penalty(self, boxes: Float[Tensor, "B K 4"]) -> Float[Tensor, " B"]:
        """Of scales beyond their bounds, and of the distance to the anchors, summed over regions."""
        scale, place = boxes.split(2, dim=2)
        large = (scale.abs() - LARGEST).relu().square()
        small = (SMALLEST - scale).relu()
        away = (place - self.anchors).square() / 2
        return (large + POSITIVE_WEIGHT * small + ANCHOR_WEIGHT * away).sum(dim=(1, 2))

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.classifier.bias.data.copy_(log_odds)


def anchors(regions: int) -> Float[Tensor, "K 2"]:
    """Places near which regions are kept: the middle, then points at a distance of half the diagonal of a quarter.

    The five of the source: (0, 0), (.5, .5), (.5, -.5), (-.5, .5), (-.5, -.5); other numbers are spread over that circle.
    """
    if regions == 5:
        return torch.tensor([[0.0, 0.0], [0.5, 0.5], [0.5, -0.5], [-0.5, 0.5], [-0.5, -0.5]])
    angles = math.pi / 4 + 2 * math.pi * torch.arange(regions - 1) / max(regions - 1, 1)
    circle = math.sqrt(0.5) * torch.stack([angles.cos(), angles.sin()], dim=1)
    return torch.cat([torch.zeros(1, 2), circle])


def softmax_l2(logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], counted: Bool[Tensor, "B L"]) -> Float[Tensor, " B"]:
    """Half the squared distance of the softmax over the labels that count from the positive ones, normalised to 1.

    0 for a picture without positives that count.
    """
    positive = (counted & (truth == LabelState.POSITIVE)).to(torch.float32)
    number = positive.sum(dim=1, keepdim=True)
    left = torch.where(number > 0, counted, True)  # all labels where none counts: a softmax over nothing is undefined
    p = logits.float().masked_fill(~left, -torch.inf).softmax(dim=1)
    return (p - positive / number.clamp(min=1)).square().sum(dim=1) / 2 * (number[:, 0] > 0)


def build(config: Config, labels: LabelSpace) -> RNNAttention:
    """The model with random weights."""
    return RNNAttention(backbone_of(config), len(labels), config)
