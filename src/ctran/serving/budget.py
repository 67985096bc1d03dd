"""A bound on the work in progress."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """Amounts held at the same time sum to no more than a limit; an amount above the limit is held alone.

    First come, first served, so that a large amount does not wait for ever while small ones come and go.

    Args:
        limit: of the sum.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.taken = limit, 0
        self._changed = threading.Condition()
        self._waiting = deque[object]()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Wait until ``amount`` is free, and hold it until the block ends."""
        amount, ticket = min(amount, self.limit), object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket and self.taken + amount <= self.limit)
            self._waiting.popleft()
            self.taken += amount
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self.taken -= amount
                self._changed.notify_all()
