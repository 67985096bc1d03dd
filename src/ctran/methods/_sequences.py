"""What methods share that emit labels one after another: greedy and beam search, known labels as a forced start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.bounds import within
from ctran.labels import LabelSpace, LabelState
from ctran.masking import scored_mask
from ctran.methods._base import MethodConfig
from ctran.model import Features, Method
from ctran.model.stages import TrainingStep

if TYPE_CHECKING:
    from ctran.data.table import SampleTable

LEAST = 1e-6
"""Distance of a probability from 0 and 1 before it becomes a logit."""
Image = Mapping[str, Tensor]
"""Tensors of ``B`` images, from :meth:`SequenceMethod.image_part`."""
State = tuple[Tensor, ...]
"""Tensors of ``R`` rows, ``R / B`` consecutive ones for each image: what a recurrent network keeps between steps."""


@dataclass(frozen=True)
class SequenceConfig(MethodConfig):
    """Options of methods that emit labels one after another.

    Args:
        beams: paths of the beam search that chooses label sets.
    """

    may_differ = MethodConfig.may_differ | {"beams"}

    beams: int = within(3, 1, 64)


@dataclass(frozen=True)
class Forced:
    """Rows before the first step that is free.

    Args:
        state: after the known positives.
        previous: label that was emitted last, ``L`` where it is the start.
        closed: labels that are not emitted: known ones.
    """

    state: State
    previous: Int[Tensor, " R"]
    closed: Bool[Tensor, "R L"]


class SequenceMethod(Method):
    """Base class: a step emits one of ``L`` labels, or the end (number ``L``), from what was emitted last.

    Known positives are emitted first, in the order of their frequency; known negatives and labels that were emitted are never
    emitted again. The logit of a label follows from its greatest probability in any step of the greedy path, up to the end.

    A method gives :meth:`image_part`, :meth:`initial` and :meth:`step`, and how its loss takes sequences.
    """

    statistics = frozenset({"rank", "longest"})
    trains_with_known = False
    beams = 3
    rank: Tensor
    longest: Tensor

    def __init__(self, labels: LabelSpace, beams: int) -> None:
        super().__init__()
        self.names, self.beams = labels.names, beams
        self.register_buffer("rank", torch.arange(len(labels)))
        self.register_buffer("longest", torch.tensor(1))

    def fit_statistics(self, table: "SampleTable") -> None:
        """``rank``: place of each label, the most frequent first, else by name; ``longest``: most labels of a picture."""
        count = table.truth.counts()[int(LabelState.POSITIVE)].tolist()
        order = sorted(range(len(count)), key=lambda label: (-count[label], self.names[label]))
        self.rank[torch.tensor(order)] = torch.arange(len(count), device=self.rank.device)
        self.longest.fill_(max(1, int(table.truth.positives_each().max())))

    @property
    def has_contributions(self) -> bool:
        """False: another label that is emitted first changes all that follows."""
        return False

    def image_part(self, features: Features) -> dict[str, Tensor]:
        """What the steps need of images."""
        raise NotImplementedError

    def initial(self, image: Image, rows: int) -> State:
        """The state before the first step."""
        raise NotImplementedError

    def step(self, image: Image, state: State, previous: Int[Tensor, " R"]) -> tuple[Float[Tensor, "R L1"], State]:
        """Log-probabilities of each label and of the end, given the last label (``L``: the start), and the next state."""
        raise NotImplementedError

    def prepare(self, features: Features) -> Features:
        """The features with :meth:`image_part`."""
        if features.image_cache is not None:
            return features
        return Features(features.tokens, features.grid, self.image_part(features), features.maps)

    def image_of(self, features: Features) -> Image:
        """:meth:`image_part` of features that may be prepared."""
        cache = self.prepare(features).image_cache
        assert cache is not None
        return cache

    def sorted_positives(self, chosen: Bool[Tensor, "R L"]) -> Int[Tensor, "R T"]:
        """The chosen labels of each row by :attr:`rank`, then ``L`` up to the longest row."""
        labels = chosen.shape[1]
        place = self.rank.masked_fill(~chosen, labels)
        width = int(chosen.sum(dim=1).max()) if len(chosen) else 0
        ranked = place.sort(dim=1).values[:, :width]
        return F.pad(self.rank.argsort(), (0, 1), value=labels)[ranked]

    def forced(self, image: Image, states: Int[Tensor, "R L"]) -> Forced:
        """Emit the known positives."""
        labels = states.shape[1]
        state = self.initial(image, len(states))
        previous = torch.full((len(states),), labels, device=states.device)
        for label in self.sorted_positives(states == LabelState.POSITIVE).T:
            _, after = self.step(image, state, previous)
            there = label < labels
            state = tuple(_chosen(there, new, old) for new, old in zip(after, state, strict=True))
            previous = torch.where(there, label, previous)
        return Forced(state, previous, states != LabelState.UNKNOWN)

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Log-odds of each label's greatest probability along the greedy path."""
        features.rows_each(states)  # raises if the images do not divide the rows
        image, labels = self.image_of(features), states.shape[1]
        forced = self.forced(image, states)
        state, previous, closed = forced.state, forced.previous, forced.closed
        best, open_ = torch.zeros(states.shape, device=states.device), torch.ones_like(previous, dtype=torch.bool)
        for _ in range(int(self.longest) + 1):
            scores, state = self.step(image, state, previous)
            scores = _left(scores, closed)
            best = torch.where(open_[:, None], torch.maximum(best, scores[:, :labels].exp()), best)
            previous = scores.argmax(dim=1)
            open_ = open_ & (previous < labels)
            if not open_.any():
                break
            closed = closed | _one_hot(previous, labels)
            previous = previous.clamp(max=labels - 1)  # of ended rows: whatever follows is not used
        return best.clamp(LEAST, 1 - LEAST).logit()

    def decode(self, features: Features, states: Int[Tensor, "R L"]) -> Bool[Tensor, "R L"]:
        """The label set of the most probable path that ends, by beam search.

        Each path goes on with its best labels; the best paths are kept, and one whose best labels have the end among them is a
        candidate. The search of a row is over when none of its paths is as probable as its candidates.
        """
        image, (rows, labels), width = self.image_of(features), states.shape, self.beams
        forced = self.forced(image, states)
        state = tuple(each.repeat_interleave(width, dim=0) for each in forced.state)
        previous = forced.previous.repeat_interleave(width, dim=0)
        closed = forced.closed[:, None].expand(-1, width, -1)
        paths = (states == LabelState.POSITIVE)[:, None].expand(-1, width, -1)
        live = torch.full((rows, width), -torch.inf, device=states.device)
        live[:, 0] = 0  # the others are copies of the first
        best, value = paths[:, 0], torch.full((rows,), -torch.inf, device=states.device)
        for _ in range(int(self.longest) + 1):
            scores, state = self.step(image, state, previous)
            scores = _left(scores, closed.flatten(0, 1)).unflatten(0, (rows, width)).float()
            total, label = (live[..., None] + scores).topk(min(width, labels + 1), dim=2)
            ended = label == labels
            candidate, at = torch.where(ended, total, -torch.inf).amax(dim=2).max(dim=1)
            better = candidate > value
            best = torch.where(better[:, None], _picked(paths, at[:, None])[:, 0], best)
            value = torch.where(better, candidate, value)
            live, place = torch.where(ended, -torch.inf, total).flatten(1).topk(width, dim=1)
            path, label = place // total.shape[2], label.flatten(1).gather(1, place).clamp(max=labels - 1)
            if (live.amax(dim=1) <= value).all():
                break
            rows_of = (torch.arange(rows, device=path.device)[:, None] * width + path).flatten()
            state = tuple(each[rows_of] for each in state)
            taken = _one_hot(label, labels)
            paths, closed = (_picked(each, path) | taken for each in (paths, closed))
            previous = label.flatten()
        unended = value.isinf()  # no path has ended: the best one as it is
        return torch.where(unended[:, None], paths[:, 0], best)

    def targets(self, step: TrainingStep) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"], Bool[Tensor, "B L"]]:
        """Sequences of a training step: known positives, hidden ones, the end.

        Returns:
            labels, ``L`` for the end and behind it; the same where a step counts, -1 elsewhere; labels that cannot be
            emitted: known negatives and those that are not annotated.
        """
        counted = scored_mask(step.truth, step.states)
        labels = step.truth.shape[1]
        known = self.sorted_positives(step.states == LabelState.POSITIVE)
        hidden = self.sorted_positives(counted & (step.truth == LabelState.POSITIVE))
        start, count = ((each < labels).sum(dim=1) for each in (known, hidden))
        width = int((start + count).max()) + 1
        every = known.new_full((len(known), width), labels)
        place = torch.arange(width, device=every.device)
        for part, first, length in ((known, torch.zeros_like(start), start), (hidden, start, count)):
            for number in range(part.shape[1]):
                at = ((first + number)[:, None] == place) & (number < length)[:, None]
                every = torch.where(at, part[:, number, None], every)
        counts = (place >= start[:, None]) & (place <= (start + count)[:, None]) & counted.any(dim=1, keepdim=True)
        never = (step.states == LabelState.NEGATIVE) | (step.truth == LabelState.UNKNOWN)
        return every, every.masked_fill(~counts, -1), never


def _chosen(rows: Bool[Tensor, " R"], new: Tensor, old: Tensor) -> Tensor:
    """``new`` in some rows, ``old`` in the others."""
    return torch.where(rows.view(-1, *[1] * (new.ndim - 1)), new, old)


def _one_hot(label: Int[Tensor, "*R"], labels: int) -> Bool[Tensor, "*R L"]:
    """True at each label; nowhere for the end."""
    return label[..., None] == torch.arange(labels, device=label.device)


def _left(scores: Float[Tensor, "R L1"], closed: Bool[Tensor, "R L"]) -> Float[Tensor, "R L1"]:
    """Log-probabilities with those of closed labels at minus infinity; the others are not changed."""
    return torch.cat([scores[:, :-1].masked_fill(closed, -torch.inf), scores[:, -1:]], dim=1)


def _picked(paths: Bool[Tensor, "R N L"], at: Int[Tensor, "R K"]) -> Bool[Tensor, "R K L"]:
    """Paths by number."""
    return paths.gather(1, at[..., None].expand(-1, -1, paths.shape[2]))
