"""CSRA: class-specific residual attention, the score at the places of each label beside its average."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.methods._state_free import StateFree
from ctran.model import Backbone, Features

SUMMARY = "CSRA: of each label the average score of all places, plus the score where it is high; known labels are ignored"
ABOUT = About(
    source="K. Zhu, J. Wu: Residual Attention: A Simple but Effective Method for Multi-Label Recognition, ICCV; "
    "Kevinz-code/CSRA c8480d1",
    year=2021,
    differs="the heads' scores are one matrix product; the result is the same",
    uncertain="the repository's evaluation of the COCO row has 4 heads, its training command for that row 6",
    compared="Kevinz-code/CSRA c8480d1: logits differ by at most 6e-6",
)
GREATEST = math.inf
"""Temperature of a head that takes the greatest score; the repository writes 99."""
TEMPERATURES = {
    1: (1.0,),
    2: (1.0, GREATEST),
    4: (1.0, 2.0, 4.0, GREATEST),
    6: (1.0, 2.0, 3.0, 4.0, 5.0, GREATEST),
    8: (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, GREATEST),
}
"""Number of heads -> the temperature of each."""


@dataclass(frozen=True)
class Config(MethodConfig):
    """CSRA; the defaults are the paper's for COCO.

    Args:
        num_heads: 1, 2, 4, 6 or 8, each with its own weights and temperature; their logits are added.
        attention_weight: lambda, the weight of the score where it is high, beside the average.
    """

    may_differ = MethodConfig.may_differ | {"attention_weight"}

    num_heads: int = within(4, 1, 8)
    attention_weight: float = within(0.5, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_heads not in TEMPERATURES:
            raise UserError(f"model.num_heads must be one of {', '.join(map(str, TEMPERATURES))}, got {self.num_heads}")


class CSRA(StateFree):
    r"""Logits from the scores of each label i at each place p,

    .. math:: s_{pi} = \frac{w_i \cdot z_p}{\lVert w_i \rVert}, \qquad
        y_i = \frac1P \sum_p s_{pi} + \lambda \sum_p \mathrm{softmax}_p(T s_{pi})\, s_{pi},

    summed over heads with a temperature T and weights w of their own; at :data:`GREATEST` the second term is
    :math:`\lambda \max_p s_{pi}`. No biases.

    Shapes: ``B`` images, ``P`` places, ``C`` channels, ``L`` labels, ``H`` heads.

    Source: Zhu and Wu, ICCV 2021; Kevinz-code/CSRA c8480d1.
    """

    label_parameters = frozenset({"weight"})

    def __init__(self, backbone: Backbone, *, num_labels: int, num_heads: int, attention_weight: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.temperatures, self.attention_weight = TEMPERATURES[num_heads], attention_weight
        self.weight = nn.Parameter(torch.empty(num_labels, num_heads, backbone.channels))
        nn.init.uniform_(self.weight, -(backbone.channels**-0.5), backbone.channels**-0.5)

    def directions(self) -> Float[Tensor, "L H C"]:
        """The weights, each of length 1."""
        return self.weight / self.weight.norm(dim=2, keepdim=True)

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        tokens = features.tokens.to(self.weight.dtype)
        places = (tokens @ self.directions().flatten(0, 1).T).unflatten(2, self.weight.shape[:2])  # (B, P, L, H)
        logits = places.mean(dim=1).sum(dim=2)
        for head, temperature in enumerate(self.temperatures):
            logits = logits + self.attention_weight * _high(places[..., head], temperature)
        return logits

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """The directions of all heads, one after another."""
        return self.directions().detach().flatten(1)


def _high(scores: Float[Tensor, "B P L"], temperature: float) -> Float[Tensor, "B L"]:
    """Mean over the places, weighted by the softmax of the scores times the temperature."""
    if temperature == GREATEST:
        return scores.amax(dim=1)
    return ((temperature * scores).softmax(dim=1) * scores).sum(dim=1)


def build(config: Config, labels: LabelSpace) -> CSRA:
    """The model with random weights."""
    options = {"num_heads": config.num_heads, "attention_weight": config.attention_weight}
    return CSRA(backbone_of(config), num_labels=len(labels), **options)
