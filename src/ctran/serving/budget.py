"""A bound on what is in work at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """Amounts that are taken at the same time sum to no more than a limit; what is larger than all of it is taken alone.

    Args:
        limit: of the sum.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.taken = limit, 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Wait until there is room, and hold it until the block ends."""
        amount = min(amount, self.limit)
        with self._changed:
            self._changed.wait_for(lambda: self.taken + amount <= self.limit)
            self.taken += amount
        try:
            yield
        finally:
            with self._changed:
                self.taken -= amount
                self._changed.notify_all()
