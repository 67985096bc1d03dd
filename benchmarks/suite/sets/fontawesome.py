"""Font Awesome Free: filled icons with search terms and categories; no logos of brands."""

from collections import defaultdict
from collections.abc import Sequence

import yaml

from benchmarks.suite.drawing import Drawing, from_svg
from benchmarks.suite.keywords import families, keywords
from benchmarks.suite.packages import Archive, Package

SUMMARY = "Font Awesome Free: filled icons; authors' search terms and categories"
KIND = "glyphs"
LICENCE = "CC-BY-4.0, Fonticons, Inc. (https://fontawesome.com)"
HOLES = False
PACKAGES = (
    Package("@fortawesome/fontawesome-free", "7.3.1", "ca4e32843bd81711894385c2466fb19c55cfd32ef3c58830b2d1df7bd42e6571"),
)


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every icon in the style ``solid``; ``regular`` is a variant of it, and brands are left out (their terms are names)."""
    (icons,) = archives
    entries = {str(k): v for k, v in _yaml(icons, "metadata/icons.yml").items() if "solid" in v["styles"]}
    categories = defaultdict[str, list[str]](list)
    for category in _yaml(icons, "metadata/categories.yml").values():
        for name in category["icons"]:
            categories[str(name)].append(category["label"])
    family = families(entries)
    return [
        Drawing(
            name,
            keywords([*map(str, entry["search"]["terms"] or ()), *categories[name]]),
            family[name],
            from_svg(icons.text(f"svgs-full/solid/{name}.svg")),
        )
        for name, entry in entries.items()
    ]


def _yaml(icons: Archive, name: str) -> dict[str, dict]:
    """A table; libyaml where there is one, which is ten times faster."""
    return yaml.load(icons[name], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
