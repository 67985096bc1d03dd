"""Loaders: batches of images, or of cached image tokens, with their truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from ctran.data.cache import FeatureCache
from ctran.data.table import SampleTable
from ctran.images import Preprocessing
from ctran.labels import LabelSpace


@dataclass(frozen=True)
class Batch:
    """What a training or evaluation step gets.

    Args:
        inputs: images, or image tokens where they are cached (three axes).
        truth: :class:`~ctran.labels.LabelState` codes.
        index: row of each picture in its table.
    """

    inputs: Float[Tensor, "B 3 H W"] | Float[Tensor, "B P C"]
    truth: Int[Tensor, "B L"]
    index: Int[Tensor, " B"]

    @property
    def is_tokens(self) -> bool:
        return self.inputs.ndim == 3

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """The same batch on ``device``."""
        parts = (self.inputs, self.truth, self.index)
        return Batch(*(part.to(device, non_blocking=non_blocking) for part in parts))

    def pin_memory(self) -> "Batch":
        """Page-locked copies; called by the loader."""
        return Batch(self.inputs.pin_memory(), self.truth.pin_memory(), self.index.pin_memory())


class PictureSet(Dataset[Batch]):
    """Pictures of a table through a transform, a whole batch a call.

    Args:
        augment: picture -> square picture, random; None is the test transform.
        seed: with the epoch and the row, of the augmentation: the same picture looks the same whoever loads it.
    """

    def __init__(
        self,
        table: SampleTable,
        labels: LabelSpace,
        preprocessing: Preprocessing,
        augment: v2.Transform | None = None,
        seed: int = 0,
    ) -> None:
        self.table, self.preprocessing, self.augment, self.seed = table, preprocessing, augment, seed
        self.truth = table.truth_for(labels)
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()  # workers see the change

    def __len__(self) -> int:
        return len(self.table)

    def image(self, index: int, view: int) -> Float[Tensor, "3 H W"]:
        """One picture as a tensor, in one of its endless random views."""
        picture = self.table.picture(index)
        if self.augment is None:
            return self.preprocessing(picture)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, view, index))
            return self.preprocessing.tensor(self.augment(picture))

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        images = torch.stack([self.image(i, int(self.epoch)) for i in indices])
        rows = torch.tensor(indices)
        return Batch(images, self.truth[rows].long(), rows)


class TokenSet(Dataset[Batch]):
    """Cached image tokens of a table, each picture in a random one of its views."""

    def __init__(self, cache: FeatureCache, truth: Int[Tensor, "N L"], seed: int = 0) -> None:
        self.cache, self.truth, self.seed = cache, truth, seed
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()

    def __len__(self) -> int:
        return self.cache.shape[1]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        rows = np.asarray(indices)
        choice = np.random.default_rng([self.seed, int(self.epoch)]).integers(self.cache.shape[0], size=len(self))
        tokens = self.cache.read(choice[rows], rows)
        return Batch(tokens, self.truth[rows].long(), torch.from_numpy(rows))


def seed_of(*parts: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


class EpochOrder(torch.utils.data.Sampler[int]):
    """A new order every epoch (without ``shuffle`` always the table's).

    It follows from the seed and the epoch alone, so that a resumed run repeats what an unbroken one does. With ``world``
    processes each takes every ``world``-th picture; the first few are given twice so that all get as many.
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
    data: PictureSet | TokenSet, *, batch_size: int, order: EpochOrder | None = None, workers: int = 0
) -> DataLoader[Batch]:
    """A loader over whole batches; in the table's order without ``order``. Pins memory where there is a GPU."""
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
