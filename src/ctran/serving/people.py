"""Where each of several people begins in a folder, so that they do not label the same pictures."""

from collections import OrderedDict
from collections.abc import Container, Sequence
from threading import Lock

KEPT = 1000
"""People that are remembered; then the one who has not been here for longest is forgotten."""


def share(number: int) -> float:
    """The ``number``-th of the shares 0, 1/2, 1/4, 3/4, 1/8, ..., each far from those before it (van der Corput)."""
    found, half = 0.0, 0.5
    while number:
        found, number, half = found + half * (number & 1), number >> 1, half / 2
    return found


class People:
    """Numbers of people by the names that their pages give them, in the order in which they came."""

    def __init__(self) -> None:
        self._numbers = OrderedDict[str, int]()
        self._lock = Lock()

    def start(self, person: str | None, pictures: Sequence[str | None], saved: Container[str | None]) -> int:
        """Number of the picture to begin with: the first without an annotation from a person's share of the pictures on,
        else from the first picture on; 0 if all have one.

        Args:
            person: the first one begins at the first picture, the second one in the middle; None begins at the first.
            pictures: file names in their order.
            saved: file names of those that have an annotation.
        """
        begin = 0 if person is None else int(share(self._number(person)) * len(pictures))
        order = (*range(begin, len(pictures)), *range(begin))
        return next((number for number in order if pictures[number] not in saved), 0)

    def _number(self, person: str) -> int:
        with self._lock:
            if person not in self._numbers:
                free = self._numbers.popitem(last=False)[1] if len(self._numbers) == KEPT else len(self._numbers)
                self._numbers[person] = free
            self._numbers.move_to_end(person)
            return self._numbers[person]
