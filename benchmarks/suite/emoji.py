"""Emoji by their code points, so that pictures of one package and keywords of another are joined."""

import re

from benchmarks.suite.packages import Package

EMOJILIB = Package("emojilib", "4.0.3", "7f9a6b43cff31d18985b7d65d11faba5bd971cbcc60020cf6d09322fbaaaf303")
"""Keywords of every emoji, in several sets."""
TONE = re.compile("[\U0001f3fb-\U0001f3ff]")
PERSON = re.compile("[\U0001f468\U0001f469\U0001f9d1]")
"""Man, woman, person: begin the same drawing in three forms."""
MARKED = re.compile("\u200d[\u2640\u2642\u27a1]")
"""A drawing's woman's or man's form, or turned to the right."""
REGION = re.compile("[\U0001f1e6-\U0001f1ff]{2}|\U0001f3f4[\U000e0061-\U000e007a]+\U000e007f")
"""The flag of a country or of a part of one."""


def key(emoji: str) -> str:
    """Code points in hexadecimal, without the variation selector, which packages set or leave out: ``1f469-200d-1f680``."""
    return "-".join(f"{ord(c):x}" for c in emoji if c != "\ufe0f")


def of_file(stem: str) -> str:
    """The key of a picture's file name."""
    return "-".join(part for part in stem.lower().split("-") if part != "fe0f")


def toned(emoji: str) -> bool:
    """Whether it has a skin tone, and so is a variant of another drawing."""
    return TONE.search(emoji) is not None


def is_region(emoji: str) -> bool:
    """Whether it is the flag of a region."""
    return REGION.fullmatch(emoji) is not None


def family(emoji: str) -> str:
    """The same for the forms of one drawing: man, woman and person, and those turned to the right."""
    plain = MARKED.sub("", emoji.replace("\ufe0f", ""))
    return key(PERSON.sub("\U0001f9d1", plain) if len(plain) > 1 else plain)
