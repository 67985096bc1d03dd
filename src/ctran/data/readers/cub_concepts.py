"""CUB's attributes as Concept Bottleneck Models (Koh et al., ICML 2020) uses them: which, in what groups, a vector a class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from ctran.data.table import DataError

CONCEPTS = (
    *(1, 4, 6, 7, 10, 14, 15, 20, 21, 23, 25, 29, 30, 35, 36, 38, 40, 44, 45, 50, 51, 53, 54, 56, 57, 59, 63, 64),
    *(69, 70, 72, 75, 80, 84, 90, 91, 93, 99, 101, 106, 110, 111, 116, 117, 119, 125, 126, 131, 132, 134, 145, 149),
    *(151, 152, 153, 157, 158, 163, 164, 168, 172, 178, 179, 181, 183, 187, 188, 193, 194, 196, 198, 202, 203, 208),
    *(209, 211, 212, 213, 218, 220, 221, 225, 235, 236, 238, 239, 240, 242, 243, 244, 249, 253, 254, 259, 260, 262),
    *(268, 274, 277, 283, 289, 292, 293, 294, 298, 299, 304, 305, 308, 309, 310, 311),
)
"""The 112 attributes, from repository yewsiang/ConceptBottleneck, counted from 0; ``attributes.txt`` counts from 1."""

GROUPS = {
    "bill_shape": 4,
    "wing_color": 6,
    "upperparts_color": 6,
    "underparts_color": 6,
    "breast_pattern": 3,
    "back_color": 6,
    "tail_shape": 1,
    "upper_tail_color": 5,
    "head_pattern": 2,
    "breast_color": 6,
    "throat_color": 5,
    "eye_color": 1,
    "bill_length": 2,
    "forehead_color": 6,
    "under_tail_color": 5,
    "nape_color": 6,
    "belly_color": 6,
    "wing_shape": 2,
    "size": 3,
    "shape": 2,
    "back_pattern": 3,
    "tail_pattern": 3,
    "belly_pattern": 1,
    "primary_color": 6,
    "leg_color": 3,
    "bill_color": 3,
    "crown_color": 6,
    "wing_pattern": 4,
}
"""The 28 groups in the order of the list, and how many of the 112 attributes each holds."""

_MIN_CLASSES = 10
NOT_VISIBLE = 1
"""Of the four certainties: 1 not visible, 2 guessing, 3 probably, 4 definitely."""


def class_attributes(
    present: Bool[np.ndarray, "N A"],
    certainty: Int[np.ndarray, "N A"],
    classes: Int[np.ndarray, " N"],
    num_classes: int,
) -> Bool[np.ndarray, "K A"]:
    """Attributes of each class by the votes of its ``N`` pictures: class-level denoising.

    "Absent" for a part that is not visible does not count as a vote; a tie, also without votes, is "present".

    Args:
        present: whether the annotator of the picture marked the attribute as present.
        certainty: 1 to 4, how sure the annotator is.
        classes: class of each picture, 0 to ``K`` - 1; every class has a picture.
        num_classes: ``K``.
    """
    balance = np.zeros((num_classes, present.shape[1]), dtype=np.int64)
    votes = np.where(present, 1, np.where(certainty == NOT_VISIBLE, 0, -1))
    np.add.at(balance, classes, votes)
    return balance >= 0


def frequent(values: Bool[np.ndarray, "K A"]) -> tuple[int, ...]:
    """The attributes that at least ten classes have: the rule by which the published list was made."""
    return tuple(np.flatnonzero(values.sum(axis=0) >= _MIN_CLASSES).tolist())


def grouped(names: Sequence[str], where: Path) -> dict[str, tuple[str, ...]]:
    """The 112 attributes by group, from the names of all 312.

    Raises:
        DataError: the attributes at the published places do not form the published groups, so ``names`` is in another order.
    """
    groups: dict[str, list[str]] = {}
    for index in CONCEPTS:
        groups.setdefault(names[index].partition("::")[0].removeprefix("has_"), []).append(names[index])
    sizes = {group: len(members) for group, members in groups.items()}
    if list(sizes.items()) != list(GROUPS.items()):
        unexpected = next((g for g in (*GROUPS, *sizes) if GROUPS.get(g) != sizes.get(g)), "order")
        raise DataError(
            f"{where}: attributes of group {unexpected!r} at the 112 published places: expected {GROUPS.get(unexpected, 0)}, "
            f"found {sizes.get(unexpected, 0)}; use the attributes.txt of the official archive"
        )
    return {group: tuple(members) for group, members in groups.items()}
