"""Tiny, offline, one process: a small timm network, a few drawn pictures."""

import io
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TENSORBOARD_BINARY"] = "0"

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from ctran.labels import LabelSpace
from ctran.model import Backbone, CTran

os.fsync = lambda descriptor: None  # no test cuts the power, and a training of seconds waits for the disk fifty times
COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (40, 60, 220)}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or leaves features in the user's cache."""
    monkeypatch.setenv("CTRAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def model() -> CTran:
    """Seven labels on timm's smallest network, as in evaluation."""
    return CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, dropout=0.1).eval()


@pytest.fixture
def images(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(3, 3, 64, 64, generator=generator)


@pytest.fixture
def labels() -> LabelSpace:
    return LabelSpace(("cat", "dog", "flag", "map", "ship", "star", "tree"))


def stirred(tagger):
    """The tagger, in whose own weights no one is 0 or 1 any more, as none is in a trained one."""
    stirred_module(tagger.model)
    return tagger


def stirred_module(model, scale=0.3):
    """The same of a model; ``scale``: standard deviation of what is added."""
    with torch.no_grad():
        for key, value in model.named_parameters():
            if not key.startswith("backbone"):
                value.add_(scale * torch.randn(value.shape))
    return model


def draw(path: Path, colours: list[str], size: int = 48, note: str = "") -> None:
    """A white picture with one square a colour; a note makes files differ that show the same.

    Stored without compression, so that the bytes, and the splits that follow from them, are those of any zlib.
    """
    picture = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(picture)
    for place, colour in enumerate(colours):
        pen.rectangle([4 + 15 * place, 8, 14 + 15 * place, 40], fill=COLOURS[colour])
    text = PngInfo()
    text.add_text("note", note)
    picture.save(path, pnginfo=text, compress_level=0, comment=note)  # of PNG, of JPEG


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "pictures")


def draw_folder(root: Path) -> Path:
    """Thirty pictures of coloured squares with ``metadata.csv``: labels are the colours, and ``warm`` where there is red."""
    root.mkdir()
    chance = random.Random(0)
    lines = ["file_name,labels"]
    for number in range(30):
        colours = [c for c in COLOURS if chance.random() < 0.5]
        draw(root / f"{number:02}.png", colours, note=f"13 {number}")  # 19, 4 and 7 pictures, each colour in every split
        lines.append(f'{number:02}.png,"{",".join(colours + ["warm"] * ("red" in colours))}"')
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


TOY = [
    *("--model.backbone", "test_resnet"),
    *("--model.weights", "none"),
    *("--model.image_size", "64"),
    *("--model.fit", "pad"),
    *("--model.token_dim", "16"),
    *("--model.num_layers", "1"),
    *("--model.num_heads", "2"),
    *("--training.batch_size", "8"),
    *("--training.learning_rate", "0.01"),
    *("--training.augmentation", "flip"),
    *("--training.epochs", "2"),
    *("--training.accelerator", "cpu"),
]
"""Flags that make any recipe small."""


@dataclass(frozen=True)
class ToyRun:
    """A finished training of two epochs on :func:`draw_folder`.

    Args:
        printed: the standard output of ``ctran train``.
    """

    folder: Path
    pictures: Path
    printed: str

    def copy(self, target: Path) -> "ToyRun":
        """The same run in another folder, to be written to; its pictures are the shared ones."""
        return replace(self, folder=Path(shutil.copytree(self.folder, target)))

    def copy_with_pictures(self, root: Path) -> "ToyRun":
        """As if it had been trained below ``root``."""
        copy = replace(self.copy(root / "run"), pictures=Path(shutil.copytree(self.pictures, root / "pictures")))
        recipe = copy.folder / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace(str(self.pictures), str(copy.pictures)))
        return copy


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> ToyRun:
    """The one toy run of a session, for fixtures that copy it; tests that only read it take :func:`toy_run`."""
    from ctran.cli.main import main

    root = tmp_path_factory.mktemp("toy")
    pictures, folder = draw_folder(root / "pictures"), root / "run"
    source = ["--source", "imagefolder", "--root", str(pictures), "--absent", "negative", "--output", str(folder)]
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()) as errors:
        assert main(["train", "--method", "ctran", *source, *TOY]) == 0, errors.getvalue()
    return ToyRun(folder, pictures, printed.getvalue())


@pytest.fixture
def toy_run(finished_run: ToyRun) -> Iterator[ToyRun]:
    """The toy run of the session, which no test may change."""
    before = states_of_files(finished_run)
    yield finished_run
    assert states_of_files(finished_run) == before, "the test has written into the shared run; let it use a copy"


def states_of_files(run: ToyRun) -> dict[Path, tuple[int, int]]:
    """Size and time of the last change of each file of a run and of its pictures."""
    found = [(path, path.stat()) for root in (run.folder, run.pictures) for path in root.rglob("*")]
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in found}


@contextmanager
def no_rendering() -> Iterator[None]:
    """matplotlib writes pictures of one pixel: rendering takes longer than all the rest of a toy training.

    For tests that train and look at no figure. Figures are still made, the sheet of predictions with one picture; in full
    they are those of ``tests/plots`` and of the shared run.
    """
    from ctran import plots

    def savefig(self: Figure, target: Path, **options: object) -> None:
        Image.new("RGB", (1, 1)).save(target, "PNG")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        patch.setattr(plots, "contact_sheet", partial(plots.contact_sheet, count=1))
        yield


@pytest.fixture
def unrendered() -> Iterator[None]:
    with no_rendering():
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
