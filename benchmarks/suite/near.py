"""Near duplicates together, labels with enough pictures, splits by iterative stratification: no random number anywhere.

The same steps made ``data/openclipart`` (its datasheet states them); every choice between equals is by the SHA-256 of the id.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image as PILImage
from PIL import ImageOps

SIDE = 224
NEAR = {"drawings": 6, "icons": 4}
"""Perceptual hashes (64 bits) that differ in at most this many bits are of near duplicates. Pairs of icons were looked at: at 4
bits nearly all are the same drawing with another detail, at 6 bits a third are not alike (a broom and a wand)."""
CLUSTER = 20
"""Pictures kept of one cluster of near duplicates."""
MIN_PICTURES = 20
"""A label needs at least this many."""
SPLITS = {"train": 0.7, "val": 0.1, "test": 0.2}
"""Shares of the pictures."""


class Tagged(Protocol):
    """What the steps need of a picture."""

    id: str
    keywords: set[str]


T = TypeVar("T", bound=Tagged)


def order(name: str) -> str:
    """A fixed, arbitrary order of ids that does not follow the alphabet."""
    return hashlib.sha256(name.encode()).hexdigest()


def orientations(picture: PILImage.Image) -> np.ndarray:
    """Perceptual hashes (8 x 64 bits) of the picture on a square, turned and mirrored in all 8 ways."""
    import imagehash

    square = ImageOps.pad(picture, (SIDE, SIDE), color="white")
    turned = [square.rotate(90 * k) for k in range(4)]
    both = [view for t in turned for view in (t, ImageOps.mirror(t))]
    return np.stack([imagehash.phash(view).hash.reshape(-1) for view in both])


def cluster(hashes: np.ndarray, families: Sequence[str], near: int) -> np.ndarray:
    """Number of the near-duplicate cluster of each picture: alike turned or mirrored, or of one family.

    Args:
        hashes: ``(N, 8, 64)`` from :func:`orientations`.
        families: of each picture.
        near: bits that hashes of near duplicates may differ in.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    bits = hashes.astype(np.float32) * 2 - 1  # +-1
    pairs = [np.argwhere((64 - bits[:, 0] @ bits[:, k].T) / 2 <= near) for k in range(8)]
    first: dict[str, int] = {}
    pairs.append(np.array([[i, first.setdefault(family, i)] for i, family in enumerate(families)]))
    edges = np.concatenate(pairs)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(families),) * 2)
    return connected_components(graph, directed=False)[1]


def cut(pictures: Sequence[T], clusters: np.ndarray) -> list[tuple[T, int]]:
    """At most ``CLUSTER`` pictures a cluster, first in the fixed order."""
    taken: Counter[int] = Counter()
    kept = []
    for picture, number in sorted(zip(pictures, clusters.tolist(), strict=True), key=lambda pc: order(pc[0].id)):
        taken[number] += 1
        if taken[number] <= CLUSTER:
            kept.append((picture, number))
    return kept


def choose_labels(pictures: Sequence[Tagged]) -> list[str]:
    """Labels with enough pictures; of two labels on exactly the same pictures only the first by name."""
    where: dict[str, set[str]] = {}
    for picture in pictures:
        for keyword in picture.keywords:
            where.setdefault(keyword, set()).add(picture.id)
    seen: set[frozenset[str]] = set()
    labels = []
    for name in sorted(where):
        found = frozenset(where[name])
        if len(found) >= MIN_PICTURES and found not in seen:
            seen.add(found)
            labels.append(name)
    return labels


def split(kept: Sequence[tuple[T, int]], labels: Sequence[str]) -> dict[str, list[T]]:
    """Iterative stratification (Sechidis et al., 2011) of whole clusters: rarest label first, where it lacks most."""
    clusters: dict[int, list[T]] = {}
    for picture, number in kept:
        clusters.setdefault(number, []).append(picture)
    count = {c: Counter(k for p in ps for k in p.keywords if k in set(labels)) for c, ps in clusters.items()}
    total = Counter[str]()
    for c in count.values():
        total.update(c)
    want = {s: {k: share * total[k] for k in labels} for s, share in SPLITS.items()}
    room = {s: share * len(kept) for s, share in SPLITS.items()}
    sides: dict[str, list[T]] = {s: [] for s in SPLITS}
    left = dict(clusters)
    for label in sorted(labels, key=lambda k: (total[k], k)):
        mine = [c for c in left if count[c][label]]
        for c in sorted(mine, key=lambda c: (-count[c][label], order(left[c][0].id))):
            side = max(SPLITS, key=lambda s: (want[s][label], room[s]))
            sides[side] += left[c]
            room[side] -= len(left[c])
            for k, n in count[c].items():
                want[side][k] -= n
            del left[c]
    return {s: sorted(ps, key=lambda p: order(p.id)) for s, ps in sides.items()}


def finish(sides: dict[str, list[T]], labels: Sequence[str]) -> tuple[dict[str, list[T]], list[str]]:
    """Splits and labels without the labels that do not occur in all splits, and then without the pictures that have none."""
    everywhere = [k for k in labels if all(any(k in p.keywords for p in ps) for ps in sides.values())]
    return {s: [p for p in ps if p.keywords & set(everywhere)] for s, ps in sides.items()}, everywhere
