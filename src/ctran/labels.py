"""Labels: the state of each (:class:`LabelState`), and their names and rules (:class:`LabelSpace`)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ctran.constraints.closure import closure
from ctran.constraints.rules import Constraints
from ctran.errors import UserError, UserTypeError, nearest
from ctran.files import write_text
from ctran.known import Known, booleans
from ctran.textfile import read_json


class LabelState(IntEnum):
    """State of one label of one image; the row of the state embedding (paper, Sec. 3.1).

    For ``truth`` (``UNKNOWN``: not annotated) and for ``states`` (``UNKNOWN``: not given to the model).
    """

    UNKNOWN = 0
    NEGATIVE = 1
    POSITIVE = 2


class UnknownLabelError(UserError, KeyError):
    """A label name that is not in the label space; the message suggests near ones."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Group:
    """Labels that belong together: an attribute's values (CUB's 28), a super-category (COCO's 12), classes (CUB's 200).

    Args:
        name: distinct among the groups.
        labels: at least two names where ``exclusive``, at least one otherwise.
        exclusive: exactly one of them is positive in every picture.
    """

    name: str
    labels: tuple[str, ...]
    exclusive: bool = False

    def __post_init__(self) -> None:
        if len(self.labels) < 1 + self.exclusive:
            kind = "an exclusive group needs at least two labels" if self.exclusive else "a group needs at least one label"
            raise UserError(f"{kind}, group {self.name!r} has {len(self.labels)}")


@dataclass(frozen=True)
class LabelSpace:
    """Names of the labels in the order of the model's outputs.

    Args:
        names: ``L`` distinct, non-empty names.
        extra: names (a subset) that may be known but are not predicted (paper, Sec. 2: extra labels). Metrics leave them out.
        groups: no label is in two of them; many are in none.
        implications: pairs (child, parent): a picture with the child has the parent too. No label implies itself.
    """

    names: tuple[str, ...]
    extra: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    implications: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            raise UserError("a label space needs at least one label, got none")
        if blank := [i for i, n in enumerate(self.names) if not n.strip()]:
            raise UserError(f"label names must not be empty, got an empty one at position {blank[0]}")
        if len(self.index_of) != len(self.names):
            duplicate = next(n for i, n in enumerate(self.names) if self.index_of[n] != i)
            raise UserError(f"label names must be distinct, got {duplicate!r} twice")
        for name in self.extra:
            self.index(name)
        if len(set(self.extra)) == len(self.names):
            raise UserError("every label is extra, so nothing is asked for; at least one must be a target")
        self._check_groups()
        self._check_implications()

    def _check_groups(self) -> None:
        seen: dict[str, str] = {}
        named, extra = set[str](), set(self.extra)
        for group in self.groups:
            if group.name in named:
                raise UserError(f"groups must have distinct names, got {group.name!r} twice")
            named.add(group.name)
            for name in group.labels:
                self.index(name)
                if name in seen:
                    raise UserError(f"label {name!r} is in group {seen[name]!r} and in group {group.name!r}; one is allowed")
                seen[name] = group.name
            if group.exclusive and 0 < sum(name in extra for name in group.labels) < len(group.labels):
                raise UserError(f"exclusive group {group.name!r} must be extra as a whole, or not at all")

    def _check_implications(self) -> None:
        try:
            pairs = closure((self.index(child), self.index(parent)) for child, parent in self.implications)
        except UnknownLabelError:
            raise
        except ValueError as error:
            circle = " => ".join(repr(self.names[i]) for i in (*error.args, error.args[0]))
            raise UserError(f"implications must not go round in a circle: {circle}") from None
        one_of = {name: g.name for g in self.groups if g.exclusive for name in g.labels}
        for child, parent in ((self.names[c], self.names[p]) for c, p in pairs):
            if child in one_of and one_of[child] == one_of.get(parent):
                raise UserError(f"{child!r} implies {parent!r}, but only one label of group {one_of[child]!r} is present")

    @cached_property
    def implied(self) -> Int[Tensor, "I 2"]:
        """Indices (child, ancestor) of all that follows from :attr:`implications`."""
        pairs = closure((self.index(child), self.index(parent)) for child, parent in self.implications)
        return torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)

    @cached_property
    def implied_by_groups(self) -> tuple[tuple[Int[Tensor, " M"], Int[Tensor, " A"], Bool[Tensor, "M A"]], ...]:
        """For each exclusive group: its labels, all that any of them implies, and which implies which."""
        found = []
        for members in self.exclusive:
            from_members = self.implied[torch.isin(self.implied[:, 0], members)]
            above = from_members[:, 1].unique()
            implies = torch.zeros(len(members), len(above), dtype=torch.bool)
            for child, parent in from_members.tolist():
                implies[members == child, above == parent] = True
            found.append((members, above, implies))
        return tuple(found)

    @cached_property
    def implied_names(self) -> tuple[tuple[str, str], ...]:
        """:attr:`implied` by name."""
        return tuple((self.names[child], self.names[parent]) for child, parent in self.implied.tolist())

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

    @cached_property
    def targets(self) -> Bool[Tensor, " L"]:
        """True for the labels that are predicted, False for extra ones."""
        extra = set(self.extra)
        return torch.tensor([name not in extra for name in self.names])

    def members(self, group: Group) -> Int[Tensor, " M"]:
        """Indices of a group's labels, in its order."""
        return torch.tensor([self.index(name) for name in group.labels])

    @cached_property
    def exclusive(self) -> tuple[Int[Tensor, " M"], ...]:
        """Indices of each exclusive group's labels."""
        return tuple(self.members(g) for g in self.groups if g.exclusive)

    @cached_property
    def units(self) -> Int[Tensor, " L"]:
        """Index of the unit of each label: a group is one unit, and so is any other label."""
        keys = [(self.group_of.get(name), None if name in self.group_of else name) for name in self.names]
        number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        return torch.tensor([number[key] for key in keys])

    @cached_property
    def group_of(self) -> dict[str, str]:
        """Name of the group of each label that is in one."""
        return {name: group.name for group in self.groups for name in group.labels}

    def extended(
        self, extra: Iterable[str], groups: Iterable[Group], implications: Iterable[tuple[str, str]] = ()
    ) -> "LabelSpace":
        """The same labels, with more extra labels (named one by one or by group), implications and groups; groups of the same
        name are replaced."""
        more = {g.name: g for g in groups}
        kept = tuple(more.pop(g.name, g) for g in self.groups) + tuple(more.values())
        by_name = {g.name: g.labels for g in kept}
        names = [name for e in extra for name in by_name.get(e, (e,))]
        implied = tuple(dict.fromkeys((*self.implications, *implications)))
        return replace(self, extra=tuple(dict.fromkeys((*self.extra, *names))), groups=kept, implications=implied)

    def states(self, known: Known) -> Int[Tensor, " L"]:
        """One :class:`LabelState` a label from names to booleans; labels not named are unknown.

        Raises:
            UnknownLabelError: a name that is not in the label space.
            UserError: two labels of an exclusive group are present, or all are absent; a label is present and one that it
                implies is absent; or what follows from the labels is contradictory.
        """
        states = torch.full((len(self),), LabelState.UNKNOWN, dtype=torch.long)
        known = booleans(known)
        for name, present in known.items():
            states[self.index(name)] = LabelState.POSITIVE if present else LabelState.NEGATIVE
        for group in (g for g in self.groups if g.exclusive):
            present = [name for name in group.labels if known.get(name)]
            if len(present) > 1:
                raise UserError(f"group {group.name!r} is exclusive: {present[0]!r} and {present[1]!r} cannot both be present")
            if all(known.get(name) is False for name in group.labels):
                raise UserError(f"group {group.name!r} is exclusive: one of its labels is present, but all are given as absent")
        for child, parent in self.implied[(states[self.implied[:, 0]] == LabelState.POSITIVE)].tolist():
            if states[parent] == LabelState.NEGATIVE:
                child, parent = self.names[child], self.names[parent]
                raise UserError(f"{child!r} implies {parent!r}: the one cannot be present and the other absent")
        self.constraints.follow(known)  # contradictions only in what follows from ``known``
        return states

    @cached_property
    def constraints(self) -> Constraints:
        """Exclusive groups and implications by name."""
        return Constraints(tuple(g.labels for g in self.groups if g.exclusive), self.implied_names)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: ``names``, ``extra``, ``groups``, ``implications``."""
        groups = {g.name: {"exclusive": g.exclusive, "labels": list(g.labels)} for g in self.groups}
        implications = [list(pair) for pair in self.implications]
        return {"names": list(self.names), "extra": list(self.extra), "groups": groups, "implications": implications}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "LabelSpace":
        """The inverse of :meth:`as_dict`; all keys are required."""
        return cls(
            tuple(content["names"]),
            tuple(content["extra"]),
            tuple(Group(name, tuple(g["labels"]), g["exclusive"]) for name, g in content["groups"].items()),
            tuple((child, parent) for child, parent in content["implications"]),
        )

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> "LabelSpace":
        """Read what :meth:`save` wrote."""
        content = read_json(path)
        if not isinstance(content, dict):
            raise UserTypeError(f"expected an object with names, extra and groups, got a {type(content).__name__}")
        return cls.from_dict(content)
