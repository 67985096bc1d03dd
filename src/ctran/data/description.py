"""What the numbers of a table are: label frequencies, which labels appear together, how much one says of another.

Plain functions of a :class:`~ctran.data.truth.SparseTruth`: sums over its lists, and of pairs matrix products over blocks of
pictures, so 80,000 pictures with 500 labels take seconds and little memory.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.data.truth import SparseTruth
from ctran.labels import LabelState

DENSE = 16
"""A table of zeros and ones is multiplied as a dense one from one 1 in so many entries on."""
PAIRED = 2000
"""Labels that are paired at most: three tables of so many squared take 96 MB."""


@dataclass(frozen=True)
class Summary:
    """One split in numbers.

    Args:
        pictures: how many.
        mean, most: positive labels a picture.
        empty: pictures without a positive label.
        unknown: share of the entries at which nobody looked, 0 to 1.
    """

    pictures: int
    mean: float
    most: int
    empty: int
    unknown: float


def summarise(truth: SparseTruth) -> Summary:
    """The numbers of one split."""
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
    """Share of pictures with each label among those in which somebody looked, 0 to 1; NaN where nobody did."""
    _, negative, positive = truth.counts().double()
    return positive / (negative + positive)


@dataclass(frozen=True)
class Pairs:
    """Every two labels, over the pictures in which the truth of both is known.

    Args:
        both: pictures in which the row's and the column's label are positive; the diagonal counts one label's positives.
        given: pictures in which the row's label is positive.
        looked: all of them.
    """

    both: Int[Tensor, "L L"]
    given: Int[Tensor, "L L"]
    looked: Int[Tensor, "L L"]

    @cached_property
    def conditional(self) -> Float[Tensor, "L L"]:
        """P(column | row), 0 to 1; NaN where the row's label is positive nowhere."""
        return self.both.double() / self.given

    @cached_property
    def lift(self) -> Float[Tensor, "L L"]:
        """P(column | row) / P(column); above 1 for labels that seek each other. Symmetric; NaN for one without a positive."""
        return self.both.double() * self.looked / (self.given.double() * self.given.T)

    @cached_property
    def information(self) -> Float[Tensor, "L L"]:
        r"""Mutual information, :math:`\sum_{xy} p(x,y) \log p(x,y) / p(x)\,p(y)`, in nats a picture; 0 where nobody looked."""
        given, other, looked = self.given.double(), self.given.T.double(), self.looked.double()
        both = self.both.double()
        cells = (
            (both, given, other),
            (given - both, given, looked - other),
            (other - both, looked - given, other),
            (looked - given - other + both, looked - given, looked - other),
        )
        terms = [torch.xlogy(n, n * looked) - torch.xlogy(n, row) - torch.xlogy(n, column) for n, row, column in cells]
        return (torch.stack(terms).sum(dim=0) / looked).nan_to_num(0).clamp(min=0)


def most_frequent(truth: SparseTruth) -> Int[Tensor, " M"]:
    """Indices, in their order, of the labels that are worth pairing: all, or the :data:`PAIRED` positive most often."""
    often = truth.counts()[LabelState.POSITIVE].argsort(descending=True, stable=True)
    return often[:PAIRED].sort().values


def count_pairs(truth: SparseTruth, labels: Int[Tensor, " M"] | None = None) -> Pairs:
    """Counts of all pairs of labels, or of all pairs of some; tables of the number of labels squared."""
    size = truth.num_labels if labels is None else len(labels)
    both, given, looked = (torch.zeros(size, size, dtype=torch.long) for _ in range(3))
    for whole in truth.blocks():
        block = whole if labels is None else whole[:, labels]
        positive, known = (block == LabelState.POSITIVE).float(), block != LabelState.UNKNOWN
        both += _together(positive, positive)
        if known.all():
            given += positive.sum(dim=0).long()[:, None]
            looked += len(block)
        else:
            given += _together(positive, known.float())
            looked += _together(known.float(), known.float())
    return Pairs(both, given, looked)


def _together(ones: Float[Tensor, "B L"], others: Float[Tensor, "B L"]) -> Int[Tensor, "L L"]:
    """Pictures in which a label of the first and a label of the second are 1; few ones are multiplied one by one."""
    few = ones.count_nonzero() * DENSE < ones.numel()
    return (torch.sparse.mm(ones.to_sparse().T, others) if few else ones.T @ others).long()


def strongest(pairs: Pairs, *, count: int = 15, least: int = 5) -> list[tuple[int, int]]:
    """Up to ``count`` pairs of labels that appear together more often than by chance, those first that say most of each other.

    The measure is mutual information: by how many nats a picture knowing one label lowers the loss on the other, which is what
    a model gains that is told one of them. P(b | a) alone would rank whatever goes with a label that is everywhere (person),
    lift alone two labels that met in the one picture that either has; here a rare label counts for as little as it can save,
    and a frequent one that is as frequent without the other for nothing. Of each pair the label comes first that says more
    surely that the other is there.

    Args:
        least: pictures that must have both labels; below, chance makes pairs of its own.
    """
    together = (pairs.lift > 1) & (pairs.both >= least)
    gain = torch.where(together, pairs.information, 0).triu(diagonal=1)
    values, order = gain.flatten().sort(descending=True, stable=True)
    found = [divmod(int(at), len(gain)) for value, at in zip(values[:count], order[:count], strict=True) if value > 0]
    return [(a, b) if pairs.conditional[a, b] >= pairs.conditional[b, a] else (b, a) for a, b in found]


def kindred_order(pairs: Pairs) -> Int[Tensor, " L"]:
    """An order of the labels in which those that appear together stand side by side, so that a heat map shows blocks.

    By the second eigenvector of the normalised Laplacian (Shi and Malik 2000, "Normalized cuts and image segmentation") of the
    graph whose edges are cosines between the labels' columns.
    """
    positives = pairs.both.diagonal().double().clamp(min=1)
    cosine = pairs.both / (positives[:, None] * positives).sqrt() + 1e-3  # so that no label is apart from the rest
    degree = cosine.sum(dim=1)
    vectors = torch.linalg.eigh(cosine / (degree[:, None] * degree).sqrt()).eigenvectors
    return (vectors[:, -2 if len(degree) > 1 else -1] / degree.sqrt()).argsort(stable=True)
