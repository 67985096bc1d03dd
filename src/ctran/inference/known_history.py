"""The known labels of one picture, how they change, and the way back."""

from collections.abc import Collection, Iterable, Mapping

from ctran.known import Known, booleans
from ctran.labels import LabelSpace


class KnownHistory:
    """Known labels, none at first, and those before each change. What contradicts itself is refused and changes nothing.

    Args:
        labels: whose exclusive groups and implications hold.
    """

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels
        self.known: dict[str, bool] = {}
        self.past: list[dict[str, bool]] = []

    def with_added(self, known: Known) -> dict[str, bool]:
        """The known labels and ``known``, without a change. A label that becomes present removes another present label of its
        exclusive group.

        Raises:
            UnknownLabelError, ValueError: as :meth:`~ctran.labels.LabelSpace.states`.
        """
        known = booleans(known)
        self.labels.states(known)  # names, types, and contradictions among the new labels alone
        rivals = {
            other
            for name, present in known.items()
            if present
            for group in self.labels.groups
            if group.exclusive and name in group.labels
            for other in group.labels
            if self.known.get(other) and other != name
        }
        return {name: present for name, present in self.known.items() if name not in rivals} | dict(known)

    def add(self, known: Known) -> None:
        """Add known labels as :meth:`with_added`."""
        self._become(self.with_added(known))

    def remove(self, names: Collection[str]) -> None:
        """Make labels unknown again; all of them where ``names`` is empty. Labels that are not known are ignored.

        Raises:
            UnknownLabelError: no such label.
        """
        for name in names:
            self.labels.index(name)
        self._become({name: present for name, present in self.known.items() if names and name not in names})

    def undo(self) -> None:
        """Undo the last change; does nothing where none is left."""
        if self.past:
            self.known = self.past.pop()

    def restore(self, known: Mapping[str, bool], past: Iterable[Mapping[str, bool]]) -> None:
        """Replace all by what was saved.

        Raises:
            UnknownLabelError, ValueError: as :meth:`~ctran.labels.LabelSpace.states`.
        """
        before = [dict(step) for step in past]
        for step in (*before, known):
            self.labels.states(step)
        self.known, self.past = dict(known), before

    def _become(self, known: dict[str, bool]) -> None:
        self.labels.states(known)
        if known != self.known:
            self.past.append(self.known)
            self.known = known
