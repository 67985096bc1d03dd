"""From JPEG files to a network's input, a batch at a time, beside the transforms that everybody writes."""

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, List, Value
from datasets import Image as Picture
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms as v1

from benchmarks.harness import Options, interleave, ratios, spread, verdict
from ctran.data.loading import PictureSet, loader
from ctran.data.table import SampleTable
from ctran.images.transforms import Preprocessing, Resample, Resizer
from ctran.labels import LabelSpace, LabelState

TITLE = "JPEG to tensor"
TARGET = (
    "1,000 pictures of 640 x 480 become batches of normalised tensors at least 2 times as fast as with Pillow and "
    "torchvision's v1 transforms (`Resize`, `CenterCrop`, `ToTensor`, `Normalize`), in one process and with two workers. "
    "This is `resizer: torch`, an option; the default, `pillow`, resizes as the yardstick does. Both read JPEG with simplejpeg "
    "(extra `fast`)."
)
LEAST, NUMBER, SEED = 2, 1000, 0
BATCH = 16
"""The paper's."""
SIZES = ((576, 0.9), (224, 1.0))
"""Side of the input and :attr:`~ctran.images.transforms.Preprocessing.centre`: the paper's, and the usual one."""
KERNELS: tuple[Resample, ...] = ("bilinear", "bicubic")
RESIZERS: tuple[Resizer, ...] = ("pillow", "torch")


def photograph(rng: np.random.Generator, width: int, height: int) -> bytes:
    """A JPEG file, quality 90 with halved colour: light that falls off, a texture, things with edges, a sensor's noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    a, b, c, phase = rng.uniform(1, 4, 4)
    light = 120 + 70 * np.sin(a * x + b * y + phase) + 12 * np.sin(40 * c * x * (1 + y / 2)) * np.cos(30 * a * y)
    tint = rng.uniform(0.6, 1.1, 3).astype(np.float32)
    scene = Image.fromarray((light[..., None] * tint).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(scene)
    for left, top, wide, high in rng.uniform(0, 0.8, (12, 4)) * [width, height, width / 2, height / 2]:
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((left, top, left + wide, top + high), fill=tuple(int(v) for v in rng.integers(20, 235, 3)))
    noise = rng.standard_normal((height, width, 3), dtype=np.float32) * 6
    file = io.BytesIO()
    noisy = (np.asarray(scene) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(file, "JPEG", quality=90, subsampling="4:2:0")
    return file.getvalue()


def write(folder: Path, number: int, width: int, height: int) -> list[Path]:
    """So many photographs."""
    rng = np.random.default_rng(SEED)
    paths = [folder / f"{n:04}.jpg" for n in range(number)]
    for path in paths:
        path.write_bytes(photograph(rng, width, height))
    return paths


class Yardstick(torch.utils.data.Dataset[Tensor]):
    """Pillow and torchvision's v1 transforms."""

    def __init__(self, paths: list[Path], see: Preprocessing) -> None:
        whole = round(see.size / see.centre)
        resize = v1.Resize((whole, whole), v1.InterpolationMode(see.resample))
        cut = [v1.CenterCrop(see.size)] if whole > see.size else []
        self.paths = paths
        self.transform = v1.Compose([resize, *cut, v1.ToTensor(), v1.Normalize(see.mean, see.std)])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as picture:
            return self.transform(picture.convert("RGB"))  # pyright: ignore[reportReturnType]  (ToTensor makes it one)


def table_of(paths: list[Path]) -> SampleTable:
    """The library's table of these files."""
    columns = {
        "image": [str(path) for path in paths],
        "id": [path.stem for path in paths],
        "positives": [[0]] * len(paths),
        "negatives": [[]] * len(paths),
    }
    kinds = Features(
        image=Picture(decode=False), id=Value("string"), positives=List(Value("int32")), negatives=List(Value("int32"))
    )
    return SampleTable(Dataset.from_dict(columns, features=kinds), LabelSpace(("label",)), LabelState.NEGATIVE)


def batches(see: Preprocessing, paths: list[Path], workers: int) -> dict[str, Callable[[], Iterator[Tensor]]]:
    """Each candidate, as a call that goes through all pictures once. Workers live on between two calls."""
    plain = DataLoader(Yardstick(paths, see), batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0)
    found: dict[str, Callable[[], Iterator[Tensor]]] = {"yardstick": lambda: iter(plain)}
    table = table_of(paths)
    for resizer in RESIZERS:
        ours = loader(PictureSet(table, table.labels, replace(see, resizer=resizer)), batch_size=BATCH, workers=workers)
        found[resizer] = lambda ours=ours: (batch.images for batch in ours)
    return found


def differences(one: Iterator[Tensor], other: Iterator[Tensor], see: Preprocessing) -> dict[str, float]:
    """Largest and mean difference; the largest in steps of 1 / 255 before normalising; the share of half a step and more."""
    steps = 255 * torch.tensor(see.std).view(3, 1, 1)
    total = {"largest": 0.0, "mean": 0.0, "steps": 0.0, "share": 0.0}
    number = 0
    for a, b in zip(one, other, strict=True):
        gap = (a - b).abs()
        total["largest"] = max(total["largest"], gap.max().item())
        total["steps"] = max(total["steps"], (gap * steps).max().item())
        total["mean"] += gap.double().sum().item()
        total["share"] += (gap * steps > 0.5).sum().item()
        number += gap.numel()
    return total | {"mean": total["mean"] / number, "share": total["share"] / number}


@contextmanager
def one_thread() -> Iterator[None]:
    """A process is one core's work, as it is in a worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(options: Options) -> dict[str, Any]:
    number, width, height = (8, 64, 48) if options.tiny else (NUMBER, 640, 480)
    sizes = ((36, 0.9),) if options.tiny else SIZES
    rows = []
    with tempfile.TemporaryDirectory() as folder, one_thread():
        paths = write(Path(folder), number, width, height)
        for (size, centre), resample, workers in product(sizes, KERNELS, (0, 2)):
            see = Preprocessing(size, "squash", centre=centre, resample=resample)
            arms = batches(see, paths, workers)
            times = interleave(
                {name: lambda arm=arm: sum(len(b) for b in arm()) for name, arm in arms.items()}, options.repeats
            )
            for resizer in RESIZERS:
                found = differences(arms["yardstick"](), arms[resizer](), see)
                row = {"size": size, "centre": centre, "resample": resample, "workers": workers, "resizer": resizer}
                rows.append(row | {"yardstick": times["yardstick"], "ours": times[resizer], "differences": found})
        file_bytes = sum(path.stat().st_size for path in paths) // number
    return {"pictures": number, "file_bytes": file_bytes, "rows": rows}


def table(result: dict[str, Any]) -> str:
    lines = [
        "| input | resampling | workers | yardstick, s | resizer | ours, s | times as fast | target | differs by at most "
        "(steps of 1 / 255) | values half a step apart |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        faster, gap = ratios(row["yardstick"], row["ours"]), row["differences"]
        goal = verdict(median(faster), least=LEAST) if row["resizer"] == "torch" else ""
        cells = (
            f"{row['size']} px" + (f", centre {row['centre']:g}" if row["centre"] < 1 else ""),
            row["resample"],
            str(row["workers"]),
            spread(row["yardstick"]),
            row["resizer"],
            spread(row["ours"]),
            spread(faster),
            goal,
            f"{gap['largest']:.2g} ({gap['steps']:.2g})",
            f"{gap['share']:.2%}; mean difference {gap['mean']:.1e}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    size = f"{result['file_bytes'] / 1000:.0f} kB"
    lines += ["", f"{result['pictures']:,} pictures, files of {size} on average; batches of {BATCH}; one thread a process."]
    return "\n".join(lines)
