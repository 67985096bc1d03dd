"""Fluent emoji, rendered in three dimensions, with the keywords of emojilib."""

import json
from collections.abc import Sequence

from benchmarks.suite import emoji
from benchmarks.suite.drawing import Drawing, from_picture
from benchmarks.suite.keywords import keywords
from benchmarks.suite.packages import Archive, Package

SUMMARY = "Fluent emoji: 3D renders; keywords of emojilib"
KIND = "emoji"
LICENCE = "MIT, Microsoft (pictures), LobeHub (package); MIT, Mu-An Chiou (keywords)"
HOLES = False
PACKAGES = (
    Package("@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"),
    emoji.EMOJILIB,
)


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every emoji of both packages without a skin tone.

    Flags of regions are left out: Microsoft drew none, and the package does not state where those in it are from.
    """
    pictures, words = archives
    files = {emoji.of_file(stem): f"assets/{stem}.webp" for stem in pictures.stems("assets", ".webp")}
    return [
        Drawing(emoji.key(one), keywords(raw[1:]), emoji.family(one), from_picture(pictures[files[emoji.key(one)]]))
        for one, raw in json.loads(words["dist/emoji-en-US.json"]).items()
        if emoji.key(one) in files and not emoji.toned(one) and not emoji.is_region(one)
    ]
