"""A planted world: canvases of clip art whose labels follow known couplings, so the right probability is known exactly."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ctran.bounds import within
from ctran.data.planted_canvas import FOLDERS, Canvas, build_splits
from ctran.data.planted_world import World
from ctran.data.sources import openclipart
from ctran.data.table import SampleTable
from ctran.errors import UserError
from ctran.labels import LabelSpace

SUMMARY = "made up: clip art on a canvas, hidden objects follow known couplings; the exact posterior is known"
SCENE = "outdoors"


@dataclass(frozen=True)
class Config(Canvas):
    """A planted world: ``objects`` labels that may be drawn and one scene type that never is (an extra label).

    Args:
        objects: how many of the objects of ``FOLDERS``, 2 to 11.
        coupling: J between neighbours in the ring of objects, attracting and repelling in turn.
        scene_coupling: J between the scene type and each object, two attracting, two repelling, and so on.
        drawing: least and greatest length of a drawing's longer side, as a share of the canvas.
    """

    objects: int = within(6, 2, len(FOLDERS))
    coupling: float = within(0.7)
    scene_coupling: float = within(0.3)
    drawing: tuple[float, float] = within((0.42, 0.6), 0, 1, above=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drawing[0] > self.drawing[1]:
            raise UserError(f"data.drawing must be two shares, the least and the greatest, got {self.drawing}")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        if not self.drawn_share:
            yield "drawing", "data.drawn_share 0 draws nothing"


def label_space(config: Config) -> LabelSpace:
    """The objects, then the scene type."""
    return LabelSpace((*list(FOLDERS)[: config.objects], SCENE), extra=(SCENE,))


def world(config: Config) -> World:
    """The probability model: a ring of objects, each also coupled to the scene type; later objects are commoner."""
    n = config.objects
    coupling = np.zeros((n + 1, n + 1))
    for i in range(n):
        coupling[i, (i + 1) % n] += config.coupling * (1 if i % 2 == 0 else -1)
        coupling[i, n] += config.scene_coupling * (1 if i % 4 < 2 else -1)
    field = np.append(np.linspace(-0.3, 0.0, n), 0.0)
    return World(field, coupling + coupling.T, np.append(np.full(n, config.drawn_share), 0.0))


def build(config: Config) -> dict[str, SampleTable]:
    """All splits."""
    clipart = openclipart.build(openclipart.Config(config.root))
    return build_splits(config, world(config), label_space(config), [config.drawing] * config.objects, clipart)
