"""``docs/experiments/heatmaps.md`` and its pictures, from the figures of ``benchmarks/heatmaps.py``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.heatmap_games import METHODS, SIDE, Canvases, Mosaics, greatest
from benchmarks.heatmap_time import time_table
from benchmarks.machine import WITHOUT_BFLOAT16
from ctran.plots.heat import evidence_overlay, overlay
from ctran.plots.style import save_figure

PARTS = {"mosaics-4": "Mosaics of 4", "mosaics-9": "Mosaics of 9", "planted": "Planted world"}
"""Names of the parts in the JSON file, and on the page."""

PAGE = """# Do heat maps point at the thing?

Written by `python -m benchmarks.heatmaps`; all tries and figures are in [heatmaps.json](heatmaps.json).

A heat map claims to show what a prediction comes from. The pointing game measures whether it does: a hit is a map whose
greatest value lies where the thing is.

* *Mosaics* of 4 or 9 pictures of the clip-art library's test split (224 pixels wide each, so the model sees them at a half or
  a third of that). A try is a label that exactly one of the pictures has and that the model (`models/openclipart`) gives a
  probability above one half; the right place is that picture. One try a mosaic.
* *Planted world*: canvases of the recipe `planted` with known places of what is drawn, the test split's clip art. A try is an
  object that is drawn and that the model gives a probability above one half; the right place is the object's box. The model is
  the recipe's (the paper's encoder, without an anchor), trained on {train} pictures for {epochs} epochs.

Maps are enlarged as they are drawn (bicubic, {side} pixels). The last column is the share of a map's positive values in the
right place; ± is one standard error over the tries. Chance is the mean area of the right place.

{methods}

Contributions are integrated gradients from the picture's average token (`model/contributions.py`): exactly the class activation
map for a linear layer, and summing to the log-odds less those without a picture for every method. Gradient times input would be
zero for the paper's encoder, whose LayerNorm removes the scale of each token.

{parts}

{examples}## What the figures mean

Attention is not an explanation: in mosaics its greatest value lies in the right picture about as often as chance. On planted
canvases, which are empty but for a few objects, it is better than chance, and misses about a third or more.

The heat map points at the thing where the thing is large enough: in mosaics of 4 it hits more than the required 85 %, near what
the model itself allows, and on planted canvases it also distinguishes one object from another. A picture of a mosaic of 9 is
75 pixels wide as the model sees it, four to five of the heat map's cells; there the heat map is right in half of the tries, far
better than any other map and than chance, and far from what the model finds in each picture at full size. So for small things
in a crowded picture a heat map is a hint: cut the part out and predict again.

## How the heat map was chosen

On mosaics of val alone (seed 0; the first 50 to 100 tries of them): hits of the class activation map 69 %, contributions at the
prediction's size 76, at twice the size 82, averaged over both sizes 76, over a mirrored picture too 80, smoothed 80; gradient
maps at earlier stages of the backbone (Grad-CAM, LayerCAM, HiResCAM at strides 16 and 8) 26 to 54; leaving one token out 78.
Weighted by the label's probability in nine overlapping parts, contributions at twice the size hit 88 % (120 tries), without the
weights 82 % of the same tries: so this is the heat map. Test pictures were not used for any of these choices, and mosaics of 9
and the planted world were measured once, afterwards, with nothing changed.

In about 8 % of the val tries the model finds the label best in another of the four pictures, alone: the labels are
people's free tags, and a picture without a tag may well show the thing. So about 92 % is all that a map can reach there.

## How fine the maps are

For a picture of 224 pixels there are 7 x 7 image tokens at the prediction's size (stride 32) and 14 x 14 in the heat map, as
the picture is encoded again at twice the size, with the detail of its file. Backbones whose grid has at least 12 tokens a side
need no enlargement; vision transformers are built for one size of picture and keep their grid (14 x 14 at 224 pixels with
patches of 16). Earlier stages of the backbone are finer but point worse (above), so they are not used.
{seconds}"""

EXAMPLES = """![{title}]({file})

{title}: the first tries that were drawn, hits and misses alike. The frame is the right place, the cross the
greatest value.

"""

SECONDS = """
## What a heat map costs

Measured by `python -m benchmarks.heatmaps --parts --seconds`.
The model `models/openclipart` (recipe `demo`), {pictures} test pictures, the most probable label of each; median and, in
brackets, least and greatest. `session` is `tagger.session(picture)`, for comparison. Processor seconds count all threads and
depend little on what else the machine does; wall seconds depend on it.
{where}

{table}
"""


ALONE = """Of the pictures of a mosaic, each by itself at full size, the model gives the label its greatest probability in the
right one in {share:.0f} % of the tries: a map that shows what the model uses can hardly hit more."""


def summary(played: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, float, float]]:
    """By method: share of hits, its standard error, and mean share of the positive values that lie in the right place."""
    found = {}
    for name in [name for name in METHODS if all(name in each for each in played.values())]:
        hits, inside = np.array([each[name] for each in played.values()], dtype=float).T
        found[name] = (float(hits.mean()), float(hits.std() / len(hits) ** 0.5), float(inside.mean()))
    return found


def shared(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The tries whose picture is that of another try too: there a map must tell one thing from the other."""
    played = entry["played"]
    pictures = Counter(tuple(entry["tries"][int(number)]["rows"]) for number in played)
    return {n: each for n, each in played.items() if pictures[tuple(entry["tries"][int(n)]["rows"])] > 1}


def table(entry: Mapping[str, Any], played: Mapping[str, Any] | None = None) -> str:
    """Markdown of one part, or of some of its tries."""
    tries = entry["played"] if played is None else played
    boxes = [entry["tries"][int(number)]["box"] for number in tries]
    chance = 100 * np.mean([(right - left) * (bottom - top) for left, top, right, bottom in boxes])
    lines = ["| map | hits, % | positive values in the right place, % |", "|---|---|---|"]
    lines += [f"| {n} | {100 * h:.1f} ± {100 * e:.1f} | {100 * i:.1f} |" for n, (h, e, i) in summary(tries).items()]
    return "\n".join([*lines, f"| chance | {chance:.1f} | {chance:.1f} |", "", f"{len(tries)} tries."])


def section(part: str, split: str, entry: Mapping[str, Any]) -> str:
    """One part on the page."""
    text = f"## {PARTS[part]}, {split}\n\n{table(entry)}"
    if alone := entry.get("alone"):
        text += f" {ALONE.format(share=100 * float(np.mean([alone[number] for number in entry['played']])))}"
    if several := shared(entry):
        text += f"\n\nCanvases on which several objects were tried:\n\n{table(entry, several)}"
    return text


def page(results: Mapping[str, Any], *, small: Sequence[str], folder: Path) -> str:
    """The document, from the figures so far.

    Args:
        results: content of ``heatmaps.json``.
        small: flags of the planted world's model.
        folder: of the page; pictures that lie there are shown.
    """
    played = [(part, split) for part in PARTS for split in ("test", "val") if part in results.get(split, {})]
    flags = dict(zip(small[::2], small[1::2], strict=True))
    pictures = [(PARTS[part], picture(folder, part)) for part in PARTS if picture(folder, part).exists()]
    return PAGE.format(
        train=f"{int(flags['--data.train']):,}",
        epochs=flags["--training.epochs"],
        side=SIDE,
        methods="\n".join(f"* {name}{': ' + text if text else ''}" for name, text in METHODS.items()),
        parts="\n\n".join(section(part, split, results[split][part]) for part, split in played) or "Not run yet.",
        examples="".join(EXAMPLES.format(title=f"{title}, examples", file=path.name) for title, path in pictures),
        seconds=seconds(results["seconds"]) if "seconds" in results else "",
    )


def seconds(result: Mapping[str, Any]) -> str:
    """The last section of the page."""
    where = result["machine"]
    versions = ", ".join(f"{library} {where['versions'][library]}" for library in ("python", "torch"))
    busy = f", {result['busy']:.0f} % busy before" if "busy" in result else ""
    text = f"{where['system']}, {where['vectors']}, {where['cores']} cores{busy}; {versions}."
    if all(row["precision"] == "float32" for row in result["rows"]):
        text += f"\n{WITHOUT_BFLOAT16}"
    return SECONDS.format(pictures=len(result["rows"][0]["heat map"]), where=text, table=time_table(dict(result)))


def picture(folder: Path, part: str) -> Path:
    """File of the examples of a part."""
    return folder / f"heatmaps-{part}.png"


def draw(game: Mosaics | Canvases, tries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A column a try: picture, attention, heat map; with the right place and the greatest value."""
    figure = Figure(figsize=(2.1 * len(tries), 6.6), layout="constrained")
    for column, each in zip(figure.subplots(3, len(tries), squeeze=False).T, tries, strict=True):
        session = game.tagger.session(game.picture(each["rows"]))
        square, label = session.square.numpy(), each["label"]
        attention, heatmap = session.attention(label)[-1], session.heatmap(label)
        for axes, shown, title, found in (
            (column[0], square, label, None),
            (column[1], overlay(square, attention), "attention, last layer", attention),
            (column[2], evidence_overlay(square, heatmap), "heat map", heatmap),
        ):
            axes.set_axis_off()
            axes.imshow(shown, extent=(0, SIDE, SIDE, 0))
            axes.set_title(title, fontsize=9, parse_math=False)
            mark(axes, each["box"], None if found is None else greatest(found))
    save_figure(figure, path)


def mark(axes: Axes, box: Sequence[float], place: tuple[int, int] | None) -> None:
    """A frame around the right place, a cross at the greatest value of a map."""
    left, top, right, bottom = (edge * SIDE for edge in box)
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="#0a7d5a", linewidth=1.6))
    if place is not None:
        axes.plot(place[0] + 0.5, place[1] + 0.5, "x", color="#b0003a", markersize=8, markeredgewidth=2)
