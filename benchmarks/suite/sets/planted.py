"""The planted world: canvases of clip art whose labels follow known couplings."""

from collections.abc import Sequence

from benchmarks.suite.drawing import Drawing
from benchmarks.suite.packages import Archive, Package
from benchmarks.suite.sets.openclipart import from_tables
from ctran.data.sources import planted

SUMMARY = "the planted world: canvases of clip art, the exact posterior is known"
KIND = "planted"
LICENCE = "CC0-1.0, the Open Clip Art Library's contributors"
HOLES = False
PACKAGES: tuple[Package, ...] = ()


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every picture of the source ``planted`` as it is by default."""
    return from_tables(planted.build(planted.Config()))
