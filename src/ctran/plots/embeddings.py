"""What the label embeddings have learnt of the labels' meaning: t-SNE (paper, Fig. 4), and a number to go with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from torch import Tensor

from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.plots.style import GREY, INK, save_figure

if TYPE_CHECKING:
    from ctran.folders.tagger import Tagger

_PALETTE = [colormaps["tab20"](i) for i in (0, 2, 4, 6, 8, 10, 12, 16, 18, 1, 3, 5, 7, 9, 11, 13, 17, 19)]
_MARKERS = "os^Dv"
_SHUFFLES = 1000
LEAST = 4
"""Labels that a map needs."""
_ROOM = ((6, 0, "left", "center"), (-6, 0, "right", "center"), (0, 6, "center", "bottom"), (0, -6, "center", "top"))
"""Positions of a name beside its point: offset in points, alignment."""


@dataclass(frozen=True)
class Neighbours:
    """Whether labels of one group lie together.

    Args:
        nearest: index of each label's nearest other label, by cosine.
        share: of the labels that have a group, those whose nearest is of the same, 0 to 1; NaN where no label has one.
        chance: expected share with random neighbours.
        by_luck: 95th percentile of the share under random assignments of the groups to the labels.
    """

    nearest: Int[Tensor, " L"]
    share: float
    chance: float
    by_luck: float


@dataclass(frozen=True)
class Map:
    """The label embeddings of one model on the plane.

    Args:
        name: of the run.
        labels: names and groups.
        points: one a label.
        neighbours: measured in the full space, not on the plane.
    """

    name: str
    labels: LabelSpace
    points: Float[Tensor, "L 2"]
    neighbours: Neighbours


def _group_names(labels: LabelSpace) -> list[str]:
    """Name of each label's group; empty where it has none."""
    return [labels.group_of.get(name, "") for name in labels.names]


def label_embeddings(tagger: "Tagger") -> Float[Tensor, "L D"]:
    """One vector a label, those of Eq. 1 where the model is a C-Tran.

    Raises:
        UserTypeError: the method has none.
    """
    return tagger.model.label_embeddings().cpu().float()


def draw_map(tagger: "Tagger", name: str, *, seed: int = 0) -> Map:
    """t-SNE of a model's label embeddings, by cosine."""
    vectors, labels = label_embeddings(tagger), tagger.labels
    number = {"": -1} | {g.name: i for i, g in enumerate(labels.groups)}
    groups = torch.tensor([number[g] for g in _group_names(labels)])
    return Map(name, labels, tsne(vectors, seed=seed), neighbours(vectors, groups, seed=seed))


def tsne(vectors: Float[Tensor, "L D"], *, seed: int = 0) -> Float[Tensor, "L 2"]:
    """Points on the plane (van der Maaten and Hinton 2008), by scikit-learn; the perplexity is 30, or what few labels allow.

    Raises:
        ValueError: scikit-learn is not installed, or there are fewer than :data:`LEAST` labels.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise UserError("t-SNE is scikit-learn's, which is not installed: pip install 'ctran[plots]'") from None
    if len(vectors) < LEAST:
        raise UserError(f"a map needs at least {LEAST} labels, the model has {len(vectors)}")
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    tsne_map = TSNE(perplexity=perplexity, metric="cosine", init="pca", method="exact", random_state=seed)
    return torch.from_numpy(tsne_map.fit_transform(vectors.double().numpy())).float()


def neighbours(vectors: Float[Tensor, "L D"], groups: Int[Tensor, " L"], *, seed: int = 0) -> Neighbours:
    """Nearest labels and how many of them share the group.

    Args:
        groups: number of each label's group, -1 where it has none.
        seed: of the shuffles behind ``by_luck``.
    """
    unit = F.normalize(vectors.double())
    nearest = (unit @ unit.T).fill_diagonal_(-2).argmax(dim=1)
    grouped = groups[groups >= 0]
    if not len(grouped):
        return Neighbours(nearest, float("nan"), float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    shuffled = torch.from_numpy(random.permuted(np.tile(groups.numpy(), (_SHUFFLES, 1)), axis=1))
    same = (shuffled == shuffled[:, nearest]) & (shuffled >= 0)
    luck = (same.sum(dim=1) / len(grouped)).quantile(0.95)
    share = ((groups == groups[nearest]) & (groups >= 0)).sum() / len(grouped)
    chance = (grouped.bincount()[grouped] - 1).double().mean() / (len(groups) - 1)
    return Neighbours(nearest, float(share), float(chance), float(luck))


def embedding_maps(maps: Sequence[Map], path: Path) -> None:
    """The maps side by side, coloured by group; a name stands beside its point where there is room."""
    names = dict.fromkeys(g for m in maps for g in _group_names(m.labels) if g)
    look: dict[str, tuple[Any, str]] = {
        g: (_PALETTE[i % len(_PALETTE)], _MARKERS[i // len(_PALETTE) % len(_MARKERS)]) for i, g in enumerate(names)
    }
    look[""] = (GREY, "o")
    columns = min(len(maps), 3)
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(7 * columns, 7 * rows + 0.25 * (len(names) // 6 + 1)), layout="constrained")
    FigureCanvasAgg(figure)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places[len(maps) :]:
        axes.set_axis_off()
    for each, axes in zip(maps, places, strict=False):
        for (x, y), group in zip(each.points.tolist(), _group_names(each.labels), strict=True):
            colour, marker = look[group]
            axes.plot(x, y, marker, color=colour, markersize=6)
        axes.set(xticks=[], yticks=[])
        axes.margins(0.08)
        axes.set_title(each.name, fontsize=10, parse_math=False)
        axes.set_xlabel(verdict(each.neighbours), fontsize=8)
    handles = [Line2D([], [], color=c, marker=m, ls="", label=g) for g, (c, m) in look.items() if g]
    if handles:
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
        for text in legend.get_texts():
            text.set_parse_math(False)
    figure.draw_without_rendering()  # computes the layout, on which the room for names depends
    figure.set_layout_engine("none")
    for each, axes in zip(maps, places, strict=False):
        name_points(axes, each)
    save_figure(figure, path)


def verdict(found: Neighbours) -> str:
    """The number below a map, in words."""
    if np.isnan(found.share):
        return "the labels are in no groups"
    percent = [f"{100 * p:.0f} %" for p in (found.share, found.chance, found.by_luck)]
    return "nearest label of the same group: {} (by chance {}; 95 of 100 shuffles below {})".format(*percent)


def map_rows(maps: Sequence[Map]) -> list[list[object]]:
    """Rows of the CSV file: run, label, group, x, y, nearest label, whether that is of the same group (1, 0)."""
    rows: list[list[object]] = []
    for each in maps:
        groups, names = _group_names(each.labels), each.labels.names
        for i, (x, y) in enumerate(each.points.tolist()):
            near = int(each.neighbours.nearest[i])
            same = int(groups[near] == groups[i]) if groups[i] else ""
            rows.append([each.name, names[i], groups[i], f"{x:.4f}", f"{y:.4f}", names[near], same])
    return rows


def name_points(axes: Axes, each: Map) -> None:
    """Write names that cover neither a point nor another name, each on the first side of its point that has room."""
    canvas = axes.figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()
    pixels = axes.transData.transform(each.points.numpy())
    points = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in pixels]
    names: list[Bbox] = []
    frame = axes.get_window_extent(renderer)
    for number, (name, point) in enumerate(zip(each.labels.names, each.points.tolist(), strict=True)):
        taken = [*points[:number], *points[number + 1 :], *names]
        for dx, dy, ha, va in _ROOM:
            text = axes.annotate(
                name, point, (dx, dy), textcoords="offset points", ha=ha, va=va, fontsize=7, color=INK, parse_math=False
            )
            box = text.get_window_extent(renderer)
            if (
                frame.containsx(box.x0)
                and frame.containsx(box.x1)
                and frame.containsy(box.y0)
                and not box.count_overlaps(taken)
            ):
                names.append(box)
                break
            text.remove()
