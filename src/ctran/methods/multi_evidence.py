"""A surrogate of Multi-Evidence (Ge et al., CVPR 2018): evidence of the whole picture and of regions around its peaks."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.bounds import within
from ctran.labels import LabelSpace, LabelState
from ctran.losses._base import LabelLoss
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.methods._state_free import StateFree
from ctran.model import Backbone, Features, TrainingStep
from ctran.model.attention import repeat_rows
from ctran.model.stages import Losses

SUMMARY = "surrogate of Multi-Evidence: the greatest score of the picture and of crops around its most likely labels"
ABOUT = About(
    source="surrogate, in the spirit of W. Ge, S. Yang, Y. Yu: Multi-Evidence Filtering and Fusion for Multi-Label "
    "Classification, Object Detection and Semantic Segmentation Based on Weakly Supervised Learning, CVPR",
    year=2018,
    needs="the network once for the picture and once for each region",
    differs="not the published system, whose four stages have proposals, metric learning, clustering and segmentation, and of "
    "which no code is public: regions are squares around the peaks of class activation maps, those unlike their label's "
    "mean are filtered out, and evidence is fused by the maximum; its figures say nothing about the published row",
)
MOMENTUM = 0.05
"""Weight of a picture's region in the running mean of its label."""


@dataclass(frozen=True)
class Config(MethodConfig):
    """Surrogate of Multi-Evidence.

    Args:
        regions: labels whose regions are looked at, the most likely ones of the picture.
        region_share: side of a region, in units of the picture's.
        similarity: least cosine of a region's features with the mean of its label's, for it to count.
    """

    may_differ = MethodConfig.may_differ | {"regions", "region_share", "similarity"}

    regions: int = within(4, 1, 64)
    region_share: float = within(0.5, 0, 1, above=True)
    similarity: float = within(0.5, -1, 1)


class MultiEvidence(StateFree):
    r"""Scores of the picture, :math:`g_l = \max_p w_l z_p + b_l`, and of regions around the peaks of its best labels,

    .. math:: \ell_l = \max\Big(g_l, \max_{n \in K} v_l r_n + c_l\Big), \qquad K = \{n : \cos(r_n, m_{y_n}) \ge \tau\}

    with the averaged features :math:`r_n` of the region of label :math:`y_n` and running means :math:`m` of the regions of
    positive labels in training. The loss is that of these logits plus that of :math:`g`.

    Shapes: ``maps["regions"] [B, C, N, 1]`` and ``maps["chosen"] [B, 1, N, 1]`` beside the tokens; the class activation maps
    have ``B P L`` entries.
    """

    label_parameters = frozenset({"image.weight", "image.bias", "region.weight", "region.bias", "means", "seen"})
    means: Tensor
    seen: Tensor

    def __init__(self, backbone: Backbone, num_labels: int, config: Config) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        self.number = min(config.regions, num_labels)
        self.image, self.region = (nn.Linear(backbone.channels, num_labels) for _ in range(2))
        self.register_buffer("means", torch.zeros(num_labels, backbone.channels))
        self.register_buffer("seen", torch.zeros(num_labels, dtype=torch.bool))

    def encode_images(self, images: Float[Tensor, "B 3 H W"]) -> Features:
        """Features of the pictures and of the regions of their most likely labels."""
        whole = super().encode_images(images)
        with torch.no_grad():
            peaks = self.activations(whole).max(dim=1)
            chosen = peaks.values.topk(self.number, dim=1).indices
            boxes = self.boxes(peaks.indices.gather(1, chosen), whole.grid)
        tokens = super().encode_images(self.crops(images, boxes)).tokens
        regions = tokens.mean(dim=1).unflatten(0, chosen.shape).transpose(1, 2)[..., None]
        return replace(whole, maps={"regions": regions, "chosen": chosen[:, None, :, None]})

    def activations(self, features: Features) -> Float[Tensor, "B P L"]:
        """Class activation maps, whose greatest values are the picture's scores."""
        return self.image(features.tokens.to(self.image.weight.dtype))

    def boxes(self, cells: Int[Tensor, "B N"], grid: tuple[int, int]) -> Float[Tensor, "B N 2"]:
        """Middles ``x, y`` of the regions around cells, in units of half the picture's sides; inside of the picture."""
        height, width = grid
        middle = torch.stack([(cells % width + 0.5) / width, (cells // width + 0.5) / height], dim=2) * 2 - 1
        free = 1 - self.config.region_share
        return middle.clamp(-free, free)

    def crops(self, images: Float[Tensor, "B 3 H W"], boxes: Float[Tensor, "B N 2"]) -> Float[Tensor, "M 3 H W"]:
        """The regions of all pictures, enlarged to the pictures' size."""
        each, side = boxes.shape[1], self.config.region_share
        scale = (side * torch.eye(2, device=boxes.device)).expand(boxes.shape[0] * each, -1, -1)
        theta = torch.cat([scale, boxes.flatten(0, 1)[..., None]], dim=2).to(images.dtype)
        repeated = repeat_rows(images, theta.shape[0])
        grid = F.affine_grid(theta, list(repeated.shape), align_corners=False)
        return F.grid_sample(repeated, grid, padding_mode="border", align_corners=False)

    def evidence(self, features: Features) -> tuple[Float[Tensor, "B L"], Float[Tensor, "B L"]]:
        """Scores of the picture, and these fused with those of its regions."""
        maps = features.maps or {}
        regions, chosen = (
            maps["regions"][..., 0].transpose(1, 2).to(self.region.weight.dtype),
            maps["chosen"][:, 0, :, 0].long(),
        )
        image = self.activations(features).amax(dim=1)
        kept = self.alike(regions, chosen)
        local = self.region(regions).masked_fill(~kept[..., None], -torch.inf).amax(dim=1)
        return image, torch.maximum(image, local)

    def alike(self, regions: Float[Tensor, "B N C"], chosen: Int[Tensor, "B N"]) -> Bool[Tensor, "B N"]:
        """Whether each region is like the mean of its label's; true for labels of which training has seen none."""
        cosine = F.cosine_similarity(regions, self.means[chosen], dim=2)
        return (cosine >= self.config.similarity) | ~self.seen[chosen]

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        return self.evidence(features)[1]

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """Of the fused scores, and of those of the picture."""
        self._count(step)
        image, fused = self.evidence(step.features)
        given = {"epoch": step.epoch, "index": step.index}
        losses = [criterion(logits, step.truth, step.states, **given) for logits in (fused, image)]
        return dict(zip(("labels", "image"), losses, strict=True))

    @torch.no_grad()
    def _count(self, step: TrainingStep) -> None:
        """Move the means of labels towards the regions of pictures that have them."""
        regions, chosen = regions_of(step.features)
        regions = F.normalize(regions.float(), dim=2)
        present = step.truth.gather(1, chosen) == LabelState.POSITIVE
        for label in chosen[present].unique().tolist():
            found = regions[present & (chosen == label)].mean(dim=0)
            self.means[label].lerp_(found, MOMENTUM if self.seen[label] else 1.0)
            self.seen[label] = True

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.image.bias.data.copy_(log_odds)
        self.region.bias.data.copy_(log_odds)

    @property
    def has_contributions(self) -> bool:
        """False: which regions are looked at changes with the picture in steps."""
        return False


def regions_of(features: Features) -> tuple[Float[Tensor, "B N C"], Int[Tensor, "B N"]]:
    """Features of each region, and the label that it is of."""
    maps = features.maps or {}
    return maps["regions"][..., 0].transpose(1, 2), maps["chosen"][:, 0, :, 0].long()


def build(config: Config, labels: LabelSpace) -> MultiEvidence:
    """The model with random weights."""
    return MultiEvidence(backbone_of(config), len(labels), config)
