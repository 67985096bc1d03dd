"""The pointing game of ``benchmarks/heatmaps.py``: pictures in which it is known where a thing is, maps, and hits."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from ctran.data.sources import openclipart, planted
from ctran.folders.tagger import Tagger
from ctran.inference.session import Session
from ctran.labels import LabelState
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe

SEEDS = {"val": 0, "test": 1}
AT_ONCE = 16
FOUND = 0.5
"""Probability above which a label counts as found."""
SIDE = 224
"""Pixels to which a map is enlarged before its greatest value is taken, as it is when it is drawn."""

METHODS = {
    "attention, first layer": "of the label's token to each image token",
    "attention, mean of the layers": "",
    "attention, last layer": "",
    "class activation map": "of the anchor: w . z / P (models with an anchor)",
    "contributions": "to the prediction's logit, at the size of the prediction",
    "heat map": "what `session.heatmap` and the studio show: contributions in the picture at twice the size, weighted by the "
    "label's probability in the parts of the picture around each place",
}


class Try(NamedTuple):
    """One question of the game.

    Args:
        rows: of the table, that make the picture.
        label: name.
        box: left, top, right and bottom edge of the thing, as shares of the picture's sides.
    """

    rows: list[int]
    label: str
    box: tuple[float, float, float, float]


class Mosaics:
    """Pictures of one split, ``side x side`` of them side by side."""

    def __init__(self, tagger: Tagger, split: str, side: int) -> None:
        self.tagger, self.side, self.seed = tagger, side, SEEDS[split]
        self.table = openclipart.build(openclipart.Config())[split]
        self.square = cache(lambda row: tagger.preprocessing.pixels(self.table.pixels(row)).numpy())  # each is in many mosaics
        self.alone = cache(self.marginals)

    def picture(self, rows: Sequence[int]) -> Image.Image:
        """Squares as the model takes them, row by row."""
        squares = [self.square(row) for row in rows]
        lines = [np.concatenate(squares[n : n + self.side], axis=1) for n in range(0, len(squares), self.side)]
        return Image.fromarray(np.concatenate(lines))

    def marginals(self, row: int) -> list[float]:
        """Probability of each label in one picture by itself."""
        features = self.tagger.encode_images(torch.tensor(self.square(row))[None])
        return self.tagger.marginals(features, torch.zeros(1, len(self.tagger.labels), dtype=torch.long))[0].tolist()

    def right_alone(self, each: Mapping[str, Any]) -> bool:
        """Whether the label of a try is most probable in the right picture, among the pictures by themselves."""
        label, (left, top, *_) = self.tagger.labels.index(each["label"]), each["box"]
        right = round(top * self.side) * self.side + round(left * self.side)
        return int(np.argmax([self.alone(row)[label] for row in each["rows"]])) == right

    def draw(self) -> Iterator[Try]:
        """Labels that exactly one of the pictures has and that the model finds; one a mosaic."""
        tagger, side = self.tagger, self.side
        truth = self.table.truth.rows(list(range(len(self.table)))).numpy() == LabelState.POSITIVE
        rng, nothing = np.random.default_rng(self.seed), torch.zeros(AT_ONCE, len(tagger.labels), dtype=torch.long)
        while True:
            chosen = [rng.choice(len(self.table), side * side, replace=False) for _ in range(AT_ONCE)]
            shown = torch.stack([tagger.square(self.picture(rows.tolist())) for rows in chosen])
            found = tagger.marginals(tagger.encode_images(shown), nothing).numpy()
            for rows, probabilities in zip(chosen, found, strict=True):
                labels = np.flatnonzero((truth[rows].sum(axis=0) == 1) & (probabilities > FOUND))
                if len(labels):
                    label = int(rng.choice(labels))
                    y, x = divmod(int(np.flatnonzero(truth[rows][:, label])[0]), side)
                    yield Try(rows.tolist(), tagger.labels.names[label], (x / side, y / side, (x + 1) / side, (y + 1) / side))


class Canvases:
    """Pictures of the planted world, whose places are known."""

    def __init__(self, tagger: Tagger, split: str, size: int) -> None:
        self.tagger = tagger
        sized = ["--data.train", "1", "--data.val", str(size), "--data.test", str(size)]
        config = read_recipe(find_recipe("planted"), sized).data
        assert isinstance(config, planted.Config)
        self.table = planted.build(config)[split]

    def picture(self, rows: Sequence[int]) -> Image.Image:
        """One canvas."""
        return self.table.picture(rows[0])

    def draw(self) -> Iterator[Try]:
        """Each object that is drawn and found, canvas by canvas."""
        for row in range(len(self.table)):
            picture = self.picture([row])
            found = self.tagger.predict(picture).probabilities
            for label, box in zip(self.table.rows["drawn"][row], self.table.rows["boxes"][row], strict=True):
                if found[self.table.labels.names[label]] > FOUND:
                    left, top, right, bottom = (edge / picture.width for edge in box)
                    yield Try([row], self.table.labels.names[label], (left, top, right, bottom))


def maps_of(session: Session, label: str) -> dict[str, Float[np.ndarray, "h w"]]:
    """A map of each method that the model has."""
    tagger, index = session.predictor, session.labels.index(label)
    attention = session.attention(label)
    found = {
        "attention, first layer": attention[0],
        "attention, mean of the layers": attention.mean(axis=0),
        "attention, last layer": attention[-1],
    }
    anchor = getattr(tagger.model, "anchor", None)
    if anchor is not None:
        weights = anchor.weight[index].detach()
        found["class activation map"] = (session.features.tokens[0] @ weights).reshape(session.features.grid).numpy()
    found["contributions"] = session.contributions(label)
    found["heat map"] = session.heatmap(label)
    return found


def greatest(heatmap: Float[np.ndarray, "h w"]) -> tuple[int, int]:
    """Column and row of the greatest value of a map enlarged to ``SIDE`` pixels."""
    drawn = enlarged(heatmap)
    y, x = np.unravel_index(int(drawn.argmax()), drawn.shape)
    return int(x), int(y)


def scores(heatmap: Float[np.ndarray, "h w"], box: tuple[float, float, float, float]) -> tuple[int, float]:
    """Whether the greatest value lies in the box, and the share of the positive values that does, of the enlarged map."""
    x, y = greatest(heatmap)
    left, top, right, bottom = (round(edge * SIDE) for edge in box)
    positive = enlarged(heatmap).clip(min=0)
    inside = float(positive[top:bottom, left:right].sum()) / max(float(positive.sum()), 1e-12)
    return int(left <= x < right and top <= y < bottom), inside


def enlarged(heatmap: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "224 224"]:
    """As it is drawn: bicubic."""
    return np.asarray(Image.fromarray(heatmap.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
