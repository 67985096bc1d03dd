"""Two icon sets as one, as a user would merge two folders: each picture is annotated for its own set's keywords only."""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.suite.drawing import Drawing
from benchmarks.suite.keywords import singular
from benchmarks.suite.packages import Archive
from benchmarks.suite.sets import healthicons, lucide

SUMMARY = "Lucide and Health Icons merged; keywords that only one of them uses are unknown in the other"
KIND = "merged"
LICENCE = f"{lucide.LICENCE}; {healthicons.LICENCE}"
HOLES = True
PACKAGES = (*lucide.PACKAGES, *healthicons.PACKAGES)


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """All pictures of both."""
    parts = {"lucide": lucide.collect(archives[:1]), "healthicons": healthicons.collect(archives[1:])}
    origins = [name for name, drawings in parts.items() for _ in drawings]
    drawings = [d for part in parts.values() for d in part]
    spelled = singular([d.keywords for d in drawings])
    used = {name: frozenset[str]().union(*(s for s, o in zip(spelled, origins, strict=True) if o == name)) for name in parts}
    every = frozenset[str]().union(*used.values())
    return [
        replace(d, id=f"{origin}-{d.id}", keywords=own, family=f"{origin}-{d.family}", unknown=every - used[origin])
        for d, own, origin in zip(drawings, spelled, origins, strict=True)
    ]
