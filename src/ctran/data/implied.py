"""What follows from the listed labels of many pictures by implications (``child => parent``)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from ctran.data.lists import Lists, among
from ctran.errors import UserError


class ImpliedError(UserError):
    """A child is present and its parent annotated as absent: the picture's row, both labels, number of pictures with this."""

    def __init__(self, row: int, child: int, parent: int, rows: int) -> None:
        super().__init__(f"row {row}: label {child} implies {parent}")
        self.row, self.child, self.parent, self.rows = row, child, parent, rows


def completed(positives: Lists, negatives: Lists, implied: Int[np.ndarray, "I 2"], num_labels: int) -> tuple[Lists, Lists]:
    """Both lists with all implied labels: ancestors of present labels, descendants of absent ones.

    Args:
        implied: pairs (child, ancestor), closed (:attr:`ctran.labels.LabelSpace.implied`).

    Raises:
        ImpliedError: the lists contradict an implication.
    """
    if not len(implied):
        return positives, negatives
    present, absent = (np.unique(lists.keys(num_labels)) for lists in (positives, negatives))
    absent = absent[~among(absent, present)]  # a label in both lists is present
    rows_with, rows_without = _rows(present, num_labels), _rows(absent, num_labels)
    more, less = [present], [absent]
    for child, parent in implied.tolist():
        have = rows_with(child) * num_labels + parent
        if len(broken := have[among(have, absent)]):
            raise ImpliedError(int(broken.min() // num_labels), child, parent, len(broken))
        more.append(have)
        less.append(rows_without(parent) * num_labels + child)
    yes, no = (np.unique(np.concatenate(keys)) for keys in (more, less))
    return Lists.from_keys(yes, len(positives), num_labels), Lists.from_keys(no, len(positives), num_labels)


def _rows(keys: Int[np.ndarray, " K"], num_labels: int) -> Callable[[int], Int[np.ndarray, "..."]]:
    """Rows of the entries of one label, found without searching those of the others."""
    rows, labels = np.divmod(keys, num_labels)
    order = np.argsort(labels, kind="stable")
    rows, labels = rows[order], labels[order]
    return lambda label: rows[slice(*np.searchsorted(labels, (label, label + 1)))]
