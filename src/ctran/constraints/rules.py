"""What follows from known labels through implications and exclusive groups, and whole decisions that contradict neither.

The rules are those of :func:`ctran.constraints.implications.propagate`, here for one picture, by name and without tensors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ctran.errors import UserError


class ContradictionError(UserError):
    """Labels that contradict each other; the message gives the reasons for both states of a label."""


@dataclass(frozen=True)
class Constraints:
    """Rules that the labels of every picture obey.

    Args:
        groups: labels of each exclusive group: exactly one is present.
        implications: pairs (child, parent): a picture with the child has the parent too.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    implications: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _parents(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for child, parent in self.implications:
            found.setdefault(child, []).append(parent)
        return found

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for child, parent in self.implications:
            found.setdefault(parent, []).append(child)
        return found

    @cached_property
    def _group_of(self) -> dict[str, tuple[str, ...]]:
        return {name: group for group in self.groups for name in group}

    @cached_property
    def _always(self) -> dict[str, bool]:
        """Labels that are present in every picture: all labels of a group imply them."""
        return dict.fromkeys((name for group in self.groups for name in self._shared(group)), True)

    def _shared(self, names: Sequence[str]) -> list[str]:
        """Parents that all of ``names`` imply."""
        first, *others = (self._parents.get(name, []) for name in names)
        return [name for name in first if all(name in other for other in others)]

    def follow(self, known: Mapping[str, bool], settled: Mapping[str, bool] | None = None) -> dict[str, bool]:
        """``known`` (present or absent) with all that follows from it.

        Args:
            known: label name -> present or absent.
            settled: an earlier result of this method, to which ``known`` is added.

        Raises:
            ContradictionError: a label would be both present and absent, or a group without a present label.
        """
        found, reasons = dict(settled or {}), dict[str, str]()
        todo = [(name, present, "") for name, present in known.items()]
        if settled is None:
            todo += [(name, present, "it is in every picture") for name, present in self._always.items()]
        while todo:
            name, present, reason = todo.pop(0)
            if name in found:
                if found[name] != present:
                    raise _contradiction(name, present, reason, reasons.get(name, ""))
                continue
            found[name], reasons[name] = present, reason
            todo += self._next(name, present, found)
        return found

    def _next(self, name: str, present: bool, found: Mapping[str, bool]) -> list[tuple[str, bool, str]]:
        """Direct consequences of one label, given the others."""
        because = f"{name!r} is {'present' if present else 'absent'}"
        group = self._group_of.get(name, ())
        if present:
            rivals = [(other, False, because) for other in group if other != name]
            return [*((parent, True, because) for parent in self._parents.get(name, [])), *rivals]
        after = [(child, False, because) for child in self._children.get(name, [])]
        left = [other for other in group if found.get(other) is not False]
        if group and not left:
            raise ContradictionError(f"one of {', '.join(map(repr, group))} is present, so not all of them can be absent")
        if len(left) == 1:
            return [*after, (left[0], True, f"{because}, and all other labels of its group")]
        return [*after, *((parent, True, because) for parent in (self._shared(left) if left else []))]

    def decide(
        self,
        probabilities: Mapping[str, float],
        known: Mapping[str, bool],
        threshold: Callable[[str], float],
        extra: Mapping[str, float] | None = None,
    ) -> dict[str, bool]:
        """Which labels are present: what follows from ``known``; of each exclusive group the most probable label; any other
        label with a probability of at least its threshold; and all that these imply. A label that contradicts an earlier choice
        is absent: groups are decided first, then labels in the order of ``probabilities``, at last groups of extra labels, as
        what these imply may be to predict.

        Args:
            probabilities: of the labels to predict, most probable first.
            known: label name -> present or absent.
            threshold: of a label, by name.
            extra: probabilities of labels that are not predicted, most probable first.
        """
        state = self._choose(self._by_best(probabilities), follows := self.follow(known)) or follows
        for name, p in probabilities.items():
            if name not in state and p >= threshold(name):
                state = self._with(name, state) or self.follow({name: False}, state)
        state = self._choose(self._by_best(extra or {}), state) or state
        return {name: state.get(name, False) for name in probabilities}

    def _by_best(self, probabilities: Mapping[str, float]) -> list[list[str]]:
        """Labels of each exclusive group, in the order of ``probabilities``; the group with the most probable one first."""
        by_group = [[name for name in probabilities if name in set(group)] for group in self.groups]
        return sorted((names for names in by_group if names), key=lambda names: -probabilities[names[0]])

    def _choose(self, groups: list[list[str]], state: dict[str, bool]) -> dict[str, bool] | None:
        """``state`` with the most probable label of each group that contradicts no other choice; None where none exists."""
        if not groups:
            return state
        first, *others = groups
        if any(state.get(name) for name in self._group_of[first[0]]):
            return self._choose(others, state)
        for name in first:
            after = self._with(name, state) if name not in state else None
            found = self._choose(others, after) if after is not None else None
            if found is not None:
                return found
        return None

    def _with(self, name: str, state: dict[str, bool]) -> dict[str, bool] | None:
        """``state`` with this label present; None where that contradicts it."""
        try:
            return self.follow({name: True}, state)
        except ContradictionError:
            return None


def _contradiction(name: str, present: bool, reason: str, other: str) -> ContradictionError:
    """The error for a label with two states, with the reason for each."""
    first, second = (f"because {why}" if why else "as given" for why in (reason, other))
    words = ("present", "absent") if present else ("absent", "present")
    return ContradictionError(f"{name!r} would be {words[0]} ({first}) and {words[1]} ({second}): one of them must be wrong")
