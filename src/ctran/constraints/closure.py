"""All that follows from implications, pair by pair."""

from collections.abc import Iterable


def closure(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """All pairs (child, ancestor) that follow from ``pairs``, sorted.

    Raises:
        ValueError: a label implies itself; the arguments are the labels of the cycle.
    """
    parents: dict[int, list[int]] = {}
    for child, parent in pairs:
        parents.setdefault(child, []).append(parent)
    found: dict[int, set[int]] = {}
    for first in parents:
        path, todo = list[int](), [(first, False)]
        while todo:
            label, left = todo.pop()
            if left:
                path.pop()
                above = parents.get(label, [])
                found[label] = set(above).union(*(found[parent] for parent in above))
            elif label in path:
                raise ValueError(*path[path.index(label) :])
            elif label not in found:
                path.append(label)
                todo += [(label, True), *((parent, False) for parent in parents.get(label, []))]
    return sorted((child, parent) for child, above in found.items() for parent in above)
