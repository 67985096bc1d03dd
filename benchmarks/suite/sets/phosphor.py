"""Phosphor icons in two tones (lines, and areas in grey), with tags and categories."""

import re
from collections.abc import Sequence

from benchmarks.suite.drawing import Drawing, from_svg
from benchmarks.suite.keywords import families, keywords
from benchmarks.suite.packages import Archive, Package
from ctran.errors import UserError

SUMMARY = "Phosphor: duotone icons; authors' tags and categories"
KIND = "lines"
LICENCE = "MIT, Phosphor Icons"
HOLES = False
PACKAGES = (Package("@phosphor-icons/core", "2.1.1", "313332be6190b724da24107addd781799b48bf76b13963f24501112ffe1baadd"),)
TABLE = "dist/index.mjs"
"""JavaScript, as the package has its table in no other form."""
ENTRY = re.compile(r'name: "([^"]+)",.*?categories: \[(.*?)\],.*?tags: \[(.*?)\]', re.DOTALL)
NAMED = re.compile(r'\bi\.(\w+) = "([^"]+)"')


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every icon in the weight ``duotone``; the other five weights are variants of it and are left out."""
    (icons,) = archives
    head, _, table = icons.text(TABLE).partition("const n = [")
    categories = dict(NAMED.findall(head.partition("e = ")[2].partition("(e || {})")[0]))  # the second enumeration of three
    entries = {name: (re.findall(r"e\.(\w+)", own), re.findall(r'"([^"]*)"', tags)) for name, own, tags in ENTRY.findall(table)}
    if not entries or not categories:
        raise UserError(f"{icons.package.file}: no icons found in {TABLE}; the set was made for {icons.package.spec}")
    family = families(entries)
    return [
        Drawing(
            name,
            keywords([*(categories[c] for c in own), *tags]),
            family[name],
            from_svg(icons.text(f"assets/duotone/{name}-duotone.svg")),
        )
        for name, (own, tags) in entries.items()
    ]
