"""Twemoji, flat drawings, annotated twice: a keyword that only one of two lists has is unknown."""

import json
from collections.abc import Sequence

from benchmarks.suite import emoji
from benchmarks.suite.drawing import Drawing, from_svg
from benchmarks.suite.keywords import keywords, singular
from benchmarks.suite.packages import Archive, Package

SUMMARY = "Twemoji: flat drawings; a label is known where emojilib and emojibase agree"
KIND = "emoji"
LICENCE = (
    "CC-BY-4.0, Twitter, Inc. and contributors (drawings); MIT, Samuel Kopp (package), Mu-An Chiou, Miles Johnson (keywords)"
)
HOLES = True
PACKAGES = (
    Package("@twemoji/svg", "15.0.0", "1d2907557a422c7c4e3feca50ef915c39da1db3d76b4a4d7e73fb59bce4403c3"),
    emoji.EMOJILIB,
    Package("emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"),
)


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every emoji of the three packages without a skin tone.

    A keyword (tag or word of the name) of both lists is positive, of neither negative, of only one unknown.
    """
    pictures, lib, base = archives
    files = {emoji.of_file(stem): f"{stem}.svg" for stem in pictures.stems("", ".svg")}
    second = {emoji.of_file(e["hexcode"]): {*e.get("tags", ()), *e["label"].split()} for e in json.loads(base["en/data.json"])}
    first = {one: {*raw[1:], *raw[0].split("_")} for one, raw in json.loads(lib["dist/emoji-en-US.json"]).items()}
    chosen = [e for e in first if emoji.key(e) in files and emoji.key(e) in second and not emoji.toned(e)]
    both = singular([keywords(first[e]) for e in chosen] + [keywords(second[emoji.key(e)]) for e in chosen])
    return [
        Drawing(
            emoji.key(e), ours & theirs, emoji.family(e), from_svg(pictures.text(files[emoji.key(e)])), frozenset(ours ^ theirs)
        )
        for e, ours, theirs in zip(chosen, both[: len(chosen)], both[len(chosen) :], strict=True)
    ]
