"""Which labels are known to the model: label mask training, and known labels for evaluation.

Masks are drawn on the batch, from truth and a generator or image ids; data sets do not contain them.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.errors import UserError
from ctran.labels import LabelSpace, LabelState

_ROUNDING = 1e-9
"""Tolerance for a share times a number of labels: above its rounding error, below any intended part of a label."""


def label_mask_training(
    truth: Int[Tensor, "B L"],
    *,
    unknown_share: tuple[float, float] = (0.25, 1.0),
    all_unknown: float = 0.0,
    units: Int[Tensor, " L"] | None = None,
    maskable: Bool[Tensor, " L"] | None = None,
    generator: torch.Generator,
) -> Int[Tensor, "B L"]:
    """States for one training batch: ``n`` random labels an image are unknown, the others known (paper, Sec. 3.4).

    ``n`` is uniform over the whole numbers in ``[low L, high L]``, one draw an image, then ``n`` labels are drawn without
    replacement. Labels that are not annotated stay unknown, so partial annotations need no other code.

    Args:
        truth: :class:`LabelState` codes; ``UNKNOWN`` where not annotated.
        unknown_share: ``(low, high)``, the paper's ``[0.25, 1]``.
        all_unknown: probability that all labels of an image are unknown: the regular setting, which the paper's sampling
            almost never produces. 0 is the paper.
        units: index of the unit of each label (:attr:`ctran.labels.LabelSpace.units`); units instead of labels are then
            counted, drawn, and hidden whole. Beyond the paper, which masks labels one by one.
        maskable: labels that may become known, at random; the others are always unknown. None: all of them.
        generator: source of randomness.
    """
    if maskable is not None and not maskable.all():
        inside = maskable.nonzero()[:, 0]
        renumbered = None if units is None else units[inside].unique(return_inverse=True)[1]
        options = {"unknown_share": unknown_share, "all_unknown": all_unknown, "units": renumbered, "generator": generator}
        masked = label_mask_training(truth[:, inside], **options)
        return torch.zeros_like(truth).index_copy(1, inside.to(truth.device), masked)
    low, high = unknown_share
    if not 0 <= low <= high <= 1:
        raise UserError(f"unknown_share must satisfy 0 <= low <= high <= 1, got [{low}, {high}]")
    batch = len(truth)
    labels = truth.shape[1] if units is None else int(units.max()) + 1
    least, most = whole_numbers(low, high, labels)
    if least > most:
        kind = "labels" if units is None else "units (groups, and labels without one)"
        raise UserError(f"unknown_share [{low}, {high}] admits no whole number of {labels} {kind}")
    count = torch.randint(least, most + 1, (batch, 1), generator=generator)
    nothing = torch.rand(batch, 1, generator=generator) < all_unknown
    count = torch.where(nothing, labels, count)
    rank = torch.rand(batch, labels, generator=generator).argsort(dim=1).argsort(dim=1)
    hidden = rank < count
    hidden = (hidden if units is None else hidden[:, units]).to(truth.device)
    return torch.where(hidden, int(LabelState.UNKNOWN), truth)


def whole_numbers(low: float, high: float, count: int) -> tuple[int, int]:
    """The least and the greatest whole number within ``[low * count, high * count]``; the least is greater where there is none.

    Products such as 0.07 * 100 are inexact in floating point, so both ends have a small tolerance.
    """
    return math.ceil(low * count - _ROUNDING), math.floor(high * count + _ROUNDING)


Reveal = Literal["random", "positives", "confident"]
"""Which labels become known first: any; only present ones, as users enter them; of these, the highest logits first."""


@dataclass(frozen=True)
class EvalSetting:
    """Which labels are known in one setting of an evaluation (paper, Sec. 2).

    ``EvalSetting()`` is the regular setting, ``EvalSetting(share=0.25)`` partial labels, ``EvalSetting(groups=10)`` extra
    labels.

    Args:
        share: of the labels (``random``), or of the picture's present labels (``positives``, ``confident``), that is known.
            The count is rounded down, as in the released code.
        groups: number of groups of extra labels known instead, each as a whole (an extra label without a group is one).
        reveal: which labels come first.
    """

    share: float = 0.0
    groups: int | None = None
    reveal: Reveal = "random"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UserError(f"a known share lies between 0 and 1, got {self.share}")
        if self.groups is not None and self.groups < 0:
            raise UserError(f"a number of known groups is at least 0, got {self.groups}")
        if self.groups is not None and (self.share or self.reveal != "random"):
            raise UserError(
                "groups of extra labels become known as a whole, drawn at random: give no share and no other reveal"
            )

    def __str__(self) -> str:
        if self.groups is not None:
            return f"{self.groups} groups"
        kind = {"random": "", "positives": " of positives", "confident": " of positives, most confident first"}[self.reveal]
        return f"{100 * self.share:g} %{kind}"

    @property
    def is_drawn(self) -> bool:
        """Whether the known labels are chosen at random, so that several draws differ."""
        return bool(self.share or self.groups) and self.reveal != "confident"


def known_labels(
    setting: EvalSetting,
    truth: Int[Tensor, "B L"],
    ids: Sequence[str],
    labels: LabelSpace,
    *,
    seed: int = 0,
    scores: Float[Tensor, "B L"] | None = None,
) -> Bool[Tensor, "B L"]:
    """Labels that are known in an evaluation.

    Keyed by image id and seed, so the choice is the same on every machine and in every order; a larger share contains a
    smaller one, so that curves over it are paired.

    Args:
        scores: logits with all labels unknown; ``confident`` needs them.

    Raises:
        ValueError: more groups than the label space has groups of extra labels.
    """
    groups = _extra_groups(labels, setting.groups)
    positive = (truth == LabelState.POSITIVE).cpu()
    known = torch.zeros(truth.shape, dtype=torch.bool)
    for row, name in enumerate(ids):
        if setting.groups is not None:
            for number in _permutation(name, seed, len(groups))[: setting.groups].tolist():
                known[row, groups[number]] = True
            continue
        if setting.reveal == "confident":
            assert scores is not None
            order = scores[row].argsort(descending=True, stable=True).cpu()
        else:
            order = _permutation(name, seed, len(labels))
        if setting.reveal != "random":
            order = order[positive[row, order]]
        known[row, order[: whole_numbers(0, setting.share, len(order))[1]]] = True
    return known.to(truth.device)


def _permutation(name: str, seed: int, size: int) -> Int[Tensor, " size"]:
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    return torch.from_numpy(random.permutation(size))


def _extra_groups(labels: LabelSpace, wanted: int | None) -> list[Int[Tensor, "..."]]:
    """Indices of the extra labels in each group; a label without one counts as a group. At least ``wanted`` groups."""
    if wanted is None:
        return []
    found = [((labels.units == unit) & ~labels.targets).nonzero()[:, 0] for unit in labels.units[~labels.targets].unique()]
    if wanted > len(found):
        raise UserError(f"{wanted} known groups asked for, the label space has {len(found)} groups of extra labels")
    return found


def reveal(truth: Int[Tensor, "B L"], known: Bool[Tensor, "B L"]) -> Int[Tensor, "B L"]:
    """States: ``truth`` where ``known``, ``UNKNOWN`` elsewhere."""
    return torch.where(known, truth, int(LabelState.UNKNOWN))


def scored_mask(truth: Int[Tensor, "B L"], states: Int[Tensor, "B L"]) -> Bool[Tensor, "B L"]:
    """Entries that loss and metrics count: annotated, and unknown to the model."""
    return (truth != LabelState.UNKNOWN) & (states == LabelState.UNKNOWN)
