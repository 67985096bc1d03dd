"""Labels: what is known of each (:class:`LabelState`) and what they are called (:class:`LabelSpace`)."""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor


class LabelState(IntEnum):
    """What is known of one label of one image; the row of the state embedding (paper, Sec. 3.1).

    The same code serves ``truth`` (``UNKNOWN``: nobody looked) and ``states`` (``UNKNOWN``: the model is not told).
    """

    UNKNOWN = 0
    NEGATIVE = 1
    POSITIVE = 2


class UnknownLabelError(KeyError):
    """A label name that is not in the label space; the message suggests near ones."""

    def __str__(self) -> str:
        return str(self.args[0])


def nearest(name: str, names: Iterable[str]) -> str:
    """``"; did you mean 'flag'?"`` for the nearest of ``names``, or an empty string where none is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


@dataclass(frozen=True)
class LabelSpace:
    """Names of the labels in the order of the model's outputs.

    Args:
        names: ``L`` distinct, non-empty names.
        extra: names (a subset) that may be told but are not asked for (paper, Sec. 2: extra labels). Metrics leave them out.
    """

    names: tuple[str, ...]
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("a label space needs at least one label, got none")
        if blank := [i for i, n in enumerate(self.names) if not n.strip()]:
            raise ValueError(f"label names must not be empty, got an empty one at position {blank[0]}")
        if len(self.index_of) != len(self.names):
            twice = next(n for i, n in enumerate(self.names) if n in self.names[:i])
            raise ValueError(f"label names must be distinct, got {twice!r} twice")
        for name in self.extra:
            self.index(name)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def index_of(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def index(self, name: str) -> int:
        """Position of ``name``; :class:`UnknownLabelError` with the nearest name where there is none."""
        if name not in self.index_of:
            few = ", ".join(self.names) if len(self) <= 12 else f"{', '.join(self.names[:8])}, ..."
            raise UnknownLabelError(f"unknown label {name!r}{nearest(name, self.names)} ({len(self)} labels: {few})")
        return self.index_of[name]

    @property
    def targets(self) -> Bool[Tensor, " L"]:
        """True for the labels that are asked for, False for extra ones."""
        return torch.tensor([name not in self.extra for name in self.names])

    def states(self, known: Mapping[str, bool]) -> Int[Tensor, " L"]:
        """One :class:`LabelState` a label from names to booleans; labels not named are unknown."""
        states = torch.full((len(self),), LabelState.UNKNOWN, dtype=torch.long)
        for name, present in known.items():
            if not isinstance(present, bool):
                raise TypeError(f"known[{name!r}] must be True or False, got {present!r}")
            states[self.index(name)] = LabelState.POSITIVE if present else LabelState.NEGATIVE
        return states

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(
            json.dumps({"names": self.names, "extra": self.extra}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, path: Path) -> "LabelSpace":
        """Read what :meth:`save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(tuple(content["names"]), tuple(content["extra"]))
