"""The pictures of the labelling study: their image features, their labels, and models that are fitted to some of them."""

import dataclasses
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmarks.suite.measure import SIMPLE_RECIPE
from ctran.data.feature_table import FeatureTable
from ctran.data.loading import PictureSet, seed_of
from ctran.folders.tagger import Tagger
from ctran.labelling.encoding import WIDTH
from ctran.labelling.learning import RECIPES
from ctran.labels import LabelSpace, LabelState
from ctran.model import Features
from ctran.training.pipeline import build_tables, build_tagger
from ctran.training.recipe import Recipe, read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.stored_features import cached_features, key_of_features

Model = Literal["linear", "quick"]
ROWS = 256
"""Pictures whose features are read at a time."""


def recipe_of(model: Model, flags: list[str]) -> Recipe:
    """The recipe that the studio trains, or a logistic regression on the same image features."""
    if model == "quick":
        return read_recipe(find_recipe("quick"), [*RECIPES["quick"], *flags])
    return read_recipe(Path(SIMPLE_RECIPE), ["--method", "linear", "--model.solver", "lbfgs", *RECIPES["quick"], *flags])


@dataclass(frozen=True)
class Folder:
    """Pictures that get labelled.

    Args:
        labels: all that there are; the annotator uses no others.
        truth: what the annotator answers.
        features: of all pictures, as the studio stores them; of the image tokens two that have the same mean and greatest
            values, which is all that the models take.
        flags: of the recipes, as ``["--source", "openclipart"]``.
    """

    labels: LabelSpace
    truth: Int[Tensor, "N L"]
    features: Features
    flags: tuple[str, ...] = ()

    @classmethod
    def of(cls, flags: list[str], split: str = "train") -> "Folder":
        """A split of a source; features are computed where they are not stored yet."""
        recipe = recipe_of("quick", flags)
        table = build_tables(recipe)[split]
        tagger = build_tagger(recipe, table.labels)
        data = PictureSet(table, tagger.labels, tagger.preprocessing)
        key = key_of_features(tagger.model, tagger.preprocessing, recipe.training.augmentation)
        cache = cached_features(tagger.model, data, 1, split, key, torch.device("cpu"))
        parts = [cache.read(np.zeros(len(rows), int), rows.numpy()).tokens for rows in torch.arange(len(table)).split(ROWS)]
        greatest = torch.cat([part.amax(dim=1) for part in parts])
        mean = torch.cat([part.mean(dim=1) for part in parts])
        both = Features(torch.stack([greatest, 2 * mean - greatest], dim=1), (1, 2))
        return cls(table.labels, table.truth.dense().long(), both, tuple(flags))

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def positive(self) -> Bool[Tensor, "N L"]:
        """Labels that are in the picture."""
        return self.truth == LabelState.POSITIVE

    @cached_property
    def vectors(self) -> Float[Tensor, "N W"]:
        """By which the studio compares pictures (:class:`ctran.labelling.encoding.Encoder`)."""
        generator = torch.Generator().manual_seed(seed_of(0, WIDTH))
        width = self.features.tokens.shape[-1]
        projection = torch.randn(width, WIDTH, generator=generator) / WIDTH**0.5
        return torch.nn.functional.normalize(self.features.tokens.mean(dim=1) @ projection, dim=1)


@dataclass
class Fitted:
    """A model that was fitted to what was known of some pictures.

    Args:
        tagger: in use.
        seconds: wall time of the fit.
        processor: seconds of the processor that it took.
        chosen: penalties, in words.
    """

    tagger: Tagger
    seconds: float
    processor: float
    chosen: str

    def prepared(self, features: Features) -> Features:
        """What depends on the pictures alone, computed once."""
        with self.tagger.model.without_gradients():
            return self.tagger.model.prepare(features)


def fit(folder: Folder, model: Model, states: Int[Tensor, "N L"], seed: int) -> Fitted:
    """Fit to the pictures of which anything is known."""
    wall, processor = time.perf_counter(), time.process_time()
    recipe = dataclasses.replace(recipe_of(model, list(folder.flags)), seed=seed)
    tagger, rows = build_tagger(recipe, folder.labels), (states != LabelState.UNKNOWN).any(dim=1)
    pooled = tagger.model.pooled(folder.features[rows.nonzero()[:, 0]])
    chosen = tagger.model.fit_features(FeatureTable(pooled[None], states[rows], seed))
    return Fitted(tagger, time.perf_counter() - wall, time.process_time() - processor, chosen)
