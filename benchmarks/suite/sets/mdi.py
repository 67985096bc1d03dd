"""Pictogrammers' Material Design Icons: filled icons; authors' categories, and the words of their names and aliases."""

import json
from collections.abc import Sequence

from benchmarks.suite.drawing import Drawing, from_svg
from benchmarks.suite.keywords import keywords, words
from benchmarks.suite.packages import Archive, Package

SUMMARY = "Material Design Icons: filled icons; categories and the words of names and aliases"
KIND = "glyphs"
LICENCE = "Apache-2.0, the Pictogrammers"
HOLES = False
PACKAGES = (Package("@mdi/svg", "7.4.47", "de92e5dc9ce46c392ab5c53aa7190b19f82b40cb48872a083f788c7e13e91fef"),)
UNSEEN = frozenset({"variant"})
"""Words that tell one drawing from another of the same thing."""


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every icon that is not deprecated. A family is what the authors drew on one base icon."""
    (icons,) = archives
    return [
        Drawing(
            entry["name"],
            (keywords(entry["tags"]) | words([entry["name"], *entry["aliases"]])) - UNSEEN,
            entry["baseIconId"],
            from_svg(icons.text(f"svg/{entry['name']}.svg")),
        )
        for entry in json.loads(icons["meta.json"])
        if not entry["deprecated"]
    ]
