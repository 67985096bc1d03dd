"""A simulated annotator who labels a folder picture by picture, with a model that is fitted again on the way.

An annotator opens a picture, sees the labels that the model predicts, sets wrong ones right, one click each, and confirms the
picture with one more. With a model that uses known labels, each correction changes the prediction of the others.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmarks.labelling_folder import Fitted, Folder, Model, fit
from ctran.inference.acquisition import entropy
from ctran.labelling.suggest import similarity
from ctran.labels import LabelState
from ctran.model import Features

Order = Literal["random", "unsure", "teaches"]
Habit = Literal["missing", "top"]
"""Which wrong label the annotator sets right first: ``missing``: those that the picture has and the prediction lacks, in
random order, then from the most probable one down those that it lacks; ``top``: from the most probable one down."""
HALF = 0.5
SCREEN = 24
"""Pictures that are confirmed with one click in the grid."""


@dataclass(frozen=True)
class System:
    """What is compared.

    Args:
        title: on the page.
        model: that is fitted on the way; None for none.
        order: of the pictures.
    """

    title: str
    model: Model | None
    order: Order = "random"


SYSTEMS = {
    "none": System("no model", None),
    "linear": System("linear head, random order", "linear"),
    "linear-unsure": System("linear head, least sure first", "linear", "unsure"),
    "quick": System("ours, random order", "quick"),
    "quick-teaches": System("ours, teaches most first", "quick", "teaches"),
}


def cuts(pictures: int, first: int = 50, growth: float = 2.0) -> list[int]:
    """Numbers of labelled pictures at which a model is fitted, while a tenth of the folder is left: 50, 100, 200, 400, ...

    Args:
        growth: from one number to the next.
    """
    found, at = list[int](), float(first)
    while round(at) <= 0.9 * pictures:
        found.append(round(at))
        at *= growth
    return found


def corrections(
    fitted: Fitted, features: Features, truth: Int[Tensor, "B L"], habit: Habit, rank: Float[Tensor, "B L"]
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Clicks until all labels of each picture are right, and how many were wrong at first. All pictures go on side by side.

    Args:
        features: prepared.
        rank: random numbers, by which missing labels are taken.
    """
    clicks, states, open_ = torch.zeros(len(truth), dtype=torch.long), torch.zeros_like(truth), torch.arange(len(truth))
    wrong_at_first = torch.zeros_like(clicks)
    while len(open_):
        p = fitted.tagger.marginals(features[open_], states[open_])  # 0 or 1 of known labels
        present = truth[open_] == LabelState.POSITIVE
        wrong = (p >= HALF) != present
        if not clicks.any():
            wrong_at_first[open_] = wrong.sum(dim=1)
        left = wrong.any(dim=1)
        open_, p, present, wrong = open_[left], p[left], present[left], wrong[left]
        if len(open_):
            key = torch.where(present, 1 + rank[open_], p) if habit == "missing" else p
            label = key.masked_fill(~wrong, -1).argmax(dim=1)
            states[open_, label] = truth[open_, label]
            clicks[open_] += 1
    return clicks, wrong_at_first


def teaching_order(
    vectors: Float[Tensor, "N W"], labelled: Bool[Tensor, " N"], uncertainty: Float[Tensor, " N"], count: int
) -> list[int]:
    """The next pictures by ``teaches most`` (:func:`ctran.labelling.suggest.most_informative`), while the model is the same.

    The gain of a picture only falls as others are labelled, so it is computed again only where it may be the greatest (lazy
    greedy: M. Minoux, Optimization Techniques, 1978). The studio's sample of 2,000 pictures is not drawn.
    """
    near = similarity(vectors, vectors)
    open_ = ~labelled
    covered = near[labelled].amax(dim=0) if labelled.any() else torch.zeros(len(vectors))
    weight = torch.where(open_, uncertainty.float(), 0.0)

    def gain(i: int) -> float:
        return float((near[i] - covered).clamp(min=0) @ weight)

    heap = [(-gain(i), i) for i in open_.nonzero()[:, 0].tolist()]
    heapq.heapify(heap)
    found: list[int] = []
    while heap and len(found) < count:
        _, i = heapq.heappop(heap)
        now = -gain(i)
        if heap and now > heap[0][0]:
            heapq.heappush(heap, (now, i))
            continue
        found.append(i)
        covered = torch.maximum(covered, near[i])
        weight[i] = 0
    return found


def folder_threshold(p: Float[Tensor, "M L"], certain: int) -> float:
    """The threshold of the greatest F1 that the model expects of the folder: no truth of these pictures is used.

    Args:
        p: probabilities in pictures that are not confirmed.
        certain: labels that are present in the confirmed ones.
    """
    values = p.flatten().double().sort(descending=True).values
    hits, called = values.cumsum(0), torch.arange(1, len(values) + 1)
    f1 = 2 * (certain + hits) / (2 * certain + called + values.sum())
    best = int(f1.argmax()) if len(values) else -1
    return float(values[best]) if best >= 0 and float(f1[best]) > 0 else HALF


@dataclass(frozen=True)
class Block:
    """What happened while one model was in use; one entry a picture, in the order in which they were labelled.

    Args:
        known: pictures that were labelled before.
        clicks: corrections of each.
        wrong: labels of each that were predicted wrong before the first correction.
        f1: micro-F1 of the whole folder after each, in percent.
        f1_before: the same before the first.
        threshold: of unconfirmed pictures in these.
        fitted: None for no model.
    """

    known: int
    clicks: Int[Tensor, " B"]
    wrong: Int[Tensor, " B"]
    f1: Float[Tensor, " B"]
    f1_before: float
    threshold: float
    fitted: Fitted | None


def simulate(
    folder: Folder, system: System, seed: int, *, first: int = 50, growth: float = 2.0, habit: Habit = "missing"
) -> Iterator[Block]:
    """Label the whole folder; one block for each model.

    Args:
        first, growth: when models are fitted (:func:`cuts`).
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled, rank = torch.randperm(len(folder), generator=generator), torch.rand(folder.truth.shape, generator=generator)
    labelled, states = torch.zeros(len(folder), dtype=torch.bool), torch.zeros_like(folder.truth)
    at = [0, *cuts(len(folder), first, growth), len(folder)] if system.model else [0, len(folder)]
    for start, end in pairwise(at):
        fitted = fit(folder, system.model, states, seed) if start and system.model else None
        features = fitted and fitted.prepared(folder.features)
        p = torch.zeros(folder.truth.shape)
        if fitted and features:
            p = fitted.tagger.marginals(features, torch.zeros_like(states))
        uncertainty = entropy(p).sum(dim=1) if fitted else torch.ones(len(folder))
        chosen = _order(
            system.order if fitted or system.order == "teaches" else "random", folder, labelled, shuffled, uncertainty
        )
        rows = chosen[: end - start]
        if fitted and features:
            clicks, wrong = corrections(fitted, features[rows], folder.truth[rows], habit, rank[rows])
        else:
            clicks = wrong = folder.positive[rows].sum(dim=1)
        limit = folder_threshold(p[~labelled], int(folder.positive[labelled].sum())) if fitted else HALF
        curve = folder_f1(folder.positive, p >= limit, labelled, rows)
        labelled[rows], states[rows] = True, folder.truth[rows]
        yield Block(start, clicks, wrong, curve[1:], float(curve[0]), limit, fitted)


def _order(
    order: Order,
    folder: Folder,
    labelled: Bool[Tensor, " N"],
    shuffled: Int[Tensor, " N"],
    uncertainty: Float[Tensor, " N"],
) -> Int[Tensor, " K"]:
    """Pictures that are not labelled yet, the next one first."""
    if order == "teaches":
        return torch.tensor(teaching_order(folder.vectors, labelled, uncertainty, len(folder)))
    left = shuffled[~labelled[shuffled]]
    return left if order == "random" else left[uncertainty[left].argsort(descending=True, stable=True)]


def folder_f1(
    positive: Bool[Tensor, "N L"], predicted: Bool[Tensor, "N L"], labelled: Bool[Tensor, " N"], rows: Int[Tensor, " B"]
) -> Float[Tensor, " B1"]:
    """Micro-F1 of the folder, in percent, before and after each of ``rows`` is confirmed; confirmed pictures are right."""
    predicted = torch.where(labelled[:, None], positive, predicted)
    hits, called = (predicted & positive).sum(dim=1), predicted.sum(dim=1)
    size = positive.sum(dim=1)
    more = torch.cat([torch.zeros(1, dtype=torch.long), (size - hits)[rows].cumsum(0)])
    more_called = torch.cat([torch.zeros(1, dtype=torch.long), (size - called)[rows].cumsum(0)])
    return 200 * (hits.sum() + more) / (called.sum() + more_called + size.sum()).clamp(min=1)
