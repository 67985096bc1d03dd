"""Bounds of numeric options, declared beside their defaults and checked in one place."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ctran.errors import UserError

BOUND = "bound"
"""Key of a field's metadata."""


@dataclass(frozen=True)
class Bound:
    """A range of finite numbers.

    Args:
        least, most: ends of the range.
        above, below: the end itself is outside.
        unit: follows the range in messages.
    """

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False
    unit: str = ""

    def holds(self, value: float) -> bool:
        """Whether ``value`` is finite and in the range."""
        low = value > self.least if self.above else value >= self.least
        high = value < self.most if self.below else value <= self.most
        return math.isfinite(value) and low and high

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.least) and math.isinf(self.most):
            return f"must be a finite number{unit}"
        if math.isinf(self.most):
            if self.above:
                return f"must be a finite number above {self.least:g}{unit}"
            return "must not be negative or infinite" if self.least == 0 else f"must be at least {self.least:g}{unit}"
        if self.above:
            return f"must lie above {self.least:g} and not above {self.most:g}{unit}"
        if self.below:
            return f"must be at least {self.least:g} and below {self.most:g}{unit}"
        return f"must lie between {self.least:g} and {self.most:g}{unit}"


def within(default: Any, least: float = -math.inf, most: float = math.inf, **more: Any) -> Any:
    """A dataclass field: a number, None, or a tuple of numbers, each within the bound (arguments of :class:`Bound`)."""
    return dataclasses.field(default=default, metadata={BOUND: Bound(least, most, **more)})


def check_bounds(options: Any, part: str) -> None:
    """Refuse values of a dataclass that are outside of their fields' bounds.

    Args:
        part: section of the recipe, the first half of the keys.

    Raises:
        UserError: a value is out of bounds; the message has key, range and value.
    """
    for field in dataclasses.fields(options):
        bound, value = field.metadata.get(BOUND), getattr(options, field.name)
        if bound is None or value is None:
            continue
        several = isinstance(value, tuple | list)
        if not all(bound.holds(each) for each in (value if several else [value])):
            shown = list(value) if several else value
            raise UserError(f"{part}.{field.name}{': each' if several else ''} {bound}, got {shown}")
