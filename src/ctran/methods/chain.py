"""Classifier chains (Read et al., 2011): each label from the image features and the labels before it, in random orders."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.data.feature_table import FeatureTable
from ctran.data.loading import seed_of
from ctran.labels import LabelSpace, LabelState
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._fitted import FittedConfig
from ctran.methods._image_fit import fit_images
from ctran.methods._logistic import Covariance, Standardise, fit_logistic, principal_axes
from ctran.methods._pooling import pool, pooled_width
from ctran.model import Backbone, Features, Method
from ctran.model.attention import repeat_rows
from ctran.progress import bar

SUMMARY = "classifier chains: each label from image features and the labels before it; known labels take their place in them"
ABOUT = About(
    source="J. Read, B. Pfahringer, G. Holmes, E. Frank: Classifier chains for multi-label classification, Machine Learning 85",
    year=2011,
    needs="averaged image features of all training pictures, in memory",
    differs="all chains see all pictures, not a sample each; with values soft a label that is not known counts by its "
    "probability, not by its decision; a label that is not annotated counts by its prevalence in training",
)
LEAST = 1e-7
"""Distance of a mean probability from 0 and 1."""


@dataclass(frozen=True)
class Config(FittedConfig):
    """Classifier chains on averaged image features.

    Args:
        chains: number of chains, each in a random order of the labels; their probabilities are averaged.
        values: of labels that are not known, for those after them: hard is the decision (the source), soft the probability.
    """

    chains: int = within(10, 1, 1000)
    values: Literal["hard", "soft"] = "soft"


class Chains(Method):
    r"""In chain :math:`k`, label :math:`i` from averaged features and the labels before it,

    .. math:: p_{ki} = \sigma\Big(w_{ki} \bar z + \sum_{j \prec_k i} v_{kij} y_{kj} + b_{ki}\Big), \qquad
        y_{kj} = \begin{cases} [s_j = P] & \text{known} \\ p_{kj} \text{ or } [p_{kj} > 1/2] & \text{else} \end{cases}

    and :math:`p_i` is the mean over chains. Each chain is fitted to the true labels, by regressions that do not depend on each
    other. Shapes: ``image [K, L, C]``, ``links [K, L, L]`` (to, from), ``orders [K, L]``.
    """

    fits_features = True
    needs_epochs = False
    statistics = frozenset({"image", "bias", "links", "orders"})
    label_equivariant = False  # the orders are drawn by position
    not_exported = "it predicts label after label"
    image: Tensor
    bias: Tensor
    links: Tensor
    orders: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        chains, count = config.chains, len(labels)
        self.register_buffer("image", torch.zeros(chains, count, pooled_width(backbone.channels, config.pooling)))
        self.register_buffer("bias", torch.zeros(chains, count))
        self.register_buffer("links", torch.zeros(chains, count, count))
        self.register_buffer("orders", torch.arange(count).repeat(chains, 1))

    def pooled(self, features: Features) -> Float[Tensor, "B C"]:
        """The regressions' inputs."""
        return pool(features.tokens.to(self.image.dtype), self.config.pooling)

    def fit_features(self, table: FeatureTable) -> str:
        """Draw the orders and fit all regressions, with one penalty for weights of features and of labels."""
        l2 = fit_images(table).l2 if self.config.image_l2 is None else self.config.image_l2
        views = len(table.views)
        standardise = Standardise.of(table.views.flatten(0, 1))
        inputs = standardise(table.views).flatten(0, 1)
        _, basis = principal_axes(inputs)  # in other directions no input differs, and weights are 0
        given = torch.where(table.annotated, table.positive.float(), table.prevalence)
        inputs = torch.cat([inputs @ basis, given.repeat(views, 1)], dim=1)
        positive, annotated = table.positive.repeat(views, 1), table.annotated.repeat(views, 1)
        covariance = Covariance.of(inputs - inputs.mean(dim=0))
        generator = torch.Generator().manual_seed(seed_of(table.seed, 23))
        axes = basis.shape[1]
        with bar("chains", len(self.orders)) as advance:
            for chain, order in enumerate(self.orders):
                order.copy_(torch.randperm(len(order), generator=generator))
                place = order.argsort()
                blocked = torch.cat([place.new_zeros(axes, len(order), dtype=torch.bool), place[:, None] >= place])
                point = fit_logistic(inputs, positive, annotated, l2, blocked=blocked, covariance=covariance)
                weight, bias = standardise.fold((basis @ point[:axes]).T, point[-1])
                self.image[chain], self.bias[chain], self.links[chain] = weight, bias, point[axes:-2].T
                advance(1)
        return f"{len(self.orders)} chains with penalty {l2:g}"

    def prepare(self, features: Features) -> Features:
        """The features with what each chain adds up of the image."""
        if features.image_cache is not None:
            return features
        chains, labels, _ = self.image.shape
        logits = F.linear(self.pooled(features), self.image.flatten(0, 1), self.bias.flatten())
        return replace(features, image_cache={"logits": logits.unflatten(1, (chains, labels))})

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Log-odds of the mean probability of the chains."""
        features.rows_each(states)  # raises if the images do not divide the rows
        cache = self.prepare(features).image_cache
        assert cache is not None
        chosen = self._along(repeat_rows(cache["logits"], states.shape[0]), states)
        return chosen.sigmoid().mean(dim=1).clamp(LEAST, 1 - LEAST).logit()

    def _along(self, image: Float[Tensor, "R K L"], states: Int[Tensor, "R L"]) -> Float[Tensor, "R K L"]:
        """Logits of each chain, label after label."""
        chains = torch.arange(len(self.orders), device=image.device)
        known, value = states != LabelState.UNKNOWN, (states == LabelState.POSITIVE).to(image.dtype)
        values, found = value[:, None].expand_as(image).clone(), torch.zeros_like(image)
        for label in self.orders.T:
            logit = image[:, chains, label] + torch.einsum("rkl,kl->rk", values, self.links[chains, label])
            predicted = logit.sigmoid() if self.config.values == "soft" else (logit > 0).to(logit.dtype)
            if torch.is_grad_enabled():  # what is computed already stays as it was for the backward pass
                values, found = values.clone(), found.clone()
            values[:, chains, label] = torch.where(known[:, label], value[:, label], predicted)
            found[:, chains, label] = logit
        return found

    @property
    def has_contributions(self) -> bool:
        """Whether the logits are smooth in the image."""
        return self.config.values == "soft"


def build(config: Config, labels: LabelSpace) -> Chains:
    """The model before its fit."""
    return Chains(backbone_of(config), labels, config)
