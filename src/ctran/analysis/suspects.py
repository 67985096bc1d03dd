"""Annotations that disagree most with the picture and with the other labels: one label at a time is hidden and predicted."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from ctran.constraints.implications import propagate
from ctran.data.loading import Batch, PictureSet, loader
from ctran.data.table import SampleTable
from ctran.inference.predictor import Predictor
from ctran.labels import LabelSpace, LabelState
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
    truth: Int[Tensor, " L"], annotated: list[int], groups: list[list[int]], implied: Int[Tensor, "I 2"] | None = None
) -> Int[Tensor, "A L"]:
    """A row of states for each label of ``annotated``: the truth without it, without the others of its exclusive group, and
    without labels tied to it by implications, which would reveal it."""
    group_of = {i: members for members in groups for i in members}
    rows = truth.repeat(len(annotated), 1)
    for row, label in zip(rows, annotated, strict=True):
        row[group_of.get(label, [label])] = int(LabelState.UNKNOWN)
        if implied is not None:
            column, other = (0, 1) if truth[label] == LabelState.POSITIVE else (1, 0)
            row[implied[implied[:, column] == label, other]] = int(LabelState.UNKNOWN)
    return rows


def suspects(predictor: Predictor, table: SampleTable, *, most: int = 1000, workers: int = 0) -> list[Suspect]:
    """The ``most`` annotations with the greatest surprise, greatest first; labels that are not annotated are skipped.

    Annotations that still follow from others once a label is left out are skipped: the model does not predict them.

    Args:
        workers: processes that read pictures; 0 reads in this one.
    """
    found, labels = list[Suspect](), predictor.labels
    pictures = PictureSet(table, labels, predictor.preprocessing)
    rows = [row for row in range(len(table)) if _annotated(pictures.truth.rows([row])[0], labels)]
    for batch in track(loader(pictures, batch_size=1, order=rows, workers=workers), "leaving labels out", len(rows)):
        found += _of(predictor, table, batch)
        if len(found) > 10 * most:
            found = sorted(found, key=lambda s: -s.surprise)[:most]
    return sorted(found, key=lambda s: -s.surprise)[:most]


def _annotated(truth: Int[Tensor, " L"], labels: LabelSpace) -> list[int]:
    """Target labels that are annotated."""
    return ((truth != LabelState.UNKNOWN) & labels.targets).nonzero()[:, 0].tolist()


def _of(predictor: Predictor, table: SampleTable, batch: Batch) -> Iterator[Suspect]:
    """Suspects of the one picture of a batch."""
    labels, row, truth = predictor.labels, int(batch.index), batch.truth[0]
    annotated = _annotated(truth, labels)
    assert isinstance(batch.inputs, Tensor)
    states = left_out(truth, annotated, [members.tolist() for members in labels.exclusive], labels.implied)
    p = predictor.marginals(predictor.encode_images(batch.inputs), states)
    follows = propagate(states, labels) != LabelState.UNKNOWN
    for number, label in enumerate(annotated):
        if follows[number, label]:
            continue
        present = bool(truth[label] == LabelState.POSITIVE)
        probability = float(p[number, label])
        surprise = -float(torch.tensor(probability if present else 1 - probability).clamp(min=LEAST).log())
        yield Suspect(row, table.ids[row], labels.names[label], present, probability, surprise)
