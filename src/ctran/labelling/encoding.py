"""Pictures of a folder through a frozen backbone, once and in the background."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ctran.data.checked import check
from ctran.data.loading import seed_of
from ctran.data.picture_features import PictureFeatures, path_of
from ctran.devices import find_device
from ctran.errors import UserError
from ctran.images.reading import BrokenImageError
from ctran.labels import LabelSpace
from ctran.model import Features
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import Recipe
from ctran.training.stored_features import encoded, key_of_pictures, on_device, shapes_of

BATCH = 8
"""Pictures that are encoded together, and stored."""
WIDTH = 64
"""Numbers that stand for a picture where pictures are compared: a random projection of its averaged tokens."""


class Encoder:
    """Encodes the pictures of a folder by the backbone of a recipe; what was encoded before is not encoded again.

    Args:
        recipe: whose image features can be kept: with a frozen backbone.
        folder: of the pictures.
        names: of the pictures in it.

    Raises:
        UserError: the recipe trains its backbone.
    """

    def __init__(self, recipe: Recipe, folder: Path, names: Sequence[str], device: str = "auto") -> None:
        if recipe.training.backbone_learning_rate != 0:
            raise UserError(
                "the studio keeps image features, so it takes recipes with a frozen backbone "
                "(training.backbone_learning_rate 0), such as quick and auto"
            )
        self.folder, self.names = folder, list(names)
        self.device = find_device(device)
        self.tagger = build_tagger(recipe, LabelSpace(("any",)))
        if why := self.tagger.model.cache_obstacle:
            raise UserError(f"the studio keeps image features, which {self.tagger.model.title} cannot: {why}")
        self.digests, self.broken = dict[str, str](), dict[str, str]()
        self.vectors = dict[str, Float[Tensor, " W"]]()
        self.problem = ""
        """Why the encoding has stopped before its end; empty where it has not."""
        size = self.tagger.preprocessing.size
        with torch.inference_mode(), on_device(self.tagger.model, self.device):
            blank = self.tagger.preprocessing.normalise(torch.zeros(1, size, size, 3, dtype=torch.uint8, device=self.device))
            probe = self.tagger.model.stored(self.tagger.model.encode_images(blank))
        key = key_of_pictures(self.tagger.model, self.tagger.preprocessing, probe, self.device)
        self.store = PictureFeatures(path_of(key), shapes_of(probe), probe.grid)
        generator = torch.Generator().manual_seed(seed_of(0, WIDTH))
        self._projection = torch.randn(probe.tokens.shape[-1], WIDTH, generator=generator) / WIDTH**0.5
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the pictures that are being encoded."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.store.close()

    @property
    def done(self) -> int:
        """Pictures that are encoded, or cannot be."""
        return len(self.vectors) + len(self.broken)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to encode."""
        return self.done == len(self.names)

    def features(self, names: Sequence[str]) -> Features | None:
        """Features of pictures; None where one of them is not encoded yet."""
        if any(name not in self.vectors for name in names):
            return None
        return self.store.read([self.digests[name] for name in names])

    def _run(self) -> None:
        try:
            with on_device(self.tagger.model, self.device):
                for start in range(0, len(self.names), BATCH):
                    if self._stop.is_set():
                        return
                    self._encode(self.names[start : start + BATCH])
        except Exception as error:  # shown in the page; a thread has no caller
            self.problem = f"{type(error).__name__}: {error}"

    def _encode(self, names: Sequence[str]) -> None:
        checks = dict(zip(names, check([self.folder / name for name in names]), strict=True))
        good = [name for name in names if not checks[name].reason]
        have = self.store.have([checks[name].digest for name in good])
        self.broken.update({name: one.reason for name, one in checks.items() if one.reason})
        squares, new = [], []
        for name in good:
            if checks[name].digest in have:
                continue
            try:
                squares.append(self.tagger.square(self.folder / name, name=name))
                new.append(name)
            except BrokenImageError as error:  # it has changed since it was checked
                self.broken[name] = str(error)
        if new:
            images = self.tagger.preprocessing.normalise(torch.stack(squares).to(self.device))
            features = encoded(self.tagger.model, images, self.device, self.tagger.model.backbone)
            self.store.put([checks[name].digest for name in new], features)
        found = self.store.means([checks[name].digest for name in good])
        self.digests.update({name: checks[name].digest for name in good})
        self.vectors.update({name: self._vector(found[checks[name].digest]) for name in good if checks[name].digest in found})

    def _vector(self, mean: Float[Tensor, " C"]) -> Float[Tensor, " W"]:
        return torch.nn.functional.normalize(mean @ self._projection, dim=0)


def rows_of(vectors: Mapping[str, Float[Tensor, " W"]], names: Sequence[str]) -> Float[Tensor, "N W"]:
    """Vectors of pictures, one a row; zeros where there is none yet."""
    blank = torch.zeros(WIDTH)
    return torch.stack([vectors.get(name, blank) for name in names]) if names else torch.zeros(0, WIDTH)
