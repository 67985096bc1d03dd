"""Train, val and test splits by content, and warnings about duplicates."""

import hashlib
from collections.abc import Sequence

from ctran.data.notices import warn
from ctran.data.table import DataError

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
TEST, VAL = 0.2, 0.1


def by_content(digests: Sequence[str]) -> list[str]:
    """70 / 10 / 20 % by the content of the files: files of the same bytes are in one split, whatever their names.

    So a picture's split is the same on every machine and does not change when others are added. Only where that leaves a split
    empty (few pictures), the split follows the rank of the hash.

    Args:
        digests: of each picture's file.

    Raises:
        DataError: fewer than three different pictures.
    """
    distinct = sorted({digest: _place(digest) for digest in digests}.items(), key=lambda pair: pair[1])
    if len(distinct) < 3:
        same = "" if len(distinct) == len(digests) else f" different ones ({len(digests)} files, some with the same content)"
        raise DataError(f"training needs at least 3 pictures (train, val, test), got {len(distinct)}{same}")
    found = {digest: "test" if p < TEST else "val" if p < TEST + VAL else "train" for digest, p in distinct}
    if len(set(found.values())) < 3:
        test, val = max(1, round(TEST * len(distinct))), max(1, round(VAL * len(distinct)))
        for rank, (digest, _) in enumerate(distinct):
            found[digest] = "test" if rank < test else "val" if rank < test + val else "train"
    return [found[digest] for digest in digests]


def _place(digest: str) -> float:
    """0 to 1, by a hash of the digest, as the digest itself is also used for order elsewhere."""
    return int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "big") / 2**64


def warn_of_same(
    names: Sequence[str], digests: Sequence[str], labels: Sequence[object], splits: Sequence[str], *, unknown: str = ""
) -> None:
    """Warn of pictures of the same content: how many, with other labels, in two splits, each with the first two by name.

    Args:
        names, digests, labels, splits: of each picture; labels are compared.
        unknown: the digest of files that cannot be read, which are not compared.
    """
    first: dict[str, int] = {}
    repeats = [(first.setdefault(digest, i), i) for i, digest in enumerate(digests) if digest != unknown]
    repeats = [(a, b) for a, b in repeats if a != b]
    if not repeats:
        return
    relabelled = [(a, b) for a, b in repeats if labels[a] != labels[b]]
    across = [(a, b) for a, b in repeats if splits[a] != splits[b]]
    a, b = repeats[0]
    warn(f"{len(repeats):,} pictures have the same content as another (first: {names[a]!r} and {names[b]!r})")
    if relabelled:
        a, b = relabelled[0]
        warn(
            f"{len(relabelled):,} of them have other labels than the first of that content (first: {names[a]!r} and "
            f"{names[b]!r}); one of each pair is wrong"
        )
    if across:
        a, b = across[0]
        warn(
            f"{len(across):,} of them are in two splits (first: {names[a]!r} in {splits[a]}, {names[b]!r} in {splits[b]}); "
            "what was trained on makes the figures of val and test too good"
        )
