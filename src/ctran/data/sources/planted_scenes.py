"""A planted world where pairs of labels are not enough: three-way couplings, a hidden scene type, small local drawings.

Nine objects in three triples. Within a triple the product of the three signs is favoured or not (``K``), which no model of
pairs can express. One of two scene types, which is not annotated, not drawn and no label, changes how common each object is,
and whether the second objects of the triples attract or repel each other; couplings of the first objects never change. Four
objects are drawn large, five small: 1.4 to 1.7 cells wide of the 5 x 5 image tokens of a network of stride 32, so that an
average over the picture dilutes them.

How the numbers were chosen: by calculation; nothing was trained on pictures. The best model of pairs (logits linear in known
labels and drawn objects, fitted to samples in which every drawn object is recognised) was compared with the exact posterior:
``python -m benchmarks.planted --world planted_scenes --limits``. Wanted were above 0.05 nats a label between the two at 50 and
75 % known, and pairs that still carry information. With the defaults they are 0.02 / 0.05 / 0.09 / 0.13 nats apart at 0 / 25 /
50 / 75 % known, and ignoring the known labels costs 0 / 0.06 / 0.12 / 0.18: pairs explain a quarter of what known labels add.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ctran.bounds import within
from ctran.data.planted_canvas import Canvas, build_splits
from ctran.data.scene_world import SceneWorld
from ctran.data.sources import openclipart
from ctran.data.table import SampleTable
from ctran.errors import UserError
from ctran.labels import LabelSpace

SUMMARY = "made up: clip art on a canvas, three-way couplings and a hidden scene type; the exact posterior is known"
LARGE = ("flag", "semaphore", "callout", "smiley")
OBJECTS = ("flag", "card", "hotel", "semaphore", "led", "warning", "callout", "file type", "smiley")
"""Three triples; objects that are not in ``LARGE`` are drawn small."""
FIELD = -0.1
"""Of each object in both scene types."""


@dataclass(frozen=True)
class Config(Canvas):
    """A planted world with three-way couplings and a hidden scene type.

    Args:
        triple: K, three-way coupling within each of the three triples: favoured, not favoured, favoured.
        coupling: J between the first objects of the triples, attracting and repelling in turn.
        scene_field: h, by which one scene type makes every other object commoner and the rest rarer, the other the opposite.
        scene_coupling: J between the second objects of the triples: they attract in one scene type and repel in the other.
        large: least and greatest length of a large drawing's longer side, as a share of the canvas.
        small: the same of small drawings.
    """

    triple: float = within(1.0)
    coupling: float = within(0.4)
    scene_field: float = within(0.5)
    scene_coupling: float = within(0.6)
    canvas: int = within(160, 16, 8192, unit="pixels")
    large: tuple[float, float] = within((0.44, 0.54), 0, 1, above=True)
    small: tuple[float, float] = within((0.28, 0.34), 0, 1, above=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, (least, greatest) in (("large", self.large), ("small", self.small)):
            if least > greatest:
                raise UserError(f"data.{name} must be two shares, the least and the greatest, got {(least, greatest)}")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        if not self.drawn_share:
            yield from ((key, "data.drawn_share 0 draws nothing") for key in ("large", "small"))


def label_space(config: Config) -> LabelSpace:
    """The objects; the scene type is no label."""
    return LabelSpace(OBJECTS)


def world(config: Config) -> SceneWorld:
    """The probability model: two scene types of the same share."""
    n = len(OBJECTS)
    same, changing = np.zeros((n, n)), np.zeros((n, n))
    for i in range(0, n, 3):
        same[i, (i + 3) % n] += config.coupling * (1 if i % 2 == 0 else -1)
        changing[i + 1, (i + 4) % n] += config.scene_coupling
    same, changing = same + same.T, changing + changing.T
    raised = config.scene_field * np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    triples = {(i, i + 1, i + 2): config.triple * (1 if i % 2 == 0 else -1) for i in range(0, n, 3)}
    return SceneWorld(
        scene_share=np.array([0.5, 0.5]),
        field=FIELD + np.stack([raised, -raised]),
        coupling=np.stack([same + changing, same - changing]),
        triples=triples,
        drawn_share=np.full(n, config.drawn_share),
    )


def build(config: Config) -> dict[str, SampleTable]:
    """All splits."""
    clipart = openclipart.build(openclipart.Config(config.root))
    sizes = [config.large if name in LARGE else config.small for name in OBJECTS]
    return build_splits(config, world(config), label_space(config), sizes, clipart)
