"""TDRG: places of three scales in one transformer, and label vectors in a graph that it guides."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.losses._base import LabelLoss
from ctran.methods._about import About
from ctran.methods._base import MethodConfig
from ctran.methods._detr import EncoderLayer, sine_positions
from ctran.methods._picture_graph import SLOPE, PictureGraph
from ctran.methods._state_free import StateFree
from ctran.model import Backbone, Features, TrainingStep
from ctran.model.positions import Positions
from ctran.model.stages import Losses

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "TDRG: a transformer over places of three scales guides a graph of label vectors; known labels are ignored"
ABOUT = About(
    source="J. Zhao, K. Yan, Y. Zhao, X. Guo, F. Huang, J. Li: Transformer-based Dual Relation Graph for Multi-label Image "
    "Recognition, ICCV; iCVTEAM/TDRG 6ea0c9d",
    year=2021,
    needs="the backbone's map of stride 16 beside its last one",
    differs="places attend to places of their picture; in the repository the first two axes are exchanged, so that each place "
    "attends to the same place of the other pictures of the batch. Sine position codes (model.positions), as attention alone "
    "does not know places; the repository builds codes and does not use them. At least one place counts in the constraint, "
    "where the repository divides by 0 below 10 places",
    uncertain="mAP 84.6 is of the repository's attention over the batch; users of it had 80.5 on COCO-80 and 94.0 on VOC2007 "
    "(its issue 3). No figure of places attending to places is known",
    compared="iCVTEAM/TDRG 6ea0c9d with the axes of its attention put right, without position codes: logits, of up to 95, "
    "differ by at most 2e-4",
)
STRIDE = 16
"""Of the finer map."""
SHARE = 0.7
"""Of the transformer's logits in the prediction; the rest is the graph's."""
TOP = 0.05
"""Share of the places, those of the greatest activations, whose mean the constraint is."""


@dataclass(frozen=True)
class Config(MethodConfig):
    """TDRG; the defaults are the repository's, except position codes.

    Args:
        token_dim: width of the transformer; label vectors are twice as wide.
        num_layers: encoder layers of the transformer.
        num_heads: attention heads of each.
        hidden_dim: width of their feed-forward part.
        dropout: in these layers.
        positions: sine codes of the places in every layer, or none.
    """

    may_differ = MethodConfig.may_differ | {"dropout"}

    token_dim: int = within(512, 4, 65_536)
    num_layers: int = within(3, 1, 256)
    num_heads: int = within(4, 1, 1024)
    hidden_dim: int = within(2048, 1, 65_536)
    dropout: float = within(0.0, 0, 1, below=True)
    positions: Positions = "sine"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token_dim % self.num_heads or self.token_dim % 4:
            raise UserError(
                f"model.token_dim must be a multiple of 4 and of model.num_heads, got {self.token_dim} channels and "
                f"{self.num_heads} heads"
            )

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Inner maps are taken as maps."""
        yield from super().unused(training)
        yield "inner_maps", f"the method takes the map of stride {STRIDE} by itself"


class ScaleTransformer(nn.Module):
    """Maps of three scales, each changed by the product of all, then through the same encoder.

    The scales are the finer map, the last one, and the last one at half its resolution (a convolution without padding, so the
    last map must be at least 3 x 3).
    """

    def __init__(self, fine: int, last: int, config: Config) -> None:
        super().__init__()
        dim = config.token_dim
        self.fine, self.last = nn.Conv2d(fine, dim, 1), nn.Conv2d(last, dim, 1)
        self.coarse = nn.Conv2d(last, dim, 3, stride=2)
        options = {"num_heads": config.num_heads, "hidden_dim": config.hidden_dim, "dropout": config.dropout}
        self.layers = nn.ModuleList(  # explicit: products of three maps are large
            EncoderLayer(dim=dim, **options, gelu=True, explicit=True) for _ in range(config.num_layers)
        )
        for matrix in self.layers.parameters():
            if matrix.ndim > 1:
                nn.init.xavier_uniform_(matrix)
        self.positions = config.positions

    def forward(self, fine: Float[Tensor, "B C1 h1 w1"], last: Float[Tensor, "B C h w"]) -> list[Float[Tensor, "B P D"]]:
        """Encoded places of each scale: fine, last, coarse.

        Raises:
            UserError: the last map is smaller than 3 x 3.
        """
        if min(last.shape[2:]) < 3:
            size = f"{last.shape[2]} x {last.shape[3]}"
            raise UserError(f"the coarse scale needs at least 3 x 3 image tokens, got {size}; raise model.image_size")
        return [self.encoded(scale) for scale in exchanged([self.fine(fine), self.last(last), self.coarse(last)])]

    def encoded(self, scale: Float[Tensor, "B D h w"]) -> Float[Tensor, "B P D"]:
        """Places of one scale after the encoder."""
        x = scale.flatten(2).transpose(1, 2)
        height, width = scale.shape[2:]
        codes = sine_positions((height, width), x.shape[2]).to(x) if self.positions == "sine" else torch.zeros_like(x[0])
        for layer in self.layers:
            x = layer(x, codes)
        return x


def exchanged(scales: list[Tensor]) -> list[Tensor]:
    """Maps ``[B, D, h, w]`` of several sizes, each plus the product of all, which is computed at the largest size."""
    height, width = max(s.shape[2] for s in scales), max(s.shape[3] for s in scales)
    large = [_resized(scale, (height, width)) for scale in scales]
    product = large[0] * large[1] * large[2]
    return [_resized(each + product, scale.shape[2:]) for each, scale in zip(large, scales, strict=True)]


def _resized(maps: Float[Tensor, "B D h w"], size: tuple[int, ...]) -> Tensor:
    """Bilinear, corners on corners."""
    return F.interpolate(maps, size=list(size), mode="bilinear", align_corners=True)


class Outputs(NamedTuple):
    """Logits of the branches."""

    transformer: Float[Tensor, "B L"]
    graph: Float[Tensor, "B L"]
    constraint: Float[Tensor, "B L"]

    @property
    def fused(self) -> Float[Tensor, "B L"]:
        """The prediction."""
        return SHARE * self.transformer + (1 - SHARE) * self.graph


class TDRG(StateFree):
    r"""Prediction :math:`0.7\, y^t + 0.3\, y^g` of two branches, trained with a third, :math:`y^c`:

    .. math:: y^t = W [\max_p f^1_p; \max_p f^2_p; \max_p f^3_p] + b, \quad m_{pi} = a_i \cdot z_p, \quad
        y^c_i = \mathrm{mean\ of\ the\ greatest\ } 5\,\% \mathrm{\ of\ } m_{pi},

    .. math:: v_i = \Big[\sum_p \sigma(m_{pi}) V z_p;\; U \sum_p \sigma(m_{pi}) f^2_p\Big], \quad
        G = \phi(\phi(A^\top v) W_g) + v, \quad y^g_i = u_i \cdot G_i + c_i,

    with the encoded places f of three scales (:class:`ScaleTransformer`), image tokens z, the leaky ReLU :math:`\phi`, and A of
    :class:`~ctran.methods._picture_graph.PictureGraph` from v and the means of the three scales. f has no gradient in the
    graph. The loss is the sum of the recipe's loss of the prediction and of each branch.

    Source: Zhao et al., ICCV 2021, Sec. 3; iCVTEAM/TDRG 6ea0c9d.
    """

    label_parameters = frozenset(
        f"{module}.{kind}"
        for module in ("of_scales", "of_graph", "graph.pairs")
        for kind in ("weight", "bias")
    ) | {"constraint.weight"}  # fmt: skip

    def __init__(self, config: Config, num_labels: int) -> None:
        super().__init__()
        self.backbone = Backbone(config.backbone, config.image_size, maps=[STRIDE])
        (fine,) = self.backbone.map_channels.values()
        last, dim = self.backbone.channels, config.token_dim
        self.transformer = ScaleTransformer(fine, last, config)
        self.of_scales = nn.Linear(3 * dim, num_labels)
        self.constraint = nn.Linear(last, num_labels, bias=False)
        self.of_tokens, self.of_places = nn.Linear(last, dim), nn.Linear(dim, dim)
        self.graph = PictureGraph(num_labels=num_labels, context=3 * dim, dim=2 * dim)
        self.mix = nn.Linear(2 * dim, 2 * dim)
        self.of_graph = nn.Linear(2 * dim, num_labels)

    def outputs(self, features: Features) -> Outputs:
        """Logits of all branches, from features with the finer map."""
        dtype = self.constraint.weight.dtype
        tokens = features.tokens.to(dtype)
        (fine,) = (features.maps or {}).values()
        scales = self.transformer(fine.to(dtype), tokens.transpose(1, 2).unflatten(2, features.grid))
        of_scales = self.of_scales(torch.cat([places.amax(dim=1) for places in scales], dim=1))
        guides = [places.detach() for places in scales]
        maps = self.constraint(tokens)  # (B, P, L)
        greatest = maps.topk(max(1, round(TOP * maps.shape[1])), dim=1).values
        return Outputs(of_scales, self._graph_logits(tokens, maps.sigmoid(), guides), greatest.mean(dim=1))

    def _graph_logits(
        self, tokens: Float[Tensor, "B P C"], masks: Float[Tensor, "B P L"], guides: list[Float[Tensor, "B _ D"]]
    ) -> Float[Tensor, "B L"]:
        of_tokens = masks.transpose(1, 2) @ self.of_tokens(tokens)
        of_places = self.of_places((masks.transpose(1, 2) @ guides[1]).detach())
        v = torch.cat([of_tokens, of_places], dim=2)
        graph = self.graph(torch.cat([places.mean(dim=1) for places in guides], dim=1), v)
        mixed = F.leaky_relu(self.mix(F.leaky_relu(graph @ v, SLOPE)), SLOPE) + v
        return torch.einsum("bld,ld->bl", mixed, self.of_graph.weight) + self.of_graph.bias

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        return self.outputs(features).fused

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """The loss of the prediction, and of each branch."""
        found = self.outputs(step.features)
        logits = {"labels": found.fused, **found._asdict()}
        return {
            name: criterion(each, step.truth, step.states, epoch=step.epoch, index=step.index) for name, each in logits.items()
        }


def build(config: Config, labels: LabelSpace) -> TDRG:
    """The model with random weights.

    Raises:
        UserError: the backbone has no map of stride 16.
    """
    return TDRG(config, len(labels))
