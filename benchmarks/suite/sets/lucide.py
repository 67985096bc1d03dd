"""Lucide: line icons with tags."""

import json
from collections.abc import Sequence

from benchmarks.suite.drawing import Drawing, from_svg
from benchmarks.suite.keywords import families, keywords
from benchmarks.suite.packages import Archive, Package

SUMMARY = "Lucide: line icons; authors' tags"
KIND = "lines"
LICENCE = "ISC, Lucide Icons and Contributors"
HOLES = False
PACKAGES = (Package("lucide-static", "1.62.0", "386f9080c440d6f5049cefe3456ae8357f7a0c7f76e59670cd1cb83bc7050a44"),)


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every icon with tags; the other files are old names of these."""
    (icons,) = archives
    tags: dict[str, list[str]] = json.loads(icons["tags.json"])
    family = families(tags)
    return [Drawing(name, keywords(own), family[name], from_svg(icons.text(f"icons/{name}.svg"))) for name, own in tags.items()]
