"""Keywords of authors as labels: one spelling for each, and no word that cannot be seen."""

import re
from collections.abc import Iterable, Sequence

STOP = frozenset({"an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"})
"""Words of names that are no keywords."""
NOT_PLURAL = frozenset({"goods", "news", "pants", "does", "his", "its", "this", "was", "has", "us"})
"""End in s and are not the plural of what is left without it."""


def normal(keyword: str) -> str:
    """Lower case; ``_``, ``-`` and blanks are one blank. Empty for numbers, single characters, notes (``*new*``), emoticons."""
    spaced = re.sub(r"[\s_-]+", " ", keyword.strip().lower()).strip()
    return "" if len(spaced) < 2 or re.search(r"[*:;]", spaced) or not re.search(r"[a-z]", spaced) else spaced


def keywords(raw: Iterable[str]) -> set[str]:
    """Normalised keywords."""
    return {word for word in map(normal, raw) if word and word not in STOP}


def words(names: Iterable[str]) -> set[str]:
    """The words of names such as ``account-box-outline``."""
    return keywords(word for name in names for word in re.split(r"[\s_-]+", name))


def singular(sets: Sequence[set[str]]) -> list[set[str]]:
    """Keyword sets with plurals as singulars wherever a set of data uses both (``arrows`` beside ``arrow``)."""
    used = set[str]().union(*sets)
    same = {w: w[:-1] for w in used if w.endswith("s") and len(w) > 3 and w not in NOT_PLURAL and w[:-1] in used}
    return [{same.get(w, w) for w in one} for one in sets]


def families(names: Iterable[str]) -> dict[str, str]:
    """Family of each name: the shortest other name that it begins with, word by word, or itself.

    Icon sets name variants after their base: ``book``, ``book-open``, ``book-open-text`` are one family.
    """
    known = set(names)
    found = {}
    for name in known:
        parts = name.split("-")
        found[name] = next(start for n in range(1, len(parts) + 1) if (start := "-".join(parts[:n])) in known)
    return found
