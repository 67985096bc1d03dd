"""Loaders: batches of images, or of cached features, with their truth."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from ctran.data.feature_cache import FeatureCache
from ctran.data.table import SampleTable
from ctran.data.truth import SparseTruth
from ctran.images.transforms import Preprocessing, as_pixels
from ctran.labels import LabelSpace
from ctran.model.backbone import Features


@dataclass(frozen=True)
class Batch:
    """What a training or evaluation step gets.

    Args:
        inputs: square pictures as ``uint8``, a quarter of the bytes of what the backbone takes; or normalised images; or cached
            features.
        truth: :class:`~ctran.labels.LabelState` codes.
        index: row of each picture in its table.
        preprocessing: normalises ``uint8`` inputs; None for others.
    """

    inputs: UInt8[Tensor, "B S S 3"] | Float[Tensor, "B 3 S S"] | Features
    truth: Int[Tensor, "B L"]
    index: Int[Tensor, " B"]
    preprocessing: Preprocessing | None = None

    @property
    def images(self) -> Float[Tensor, "B 3 S S"]:
        """Input of the backbone: ``uint8`` is normalised only here, on the device that it was moved to."""
        if isinstance(self.inputs, Features):
            raise TypeError("the batch holds cached features, no images")
        return self.inputs if self.preprocessing is None else self.preprocessing.normalise(self.inputs)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """The same batch on ``device``."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """Page-locked copies; called by the loader."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        inputs = self.inputs.each(change) if isinstance(self.inputs, Features) else change(self.inputs)
        return Batch(inputs, change(self.truth), change(self.index), self.preprocessing)


class PictureSet(Dataset[Batch]):
    """Transformed pictures of a table, a whole batch per call.

    Args:
        augment: picture -> square picture, random; None is the test transform.
        seed: with epoch and row, of the augmentation, so that it does not depend on the worker.
    """

    def __init__(
        self,
        table: SampleTable,
        labels: LabelSpace,
        preprocessing: Preprocessing,
        augment: nn.Module | None = None,
        seed: int = 0,
    ) -> None:
        self.table, self.preprocessing, self.augment, self.seed = table, preprocessing, augment, seed
        self.truth = table.truth_for(labels)
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()  # workers see the change

    def __len__(self) -> int:
        return len(self.table)

    def without_augmentation(self) -> "PictureSet":
        """The same pictures through the test transform."""
        other = copy(self)
        other.augment = None
        return other

    def image(self, index: int, view: int) -> Float[Tensor, "3 H W"]:
        """One picture as a normalised tensor, in random view number ``view``."""
        return self.preprocessing.normalise(self.square(index, view))

    def square(self, index: int, view: int) -> UInt8[Tensor, "S S 3"]:
        """:meth:`image` before it is normalised."""
        if self.augment is None:
            return self.preprocessing.pixels(self.table.pixels(index))
        with seeded(seed_of(self.seed, view, index)):
            return as_pixels(self.augment(self.table.picture(index)))

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        squares = default_collate([self.square(i, int(self.epoch)) for i in indices])  # in a worker, into shared memory
        return Batch(squares, self.truth.rows(indices).long(), torch.tensor(indices), self.preprocessing)


class FeatureSet(Dataset[Batch]):
    """Cached features of a table, each picture in a random one of its views."""

    def __init__(self, cache: FeatureCache, truth: SparseTruth, seed: int = 0) -> None:
        self.cache, self.truth, self.seed = cache, truth, seed
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()
        self._drawn: tuple[int, Int[np.ndarray, " N"]] | None = None

    def __len__(self) -> int:
        return self.cache.rows[1]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        rows = np.asarray(indices)
        features = self.cache.read(self._views(int(self.epoch))[rows], rows)
        return Batch(features, self.truth.rows(rows).long(), torch.from_numpy(rows))

    def _views(self, epoch: int) -> Int[np.ndarray, " N"]:
        """The view of each picture in one epoch, drawn once an epoch."""
        if self._drawn is None or self._drawn[0] != epoch:
            drawn = np.random.default_rng([self.seed, epoch]).integers(self.cache.rows[0], size=len(self))
            self._drawn = epoch, drawn
        return self._drawn[1]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator within the block; afterwards its state is restored.

    Generators of GPUs, which draw dropout, are not touched: ``torch.manual_seed`` would seed them too.
    """
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)


def seed_of(*parts: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


class EpochOrder(torch.utils.data.Sampler[int]):
    """A new order every epoch (without ``shuffle``, always the table's order).

    It follows from the seed and the epoch alone, so that a resumed run repeats an uninterrupted one. Each of ``world``
    processes takes every ``world``-th picture; the first few are repeated so that all get equally many.
    """

    def __init__(self, size: int, seed: int, rank: int = 0, world: int = 1, *, shuffle: bool = True) -> None:
        self.size, self.seed, self.rank, self.world, self.shuffle = size, seed, rank, world, shuffle
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.size // self.world)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        order = torch.randperm(self.size, generator=generator).tolist() if self.shuffle else list(range(self.size))
        order += order[: len(self) * self.world - self.size]
        return iter(order[self.rank :: self.world])


def loader(
    data: PictureSet | FeatureSet, *, batch_size: int, order: EpochOrder | Sequence[int] | None = None, workers: int = 0
) -> DataLoader[Batch]:
    """A loader over whole batches; in the table's order without ``order``, which may also be rows. Pins memory where there is a
    GPU."""
    return DataLoader(
        data,
        batch_size=batch_size,
        sampler=order,
        collate_fn=_as_is,  # pyright: ignore[reportArgumentType]  (the set already gives whole batches)
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _as_is(batch: Batch) -> Batch:
    return batch
