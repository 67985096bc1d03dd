"""Annotations of one picture by several people: each person's changes are merged label by label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ctran.errors import UserError

Known = Mapping[str, bool]
Change = Mapping[str, bool | None]
"""Label -> present, absent, or None where it was set back to unknown."""


@dataclass(frozen=True)
class Conflict:
    """Two changes that cannot both be kept.

    Args:
        yours: labels of the annotator who saves now.
        saved: labels that somebody else saved meanwhile.
    """

    yours: Change
    saved: Change

    def __str__(self) -> str:
        return f"you set {_text(self.yours)}, saved meanwhile was {_text(self.saved)}"


class ConflictError(UserError):
    """An annotation that was saved meanwhile contradicts the one to save; nothing was written.

    Args:
        conflicts: the changes that contradict each other.
        saved: the annotation as it is stored now.
    """

    def __init__(self, conflicts: Sequence[Conflict], saved: Known) -> None:
        super().__init__(
            f"conflict with an annotation that was saved meanwhile: {'; '.join(map(str, conflicts))}. Nothing was written: "
            "choose, and save again with what is stored now as the base"
        )
        self.conflicts, self.saved = conflicts, saved


def merge(base: Known, yours: Known, saved: Known, contradicts: Callable[[Known], bool]) -> dict[str, bool]:
    """What is stored now, with the changes from ``base`` to ``yours`` applied.

    Args:
        base: what was stored when the annotator who saves now began.
        yours: what is to be saved.
        saved: what is stored now.
        contradicts: whether labels contradict each other (exclusive groups, implications).

    Raises:
        ConflictError: a label was changed differently meanwhile, or the changes of both contradict each other.
    """
    mine, theirs = _changes(base, yours), _changes(base, saved)
    both = [name for name in mine if theirs.get(name, mine[name]) != mine[name]]
    conflicts = [Conflict({name: mine[name]}, {name: theirs[name]}) for name in both]
    found = {name: present for name, present in ({**saved, **mine}).items() if present is not None}
    others = {name: present for name, present in theirs.items() if name not in mine}
    if not conflicts and mine and others and contradicts(found):
        conflicts = _contradictions(mine, others, contradicts)
    if conflicts:
        raise ConflictError(conflicts, saved)
    return found


def _changes(base: Known, now: Known) -> dict[str, bool | None]:
    return {name: now.get(name) for name in {**base, **now} if now.get(name) != base.get(name)}


def _contradictions(mine: Change, theirs: Change, contradicts: Callable[[Known], bool]) -> list[Conflict]:
    """Pairs of contradicting labels; all labels of both where no pair alone contradicts."""
    pairs = [
        Conflict({name: present}, {other: theirs_present})
        for name, present in mine.items()
        for other, theirs_present in theirs.items()
        if present is not None and theirs_present is not None and contradicts({name: present, other: theirs_present})
    ]
    return pairs or [Conflict(mine, theirs)]


def _text(change: Change) -> str:
    words = {True: "present", False: "absent", None: "unknown"}
    return ", ".join(f"{name[:80]!r} {words[present]}" for name, present in change.items())
