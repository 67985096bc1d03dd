"""The second planted world: three-way couplings and a hidden scene type, where pairs of labels are not enough."""

from collections.abc import Sequence

from benchmarks.suite.drawing import Drawing
from benchmarks.suite.packages import Archive, Package
from benchmarks.suite.sets import planted
from benchmarks.suite.sets.openclipart import from_tables
from ctran.data.sources import planted_scenes

SUMMARY = "the second planted world: three-way couplings and a hidden scene type, the exact posterior is known"
KIND, LICENCE, HOLES = planted.KIND, planted.LICENCE, planted.HOLES
PACKAGES: tuple[Package, ...] = ()


def collect(archives: Sequence[Archive]) -> list[Drawing]:
    """Every picture of the source ``planted_scenes`` as it is by default."""
    return from_tables(planted_scenes.build(planted_scenes.Config()))
