"""What follows from the listed labels of many pictures by implications (``child => parent``)."""

import numpy as np
from jaxtyping import Int

from ctran.data.lists import Lists


class ImpliedError(ValueError):
    """A child is present and its parent said to be absent: the picture's row, both labels, how many pictures break this one."""

    def __init__(self, row: int, child: int, parent: int, rows: int) -> None:
        super().__init__(f"row {row}: label {child} implies {parent}")
        self.row, self.child, self.parent, self.rows = row, child, parent, rows


def completed(positives: Lists, negatives: Lists, implied: Int[np.ndarray, "I 2"], num_labels: int) -> tuple[Lists, Lists]:
    """Both lists with all that follows: parents of what is present, children of what is said to be absent.

    Args:
        implied: pairs (child, ancestor), closed (:attr:`ctran.labels.LabelSpace.implied`).

    Raises:
        ImpliedError: the lists contradict an implication.
    """
    if not len(implied):
        return positives, negatives
    present, absent = (np.unique(lists.keys(num_labels)) for lists in (positives, negatives))
    for child, parent in implied:
        have = present[present % num_labels == child] - child + parent
        if len(broken := np.intersect1d(have, np.setdiff1d(absent, present))):
            raise ImpliedError(int(broken[0] // num_labels), int(child), int(parent), len(broken))
    more = [present[present % num_labels == child] - child + parent for child, parent in implied]
    less = [absent[absent % num_labels == parent] - parent + child for child, parent in implied]
    yes, no = (np.unique(np.concatenate([own, *found])) for own, found in ((present, more), (absent, less)))
    return Lists.from_keys(yes, len(positives), num_labels), Lists.from_keys(no, len(positives), num_labels)
