"""Averaged image features of the training pictures in memory, for methods that are fitted to all of them at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.data.feature_cache import FeatureCache
from ctran.data.truth import SparseTruth, prevalence
from ctran.labels import LabelState
from ctran.model.backbone import Features

ROWS = 256
"""Pictures that are read at a time."""


@dataclass(frozen=True)
class FeatureTable:
    """Features and truth of the training pictures.

    Args:
        views: one vector for each view of each picture; view 0 is the test transform, others are augmented.
        truth: :class:`~ctran.labels.LabelState` codes; ``UNKNOWN`` where not annotated. Known labels are drawn from it.
        seed: of everything random in a fit.
        groups: number of each picture's group of near duplicates, which folds keep together; None if they are not known.
        assumed: what is fitted to, where it is more than ``truth`` (:attr:`ctran.data.table.SampleTable.assumed`).
    """

    views: Float[Tensor, "V N C"]
    truth: Int[Tensor, "N L"]
    seed: int = 0
    groups: Int[Tensor, " N"] | None = None
    assumed: Int[Tensor, "N L"] | None = None

    @classmethod
    def of(
        cls,
        cache: FeatureCache,
        truth: SparseTruth,
        seed: int,
        pool: Callable[[Features], Tensor],
        step: Callable[[int], None] = lambda rows: None,
        *,
        assumed: SparseTruth | None = None,
    ) -> "FeatureTable":
        """Pool the features of a cache.

        Args:
            pool: features of ``B`` pictures to a vector each (:meth:`ctran.model.Method.pooled`).
            step: called with the number of rows just read (for a progress bar).
            assumed: None where nothing is.
        """
        views, pictures = cache.rows
        found: list[Tensor] = []
        for view in range(views):
            for first in range(0, pictures, ROWS):
                rows = np.arange(first, min(first + ROWS, pictures))
                found.append(pool(cache.read(np.full(len(rows), view), rows)))
                step(len(rows))
        more = None if assumed is None else assumed.dense()
        return cls(torch.cat(found).unflatten(0, cache.rows), truth.dense(), seed, assumed=more)

    def select(self, pictures: Bool[Tensor, " N"], views: int | None = None) -> "FeatureTable":
        """Some of the pictures, in the first of their views."""
        groups = None if self.groups is None else self.groups[pictures].unique(return_inverse=True)[1]
        assumed = None if self.assumed is None else self.assumed[pictures]
        return FeatureTable(self.views[:views, pictures], self.truth[pictures], self.seed, groups, assumed)

    @property
    def target(self) -> Int[Tensor, "N L"]:
        """Codes that are fitted to: the annotation, and what is assumed."""
        return self.truth if self.assumed is None else self.assumed

    @property
    def positive(self) -> Bool[Tensor, "N L"]:
        """Entries that are annotated as positive."""
        return self.target == LabelState.POSITIVE

    @property
    def annotated(self) -> Bool[Tensor, "N L"]:
        """Entries that are annotated, or assumed to be absent."""
        return self.target != LabelState.UNKNOWN

    @property
    def prevalence(self) -> Float[Tensor, " L"]:
        """Share of positives of each label (:func:`ctran.data.truth.prevalence`)."""
        return prevalence((self.target == LabelState.NEGATIVE).sum(dim=0), self.positive.sum(dim=0)).float()
