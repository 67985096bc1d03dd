"""Near duplicates of pictures by perceptual hashes, and splits that keep them together and give every label its share.

A hash has 64 bits: which of the 8 x 8 lowest frequencies of the grey picture, 32 x 32, are above their median. Pictures are
near duplicates where hashes differ in few bits and small versions (16 x 16, in colour) little.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

BITS = 4
"""Bits in which hashes of near duplicates may differ: at 4 nearly all pairs of icons were one drawing, at 6 two thirds."""
APART = 0.04
"""Mean difference of the small versions, in colour, 0 to 1; hashes of pictures with little on them are alike by chance."""
SMALL, LOW = 32, 8
ROWS = 1024
"""Pictures that are compared with all others at a time."""
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


@dataclass(frozen=True)
class Print:
    """What is compared of a picture: the bits of its hash as -1 and 1, and a small version in colour, 0 to 1."""

    bits: Float[np.ndarray, " 64"]
    small: Float[np.ndarray, " 768"]


def _cosines() -> Float[np.ndarray, "8 32"]:
    """The lowest rows of the discrete cosine transform."""
    places = np.arange(SMALL) + 0.5
    return np.cos(np.pi / SMALL * np.arange(LOW)[:, None] * places).astype(np.float32)


def print_of(picture: Image.Image) -> Print:
    """The print of a decoded picture."""
    grey = picture.convert("L")
    small = np.asarray(picture.convert("RGB").resize((16, 16), Image.Resampling.BOX), dtype=np.float32) / 255
    large = np.asarray(grey.resize((SMALL, SMALL), Image.Resampling.LANCZOS), dtype=np.float32) / 255
    low = (_cosines() @ large @ _cosines().T).reshape(-1)
    bits = np.where(low > np.median(low[1:]), 1, -1).astype(np.float32)
    return Print(bits, small.reshape(-1))


def near_pairs(prints: Sequence[Print | None]) -> list[tuple[int, int]]:
    """Pairs of positions of near duplicates, the smaller first; None is like nothing."""
    places = [place for place, one in enumerate(prints) if one is not None]
    held = [one for one in prints if one is not None]
    if not held:
        return []
    bits, small = np.stack([one.bits for one in held]), np.stack([one.small for one in held])
    found = []
    for start in range(0, len(held), ROWS):
        apart = (64 - bits[start : start + ROWS] @ bits.T) / 2
        for row, column in np.argwhere(apart <= BITS).tolist():
            first = start + row
            if first < column and float(np.abs(small[first] - small[column]).mean()) <= APART:
                found.append((places[first], places[column]))
    return found


def groups_of(size: int, pairs: Collection[tuple[int, int]]) -> Int[np.ndarray, " N"]:
    """Number of the group of each of ``size`` pictures: those linked by a chain of pairs."""
    least = list(range(size))

    def root(place: int) -> int:
        while least[place] != place:
            least[place] = least[least[place]]
            place = least[place]
        return place

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        least[high] = low
    return np.array([root(place) for place in range(size)], dtype=np.int64)


def stratified(
    groups: Sequence[int], labels: Sequence[Collection[str]], ids: Sequence[str], shares: Mapping[str, float] = SHARES
) -> list[str]:
    """The split of each picture: whole groups, so that every label has its share of each split as far as that can be.

    Iterative stratification (Sechidis et al., 2011, "On the stratification of multi-label data"): the rarest label first, each
    of its groups into the split that lacks it most. No random number: choices between equals are by the SHA-256 of the id, so
    the splits are the same on every machine.

    Args:
        groups: number of the group of each picture.
        labels: labels that are present in each.
        ids: of the pictures.
        shares: of the splits.
    """
    members: dict[int, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    counts = {group: Counter(name for place in places for name in labels[place]) for group, places in members.items()}
    total = Counter[str]()
    for count in counts.values():
        total.update(count)
    want = {split: {name: share * total[name] for name in total} for split, share in shares.items()}
    room = {split: share * len(groups) for split, share in shares.items()}
    order = {group: hashlib.sha256(ids[places[0]].encode()).hexdigest() for group, places in members.items()}
    found = [""] * len(groups)
    left = dict.fromkeys(members)

    def put(group: int, split: str) -> None:
        for place in members[group]:
            found[place] = split
        room[split] -= len(members[group])
        for name, count in counts[group].items():
            want[split][name] -= count
        del left[group]

    for name in sorted(total, key=lambda name: (total[name], name)):
        for group in sorted((g for g in left if counts[g][name]), key=lambda g: (-counts[g][name], order[g])):
            put(group, max(shares, key=lambda split: (want[split][name], room[split])))
    for group in sorted(left, key=lambda g: (-len(members[g]), order[g])):
        put(group, max(shares, key=lambda split: room[split]))
    return found
