"""Which labels a mean over labels covers: which could be learned, which the data have, which of them have an AP."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Int
from torch import Tensor

_CLOSE = 0.5
"""Similarity from which on a name is suggested, as in :func:`ctran.errors.nearest`."""
SHOWN = 10
"""Names that a sentence lists."""


def listed(names: Sequence[str]) -> str:
    """The names, or the first ten and how many more."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


@dataclass(frozen=True)
class Unlearnable:
    """Labels with at most one known value in the training pictures, so that a constant prediction is never wrong.

    Args:
        never_positive: no training picture is known to have them.
        never_negative: no training picture is known to lack them.
    """

    never_positive: tuple[str, ...] = ()
    never_negative: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset((*self.never_positive, *self.never_negative))

    def without(self, names: Iterable[str]) -> "Unlearnable":
        """These labels except ``names``."""
        known = set(names)
        kept = (tuple(n for n in each if n not in known) for each in (self.never_positive, self.never_negative))
        return Unlearnable(*kept)

    @property
    def reasons(self) -> dict[str, tuple[str, ...]]:
        """Why each is left out of means -> names."""
        found = {"never positive in training": self.never_positive, "never negative in training": self.never_negative}
        return {reason: names for reason, names in found.items() if names}

    def as_dict(self) -> dict[str, list[str]]:
        """Plain data for a model's ``config.json``."""
        return {"never_positive": list(self.never_positive), "never_negative": list(self.never_negative)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Unlearnable":
        """The inverse of :meth:`as_dict`."""
        return cls(tuple(content["never_positive"]), tuple(content["never_negative"]))

    def warning(self, labels: int) -> str:
        """One sentence for the start of training with so many labels; empty where all can be learned."""
        parts = [f"{reason}: {listed(names)}" for reason, names in self.reasons.items()]
        if not parts:
            return ""
        return (
            f"{len(self.names)} of {labels} labels cannot be learned and are left out of mean figures ({'; '.join(parts)}); "
            "annotate pictures that have them and pictures that lack them"
        )


def why_unlearnable(counts: Int[Tensor, "3 L"], names: Sequence[str], unlearnable: Unlearnable) -> str:
    """Why no label can be learned, as none has both known positives and known negatives, and what to do; empty if one can.

    Args:
        counts: training pictures in which each label to predict is unknown, negative, positive.
        names: of these labels.
        unlearnable: of all labels.
    """
    unknown, negative, positive = counts
    if ((negative > 0) & (positive > 0)).any():
        return ""
    if not positive.any():
        return (
            "no picture of train is known to have any of the labels, so nothing can be learned: annotate labels that are "
            "present, or check the column of labels and --data.root"
        )
    if not negative.any() and not unknown.any():
        return (
            f"every picture of train has every label ({listed(names)}), so nothing can be learned: add pictures that lack "
            "them, with an empty list of labels"
        )
    ways = "If unlisted labels are absent from the pictures, give --absent negative; if nobody checked, --absent unlisted"
    if not negative.any():
        return (
            "every label is either positive or unknown, so predicting every label would be perfect and nothing can be learned. "
            f"{ways}; otherwise add negatives (a 'negatives' column, or 0 in a wide CSV)."
        )
    return (
        f"no label has both a picture of train that is known to have it and one that is known to lack it (never positive: "
        f"{listed(unlearnable.never_positive)}; never negative: {listed(unlearnable.never_negative)}), so nothing can be "
        f"learned. {ways}; otherwise annotate both kinds"
    )


@dataclass(frozen=True)
class Coverage:
    """Which labels the means of a report cover.

    Args:
        targets: number of labels to predict (all that are not extra).
        measured: how many of them have an AP, in the first setting.
        left_out: reason -> labels that have none or do not count.
        foreign: labels of the data that the model does not have.
        hints: for labels that the data lack and for foreign ones, the nearest name on the other side.
    """

    targets: int = 0
    measured: int = 0
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)

    def sentences(self) -> str:
        """Readable text; empty where every label is measured and none is foreign."""
        parts = []
        if self.measured < self.targets:
            parts.append(f"Measured on {self.measured} of {self.targets} labels.")
        parts += [f"{reason[0].upper()}{reason[1:]}: {self._hinted(names)}." for reason, names in self.left_out.items()]
        if self.foreign:
            parts.append(f"Labels of the data that the model does not have: {self._hinted(self.foreign)}.")
        return " ".join(parts)

    def _hinted(self, names: Sequence[str]) -> str:
        return listed([f"{name} (nearest: {self.hints[name]})" if name in self.hints else name for name in names])

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        left_out = {reason: list(names) for reason, names in self.left_out.items()}
        return {
            "targets": self.targets,
            "measured": self.measured,
            "left_out": left_out,
            "not_in_model": list(self.foreign),
            "nearest": dict(self.hints),
        }


def nearest_names(names: Iterable[str], others: Sequence[str]) -> dict[str, str]:
    """For each name that has one, the nearest of ``others``."""
    near = {name: difflib.get_close_matches(name, others, n=1, cutoff=_CLOSE) for name in names}
    return {name: found[0] for name, found in near.items() if found}
