"""Use an exported folder: two graphs that describe themselves. ``load`` takes any folder with a model."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import shorten

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.constraints.calibration import Calibration
from ctran.errors import UserError
from ctran.folders.about import About
from ctran.folders.config import tuples
from ctran.folders.model_folder import ModelFolderError
from ctran.folders.runtimes import READERS, Graph
from ctran.folders.tagger import Tagger
from ctran.images.transforms import Preprocessing
from ctran.inference.predictor import Predictor
from ctran.labels import LabelSpace, LabelState
from ctran.model import Features, Method

CHECKSUMS = "checksums.json"


class Graphs(Method):
    """The two calls of a method, computed by two exported graphs."""

    def __init__(self, encode: Graph, predict: Graph, image_cache: tuple[str, ...], num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.encode, self.predict, self.image_cache = encode.run, predict.run, image_cache

    @property
    def has_contributions(self) -> bool:
        """False: the graphs have no gradients."""
        return False

    def encode_images(self, images: Float[Tensor, "B 3 H W"]) -> Features:
        outputs = self.encode({"images": images.contiguous().numpy()})
        cache = {name: torch.from_numpy(array) for name, array in zip(self.image_cache, outputs, strict=True)}
        first = cache[self.image_cache[0]]
        tokens = cache["tokens"] if "tokens" in cache else first.flatten(1)[:, None]  # stand-ins: predict reads the cache
        return Features(tokens, (1, tokens.shape[1]), cache)

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        assert features.image_cache is not None
        rows = checked(states.numpy(), self.num_labels).reshape(len(features), features.rows_each(states), -1)
        cache = {name: tensor.numpy() for name, tensor in features.image_cache.items()}
        return torch.from_numpy(self.predict({"states": rows, **cache})[0]).flatten(0, 1)


class Exported(Predictor):
    """A model that ``ctran export`` wrote; predicts and is evaluated as a :class:`~ctran.folders.tagger.Tagger` is.

    Needs the runtime of its format (``pip install "ctran[onnx]"`` or ``"ctran[openvino]"``; ``torch`` needs nothing more) and
    runs on the CPU.
    """

    def __init__(self, model: Graphs, labels: LabelSpace, preprocessing: Preprocessing, about: About) -> None:
        fitted = None if about.calibration is None else Calibration.from_dict(about.calibration, labels)
        super().__init__(model, labels, preprocessing, fitted)
        self.graphs, self.about = model, about

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "auto") -> "Exported":
        """Read an exported folder.

        Args:
            device: ``auto`` or ``cpu``; exported graphs run on the CPU.

        Raises:
            UserError: another device.
            ModelFolderError: not an exported folder, a damaged or foreign file, a newer format, or graphs of different exports;
                :class:`~ctran.folders.runtimes.MissingRuntimeError` where the format's runtime is not installed.
        """
        folder = Path(folder)
        if str(device) not in ("auto", "cpu"):
            raise UserError(
                f"device {str(device)!r}: {folder} is an exported folder, and these run on the cpu alone; "
                "for another device load the run or model folder that it was made of"
            )
        name = _format_of(folder)
        if name is None:
            endings = ", ".join(f"encode{ending}" for ending, _ in READERS.values())
            raise ModelFolderError(f"{folder} is not an exported folder: none of {endings} found")
        (encode, about), (predict, about_predict) = (_read(folder, name, part) for part in ("encode", "predict"))
        if replace(about, graph="") != replace(about_predict, graph=""):  # models of one kind differ in the measured parity
            raise ModelFolderError(f"{folder}: encode and predict are not of one export; export the model again")
        _check_digests(folder)
        labels, prepared = LabelSpace.from_dict(about.labels), Preprocessing(**tuples(about.preprocessing))
        exported = cls(Graphs(encode, predict, about.image_cache, len(labels)), labels, prepared, about)
        exported.folder = folder
        return exported

    @property
    def kind(self) -> str:
        form = _format_of(self.folder) if self.folder is not None else None
        parts = [f"{self.about.method} on {self.about.model.get('backbone')}", form, "int8" if self.about.int8 else None]
        return ", ".join(part for part in parts if part)

    def fast(self) -> "Exported":
        """Itself: its precision was chosen at export (``--int8``)."""
        return self

    def encode(self, images: Float[np.ndarray, "B 3 H W"]) -> dict[str, np.ndarray]:
        """The image cache of normalised pictures (:attr:`preprocessing`), ``B`` entries each."""
        if not np.isfinite(images).all():
            raise UserError("images: expected finite numbers, got NaN or infinity")
        return dict(zip(self.about.image_cache, self.graphs.encode({"images": images}), strict=True))

    def predict_labels(
        self, image_cache: Mapping[str, np.ndarray], states: Int[np.ndarray, "B S L"]
    ) -> Float[np.ndarray, "B S L"]:
        """Logits for ``S`` rows of :class:`~ctran.labels.LabelState` codes (int64) of each picture."""
        return self.graphs.predict({"states": checked(states, len(self.labels)), **image_cache})[0]


def checked(states: np.ndarray, num_labels: int) -> np.ndarray:
    """``states`` as the graphs take them; runtimes handle other codes, types and shapes differently.

    Raises:
        ValueError: codes not in :class:`~ctran.labels.LabelState`, a dtype that is not an integer, or a wrong number of labels.
    """
    if not np.issubdtype(states.dtype, np.integer):
        raise UserError(f"states: expected whole numbers (0 unknown, 1 absent, 2 present), got {states.dtype}")
    if states.ndim < 2 or states.shape[-1] != num_labels:
        raise UserError(f"states: expected {num_labels} labels in the last of several axes, got shape {states.shape}")
    if states.size and not 0 <= states.min() <= states.max() <= max(LabelState):
        raise UserError(f"states: expected 0, 1 and 2, got {states.min()} to {states.max()}")
    return np.ascontiguousarray(states, dtype=np.int64)


def _read(folder: Path, name: str, part: str) -> tuple[Graph, About]:
    """One graph; any error of its runtime about a damaged file becomes one error with the file's name."""
    ending, reader = READERS[name]
    path = folder / f"{part}{ending}"
    if not path.is_file():
        raise ModelFolderError(f"{path} not found: an exported folder holds encode and predict")
    try:
        graph = reader(path)
        about = About.read(graph.metadata, path)
    except ModelFolderError:
        raise
    except Exception as error:  # each runtime has its own errors
        why = shorten(str(error), 200, placeholder=" ...")
        raise ModelFolderError(f"{path} is damaged, or no graph of ctran export ({type(error).__name__}: {why})") from error
    if about.graph != part:
        raise ModelFolderError(f"{path} holds the graph {about.graph!r}; was the file renamed?")
    return graph, about


def _format_of(folder: Path) -> str | None:
    """Format of an exported folder; None where it is not one.

    Raises:
        ModelFolderError: graphs of several formats.
    """
    found = [name for name, (ending, _) in READERS.items() if (folder / f"encode{ending}").is_file()]
    if len(found) > 1:
        raise ModelFolderError(f"{folder} holds graphs of {' and '.join(found)}; keep each export in a separate folder")
    return found[0] if found else None


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files, by name."""
    found = {}
    for name in sorted(names):
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _check_digests(folder: Path) -> None:
    """Refuse files that were not exported together.

    Raises:
        ModelFolderError: no ``checksums.json``, or a file that is missing or has changed.
    """
    path = folder / CHECKSUMS
    try:
        wanted = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in wanted if not (folder / name).is_file()]
    except FileNotFoundError:
        raise ModelFolderError(f"{path} not found: an exported folder has one; copy the whole folder") from None
    except (ValueError, TypeError) as error:
        raise ModelFolderError(f"{path} is damaged ({error}); export the model again") from None
    if missing:
        raise ModelFolderError(f"{folder / missing[0]} not found: an exported folder holds encode and predict")
    for name, digest in digests(folder, wanted).items():
        if digest != wanted[name]:
            raise ModelFolderError(f"{folder / name} is not the file that was exported: damaged, or of another export")


def load(folder: Path | str, device: str | torch.device = "auto") -> Tagger | Exported:
    """A model folder, a run, or an exported folder.

    Args:
        device: that computes: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; of an exported
            folder ``auto`` or ``cpu``.

    Raises:
        UserError: a device that this machine does not have.
        ModelFolderError: none of them.
    """
    return Tagger.load(folder, device) if _format_of(Path(folder)) is None else Exported.load(folder, device)
