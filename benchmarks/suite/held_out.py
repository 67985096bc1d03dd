"""Which sets are kept for the final measure."""

import hashlib

from benchmarks.suite import sets
from ctran import registry

KINDS = ("drawings", "planted", "glyphs", "lines", "emoji", "merged")
"""Of pictures: clip art, composed canvases, filled icons, line icons, coloured emoji, two packages in one set."""
MEASURED = ("glyphs", "lines", "emoji")
"""Kinds of which one set is held out. The recipes were made on the drawings and the planted world, and a merged set has the
pictures of others."""


def held_out() -> tuple[str, ...]:
    """The set with the smallest SHA-256 of its name in each kind of :data:`MEASURED`: NEVER used for a choice.

    They are for the final measure alone: no method, option, threshold or recipe may be chosen by a figure on them, on any
    split. The rule was fixed before any model was fitted to any set.
    """
    return tuple(min(of_kind(kind), key=lambda name: hashlib.sha256(name.encode()).hexdigest()) for kind in MEASURED)


def of_kind(kind: str) -> list[str]:
    """Names of the sets of one kind of pictures."""
    return [name for name in registry.names(sets) if registry.find(sets, name).KIND == kind]


def for_choices() -> tuple[str, ...]:
    """Names of the sets on which methods are developed, sorted."""
    final = held_out()
    return tuple(name for name in registry.names(sets) if name not in final)
