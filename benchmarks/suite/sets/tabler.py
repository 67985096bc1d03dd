"""Tabler icons: line icons with many tags and a category each."""

import json
from collections.abc import Sequence

from benchmarks.suite.drawing import Drawing, from_svg
from benchmarks.suite.keywords import families, keywords
from benchmarks.suite.packages import Archive, Package

SUMMARY = "Tabler icons: line icons; authors' tags and category"
KIND = "lines"
LICENCE = "MIT, Paweł Kuna"
HOLES = False
PACKAGES = (Package("@tabler/icons", "3.52.0", "626620c7d42afd2f294fba167ce4653b5cb946336d186b4991c70b700e5616af"),)


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every outline icon; the filled ones are variants of these and are left out."""
    (icons,) = archives
    entries = {name: entry for name, entry in json.loads(icons["icons.json"]).items() if "outline" in entry["styles"]}
    family = families(entries)
    return [
        Drawing(
            name,
            keywords([*map(str, entry["tags"]), entry["category"]]),
            family[name],
            from_svg(icons.text(f"icons/outline/{name}.svg")),
        )
        for name, entry in entries.items()
    ]
