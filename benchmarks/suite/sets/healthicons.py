"""Health Icons: filled icons of medicine and public health, with tags and a category."""

import json
from collections.abc import Sequence

from benchmarks.suite.drawing import Drawing, from_svg
from benchmarks.suite.keywords import families, keywords
from benchmarks.suite.packages import Archive, Package

SUMMARY = "Health Icons: filled icons of medicine; authors' tags and category"
KIND = "glyphs"
LICENCE = "MIT (package) and public domain (icons), Resolve to Save Lives and contributors"
HOLES = False
PACKAGES = (Package("healthicons", "2.0.0", "7d29cfc4ffb495319c27b34c9ac96ddc9781c7b3dc3b96eef3d34fe4d3ef9f03"),)


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every icon in the style ``filled``; ``outline`` is a variant of it and is left out."""
    (icons,) = archives
    entries = {entry["path"]: entry for entry in json.loads(icons["public/icons/meta-data.json"])}
    names = {path: path.partition("/")[2].replace("_", "-") for path in entries}
    family = families(names.values())
    return [
        Drawing(
            path.replace("/", "-"),
            keywords([*entry["tags"], entry["category"]]),
            family[names[path]],
            from_svg(icons.text(f"public/icons/svg/filled/{path}.svg")),
        )
        for path, entry in entries.items()
    ]
