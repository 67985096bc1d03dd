"""Gradient-boosted trees on image features and known labels: what a practitioner would try on tables."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.constraints.implications import propagate_implications
from ctran.data.feature_table import FeatureTable
from ctran.data.loading import seed_of
from ctran.errors import UserError
from ctran.labels import LabelSpace, LabelState
from ctran.masking import label_mask_training, scored_mask
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._fitted import FittedConfig, FittedMethod
from ctran.methods._image_fit import ImageFit
from ctran.methods._logistic import Standardise, principal_axes
from ctran.methods._masked_rows import MOST_ROWS
from ctran.model import Backbone, Features
from ctran.model.attention import repeat_rows
from ctran.progress import bar

SUMMARY = "gradient-boosted trees for each label, on image logits, principal components and the known other labels"
ABOUT = About(
    source="J. Friedman: Greedy Function Approximation: A Gradient Boosting Machine, The Annals of Statistics 29; fitted by "
    "scikit-learn's HistGradientBoostingClassifier",
    year=2001,
    needs="averaged image features of all training pictures, in memory; scikit-learn for the fit, not for predictions",
    differs="image logits are held out, of a linear layer that was not fitted to the picture; label masks are drawn as for "
    "C-Tran; trees are saved as arrays of one depth",
)

CHUNK = 1 << 24
"""Entries, of rows times labels times trees, that are looked up at a time."""


@dataclass(frozen=True)
class Config(FittedConfig):
    """Gradient-boosted trees.

    Args:
        trees: for each label.
        depth: greatest number of decisions on the way to a leaf.
        learning_rate: share of each tree that is added.
        least_pictures: least number of training pictures in a leaf, each with as many rows as label masks are drawn for it.
        input_share: share of the inputs, at random, of which each decision is one; below 1 no input decides everywhere.
        components: principal components of the image features that are inputs, beside the image logits of all labels.
    """

    may_differ = FittedConfig.may_differ | {"learning_rate", "least_pictures", "input_share"}

    trees: int = within(100, 1, 10_000)
    depth: int = within(3, 1, 10)
    learning_rate: float = within(0.1, 0, 1, above=True)
    least_pictures: int = within(20, 1)
    input_share: float = within(0.3, 0, 1, above=True)
    components: int = within(32, 0)


@dataclass(frozen=True)
class Trees:
    """Complete binary trees of depth ``d`` as arrays; node ``i`` has the children ``2 i + 1`` and ``2 i + 2``.

    Args:
        feature: input that decides, for each inner node.
        threshold: the left child is next where the input is at most this.
        missing_left: whether it is next where the input is missing (NaN).
        value: of each leaf.
    """

    feature: Int[np.ndarray, "T I"]
    threshold: Float[np.ndarray, "T I"]
    missing_left: Bool[np.ndarray, "T I"]
    value: Float[np.ndarray, "T V"]

    @classmethod
    def of(cls, predictors: list[Any], depth: int, used: Int[np.ndarray, " U"]) -> "Trees":
        """From the nodes of scikit-learn's predictors, whose leaves may be less deep: they then have equal ones below them.

        Thresholds are rounded down to float32, so that inputs of float32 go where they went in float64.

        Args:
            used: numbers of the inputs that the predictors were fitted to.
        """
        inner, count = 2**depth - 1, len(predictors)
        found = cls(
            np.zeros((count, inner), np.int32),
            np.zeros((count, inner), np.float32),
            np.zeros((count, inner), bool),
            np.zeros((count, inner + 1), np.float32),
        )
        for tree, nodes in enumerate(predictor.nodes for predictor in predictors):
            todo = [(0, 0)]
            while todo:
                place, at = todo.pop()
                node = nodes[at]
                if place >= inner:
                    found.value[tree, place - inner] = node["value"]
                elif node["is_leaf"]:
                    todo += [(2 * place + 1, at), (2 * place + 2, at)]
                else:
                    found.feature[tree, place] = used[node["feature_idx"]]
                    found.threshold[tree, place] = rounded_down(node["num_threshold"])
                    found.missing_left[tree, place] = node["missing_go_to_left"]
                    todo += [(2 * place + 1, node["left"]), (2 * place + 2, node["right"])]
        return found


def rounded_down(value: float) -> np.float32:
    """The greatest float32 that is not above a number."""
    near = np.float32(value)
    return near if near <= value else np.nextafter(near, np.float32(-np.inf))


def varying(inputs: Float[Tensor, "N D"]) -> Int[Tensor, " U"]:
    """Numbers of the inputs that have two values at least; scikit-learn cannot make bins of others."""
    greatest, least = inputs.nan_to_num(nan=-torch.inf).amax(dim=0), inputs.nan_to_num(nan=torch.inf).amin(dim=0)
    return (greatest > least).nonzero()[:, 0]


class BoostedTrees(FittedMethod):
    r"""Log-odds of each label: a constant plus a leaf of each of its trees,

    .. math:: \ell_i = b_i + \sum_t v_{it}[\mathrm{leaf}_{it}(z, u, s_{-i})]

    with the image logits ``z`` of all labels, principal components ``u`` and the states ``s`` of the other labels: 0, 1, or
    missing where unknown. A label's own state is never among its inputs. The trees are fitted to masked labels of the training
    pictures.

    Shapes: ``feature``, ``threshold``, ``missing_left [L, T, 2^d - 1]``, ``value [L, T, 2^d]``.
    """

    statistics = frozenset({"base", "feature", "threshold", "missing_left", "value", "axes", "shift"})
    label_equivariant = False  # label masks are drawn by position
    config: Config
    base: Tensor
    feature: Tensor
    threshold: Tensor
    missing_left: Tensor
    value: Tensor
    axes: Tensor
    shift: Tensor

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__(backbone, labels, config)
        self.implied = labels.implied
        count, inner = len(labels), 2**config.depth - 1
        self.register_buffer("base", torch.zeros(count))
        self.register_buffer("feature", torch.zeros(count, config.trees, inner, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(count, config.trees, inner))
        self.register_buffer("missing_left", torch.zeros(count, config.trees, inner, dtype=torch.bool))
        self.register_buffer("value", torch.zeros(count, config.trees, inner + 1))
        self.register_buffer("axes", torch.zeros(config.components, self.weight.shape[1]))
        self.register_buffer("shift", torch.zeros(config.components))

    def fit_features(self, table: FeatureTable) -> str:
        """Fit the linear layers, then the trees to held-out image logits and random label masks."""
        images = self.fit_images(table)
        self._fit_axes(table.views.flatten(0, 1))
        inputs, positive, counted = self._rows(images, table)
        draws = len(inputs) // table.views.shape[1]
        with bar("trees", len(self.base)) as advance:
            for label in range(len(self.base)):
                self._fit_label(label, inputs[counted[:, label]], positive[counted[:, label], label], draws, table)
                advance(1)
        return f"penalty of image weights {images.l2:g}, {self.config.trees} trees of depth {self.config.depth} a label"

    def _fit_axes(self, vectors: Float[Tensor, "M D"]) -> None:
        """Principal components of standardised features, the greatest first."""
        standardise = Standardise.of(vectors)
        basis = principal_axes(standardise(vectors))[1].flip(1)[:, : len(self.axes)]
        weight, bias = standardise.fold(basis.T, basis.new_zeros(basis.shape[1]))
        self.axes.zero_()
        self.shift.zero_()
        self.axes[: len(weight)], self.shift[: len(bias)] = weight, bias

    def _rows(self, images: ImageFit, table: FeatureTable) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, truth and which entries count, over all pictures and draws of label masks."""
        views, pictures, _ = images.held_out.shape
        draws, generator = max(views, MOST_ROWS // pictures, 1), torch.Generator().manual_seed(seed_of(table.seed, 24))
        drawn = [
            label_mask_training(table.truth, unknown_share=(0.0, 1.0), all_unknown=0.15, generator=generator)
            for _ in range(min(draws, 16))
        ]
        states = propagate_implications(torch.cat(drawn), self.implied)
        repeated = torch.cat([images.held_out[draw % views] for draw in range(len(drawn))])
        axes = torch.cat([table.views[draw % views] @ self.axes.T + self.shift for draw in range(len(drawn))])
        truth, counted = table.target.repeat(len(drawn), 1), table.annotated.repeat(len(drawn), 1)
        related = self.implied.unique()  # whose states make others known
        counted[:, related] = scored_mask(truth, states)[:, related]
        return self.inputs(repeated, axes, states), truth == LabelState.POSITIVE, counted

    def _fit_label(
        self, label: int, inputs: Float[Tensor, "N D"], positive: Bool[Tensor, " N"], draws: int, table: FeatureTable
    ) -> None:
        """Fit the trees of one label; a label of one kind alone has its prevalence as a constant."""
        self.value[label] = 0
        if not 0 < int(positive.sum()) < len(positive):
            self.base[label] = table.prevalence[label].logit()
            return
        used = varying(inputs)
        used = used[used != self._own_column(label)]
        fitted = boosting(self.config, draws, table.seed).fit(inputs[:, used].numpy(), positive.numpy())
        self.base[label] = float(np.ravel(fitted._baseline_prediction)[0])
        trees = Trees.of([each for (each,) in fitted._predictors], self.config.depth, used.numpy())
        for name in ("feature", "threshold", "missing_left", "value"):
            getattr(self, name)[label] = torch.from_numpy(getattr(trees, name))

    def _own_column(self, label: int) -> int:
        """Number of the input that is the state of a label."""
        return len(self.base) + len(self.axes) + label

    def inputs(
        self, logits: Float[Tensor, "R L"], axes: Float[Tensor, "R U"], states: Int[Tensor, "R L"]
    ) -> Float[Tensor, "R D"]:
        """Inputs of the trees, ``D = 2 L + U``."""
        known = torch.where(states == LabelState.UNKNOWN, torch.nan, (states == LabelState.POSITIVE).float())
        return torch.cat([logits, axes, known], dim=1)

    def prepare(self, features: Features) -> Features:
        """The features with image logits and principal components."""
        if features.image_cache is not None:
            return features
        axes = self.pooled(features) @ self.axes.T + self.shift
        return replace(features, image_cache={"logits": self.image_logits(features), "axes": axes})

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Log-odds of all labels."""
        features.rows_each(states)  # raises if the images do not divide the rows
        cache = self.prepare(features).image_cache
        assert cache is not None
        logits, axes = (repeat_rows(cache[name], states.shape[0]) for name in ("logits", "axes"))
        inputs = self.inputs(logits, axes, states)
        if torch.compiler.is_exporting():
            return self._sums(inputs)
        at_once = max(1, CHUNK // self.value.shape[:2].numel())
        return torch.cat([self._sums(part) for part in inputs.split(at_once)])

    def _sums(self, inputs: Float[Tensor, "R D"]) -> Float[Tensor, "R L"]:
        """Constant and leaves."""
        labels, trees, inner = self.feature.shape
        place = torch.zeros(inputs.shape[0], labels * trees, dtype=torch.long, device=inputs.device)
        first = torch.arange(labels * trees, device=inputs.device) * inner
        for _ in range(self.config.depth):
            node = first + place
            value = inputs.gather(1, self.feature.flatten()[node].long())
            left = torch.where(value.isnan(), self.missing_left.flatten()[node], value <= self.threshold.flatten()[node])
            place = 2 * place + torch.where(left, 1, 2)
        leaves = self.value.flatten()[torch.arange(labels * trees, device=inputs.device) * (inner + 1) + place - inner]
        return self.base + leaves.unflatten(1, (labels, trees)).sum(dim=2)

    def parts(self, features: Features, states: Int[Tensor, "R L"]) -> dict[str, Float[Tensor, "R L"]]:
        """The linear layer alone."""
        return {"linear": repeat_rows(self.image_logits(features), states.shape[0])}

    @property
    def has_contributions(self) -> bool:
        """False: trees are steps, without gradients."""
        return False


def boosting(config: Config, draws: int, seed: int) -> Any:
    """scikit-learn's classifier.

    Args:
        draws: rows of each picture.

    Raises:
        UserError: it is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError:
        raise UserError("method 'boosted_trees' is fitted by scikit-learn: pip install 'ctran[trees]'") from None
    options: dict[str, Any] = {"max_leaf_nodes": None, "early_stopping": False, "random_state": seed_of(seed, 25) % 2**32}
    return HistGradientBoostingClassifier(
        max_iter=config.trees,
        max_depth=config.depth,
        learning_rate=config.learning_rate,
        min_samples_leaf=config.least_pictures * draws,
        max_features=config.input_share,
        **options,
    )


def build(config: Config, labels: LabelSpace) -> BoostedTrees:
    """The model before its fit."""
    return BoostedTrees(backbone_of(config), labels, config)
