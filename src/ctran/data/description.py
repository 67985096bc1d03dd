"""Statistics of a table: label frequencies, which labels appear together, how informative one is about another.

Plain functions of a :class:`~ctran.data.truth.SparseTruth`: sums over its lists, and for pairs, matrix products over blocks
of pictures, so 80,000 pictures with 500 labels take seconds and little memory.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.data.truth import SparseTruth
from ctran.labels import LabelState

_DENSE = 16
"""A 0/1 matrix is multiplied as a sparse one if fewer than one in so many entries is 1."""
PAIRED = 2000
"""Most labels that are paired: three int64 matrices of this side take 96 MB."""


@dataclass(frozen=True)
class Summary:
    """Statistics of one split.

    Args:
        pictures: how many.
        mean, most: positive labels a picture.
        empty: pictures without a positive label.
        unknown: share of the entries that are not annotated, 0 to 1.
    """

    pictures: int
    mean: float
    most: int
    empty: int
    unknown: float


def summarise(truth: SparseTruth) -> Summary:
    """Statistics of one split."""
    positives = truth.positives_each()
    unknown = int(truth.counts()[LabelState.UNKNOWN].sum())
    return Summary(
        len(truth),
        float(positives.double().mean()),
        int(positives.max()),
        int((positives == 0).sum()),
        unknown / (len(truth) * truth.num_labels),
    )


def frequencies(truth: SparseTruth) -> Float[Tensor, " L"]:
    """Share of positives among the pictures in which each label is annotated, 0 to 1; NaN without any."""
    _, negative, positive = truth.counts().double()
    return positive / (negative + positive)


@dataclass(frozen=True)
class Pairs:
    """Counts for every pair of labels, over the pictures in which the truth of both is known.

    Args:
        both: pictures in which the row's and the column's label are positive; the diagonal counts one label's positives.
        given: pictures in which the row's label is positive.
        annotated: pictures in which the truth of both is known.
    """

    both: Int[Tensor, "L L"]
    given: Int[Tensor, "L L"]
    annotated: Int[Tensor, "L L"]

    @cached_property
    def conditional(self) -> Float[Tensor, "L L"]:
        """P(column | row), 0 to 1; NaN where the row's label is positive nowhere."""
        return self.both.double() / self.given

    @cached_property
    def lift(self) -> Float[Tensor, "L L"]:
        """P(column | row) / P(column); above 1 if more often together than by chance. Symmetric; NaN without a positive."""
        return self.both.double() * self.annotated / (self.given.double() * self.given.T)

    @cached_property
    def information(self) -> Float[Tensor, "L L"]:
        r"""Mutual information, :math:`\sum_{xy} p(x,y) \log p(x,y) / p(x)\,p(y)`, in nats per picture; 0 without data."""
        given, other, annotated = self.given.double(), self.given.T.double(), self.annotated.double()
        both = self.both.double()
        cells = (
            (both, given, other),
            (given - both, given, annotated - other),
            (other - both, annotated - given, other),
            (annotated - given - other + both, annotated - given, annotated - other),
        )
        terms = [torch.xlogy(n, n * annotated) - torch.xlogy(n, row) - torch.xlogy(n, column) for n, row, column in cells]
        return (torch.stack(terms).sum(dim=0) / annotated).nan_to_num(0).clamp(min=0)


def most_frequent(truth: SparseTruth) -> Int[Tensor, " M"]:
    """Indices, in their order, of the labels to pair: all, or the :data:`PAIRED` positive most often."""
    often = truth.counts()[LabelState.POSITIVE].argsort(descending=True, stable=True)
    return often[:PAIRED].sort().values


def count_pairs(truth: SparseTruth, labels: Int[Tensor, " M"] | None = None) -> Pairs:
    """Counts for all pairs of labels, or of the given ones; memory grows with their number squared."""
    size = truth.num_labels if labels is None else len(labels)
    both, given, annotated = (torch.zeros(size, size, dtype=torch.long) for _ in range(3))
    for whole in truth.blocks():
        block = whole if labels is None else whole[:, labels]
        positive, known = (block == LabelState.POSITIVE).float(), block != LabelState.UNKNOWN
        both += _count_both(positive, positive)
        if known.all():
            given += positive.sum(dim=0).long()[:, None]
            annotated += len(block)
        else:
            given += _count_both(positive, known.float())
            annotated += _count_both(known.float(), known.float())
    return Pairs(both, given, annotated)


def _count_both(ones: Float[Tensor, "B L"], others: Float[Tensor, "B L"]) -> Int[Tensor, "L L"]:
    """Pictures in which a label of ``ones`` and one of ``others`` are both 1; a sparse product if ones are few."""
    few = ones.count_nonzero() * _DENSE < ones.numel()
    return (torch.sparse.mm(ones.to_sparse().T, others) if few else ones.T @ others).long()


def strongest(pairs: Pairs, *, count: int = 15, least: int = 5) -> list[tuple[int, int]]:
    """Up to ``count`` pairs of labels that appear together more often than by chance, the most informative first.

    The measure is mutual information: by how many nats per picture knowing one label lowers the loss on the other, which is
    what a model gains from knowing it. P(b | a) alone would favour pairs with a label that is everywhere (person), lift alone
    two labels that share the only picture that either has. Here rare labels count for little, as they can lower the loss
    little, and a label that is as frequent without the other counts for nothing. The first label of each pair is the one that
    makes the other more probable.

    Args:
        least: pictures that must have both labels; with fewer, pairs arise by chance.
    """
    above_chance = (pairs.lift > 1) & (pairs.both >= least)
    gain = torch.where(above_chance, pairs.information, 0).triu(diagonal=1)
    values, order = gain.flatten().sort(descending=True, stable=True)
    found = [divmod(int(at), len(gain)) for value, at in zip(values[:count], order[:count], strict=True) if value > 0]
    return [(a, b) if pairs.conditional[a, b] >= pairs.conditional[b, a] else (b, a) for a, b in found]


def kindred_order(pairs: Pairs) -> Int[Tensor, " L"]:
    """An order of the labels in which those that appear together stand side by side, so that a heat map shows blocks.

    By the second eigenvector of the normalised Laplacian (Shi and Malik 2000, "Normalized cuts and image segmentation") of the
    graph whose edges are cosines between the labels' columns.
    """
    positives = pairs.both.diagonal().double().clamp(min=1)
    cosine = pairs.both / (positives[:, None] * positives).sqrt() + 1e-3  # so that the graph is connected
    degree = cosine.sum(dim=1)
    vectors = torch.linalg.eigh(cosine / (degree[:, None] * degree).sqrt()).eigenvectors
    return (vectors[:, -2 if len(degree) > 1 else -1] / degree.sqrt()).argsort(stable=True)
