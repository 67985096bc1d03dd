"""Annotations that disagree most with the picture and with the other labels: one label at a time is hidden and predicted."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from ctran.constraints.implications import propagate
from ctran.data.table import SampleTable
from ctran.inference.predictor import Predictor
from ctran.labels import LabelState
from ctran.progress import track

LEAST = 1e-6


@dataclass(frozen=True)
class Suspect:
    """An annotation to check.

    Args:
        row: of the picture in its table.
        id: of the picture.
        label: name.
        annotated: present or absent.
        probability: predicted, that the label is present, given the other annotations (see :func:`left_out`).
        surprise: nats, minus the logarithm of the probability of the annotation.
    """

    row: int
    id: str
    label: str
    annotated: bool
    probability: float
    surprise: float


def left_out(
    truth: Int[Tensor, " L"], asked: list[int], groups: list[list[int]], implied: Int[Tensor, "I 2"] | None = None
) -> Int[Tensor, "A L"]:
    """A row of states for each label of ``asked``: the truth without it, without the other labels of its exclusive group, and
    without labels tied to it by implications, which would reveal it."""
    together = {i: members for members in groups for i in members}
    rows = truth.repeat(len(asked), 1)
    for row, label in zip(rows, asked, strict=True):
        row[together.get(label, [label])] = int(LabelState.UNKNOWN)
        if implied is not None:
            here, there = (0, 1) if truth[label] == LabelState.POSITIVE else (1, 0)
            row[implied[implied[:, here] == label, there]] = int(LabelState.UNKNOWN)
    return rows


def suspects(predictor: Predictor, table: SampleTable, *, most: int = 1000) -> list[Suspect]:
    """The ``most`` annotations with the greatest surprise, greatest first; labels that are not annotated are skipped.

    Annotations that still follow from others once a label is left out are skipped: the model does not predict them.
    """
    found = list[Suspect]()
    for row in track(range(len(table)), "leaving labels out", len(table)):
        found += _of(predictor, table, row)
        if len(found) > 10 * most:
            found = sorted(found, key=lambda s: -s.surprise)[:most]
    return sorted(found, key=lambda s: -s.surprise)[:most]


def _of(predictor: Predictor, table: SampleTable, row: int) -> Iterator[Suspect]:
    labels = predictor.labels
    truth = table.truth_for(labels).rows([row])[0].long()
    asked = ((truth != LabelState.UNKNOWN) & labels.targets).nonzero()[:, 0].tolist()
    if not asked:
        return
    square = predictor.preprocessing.pixels(table.pixels(row))
    states = left_out(truth, asked, [members.tolist() for members in labels.exclusive], labels.implied)
    p = predictor.marginals(predictor.encode_images(square[None]), states)
    follows = propagate(states, labels) != LabelState.UNKNOWN
    for number, label in enumerate(asked):
        if follows[number, label]:
            continue
        present = bool(truth[label] == LabelState.POSITIVE)
        chance = float(p[number, label])
        surprise = -float(torch.tensor(chance if present else 1 - chance).clamp(min=LEAST).log())
        yield Suspect(row, table.ids[row], labels.names[label], present, chance, surprise)
