"""A model folder: load, save, hub."""

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ctran.constraints.calibration import Calibration
from ctran.data.coverage import Unlearnable
from ctran.devices import find_device
from ctran.errors import wrong_folder
from ctran.folders.card import model_card
from ctran.folders.config import FORMAT, build, lacking_key, tuples, without_paths
from ctran.folders.model_folder import ModelFolderError, replacing
from ctran.folders.runtimes import READERS
from ctran.images.transforms import Preprocessing
from ctran.inference.prediction import Prediction
from ctran.inference.predictor import Predictor
from ctran.labels import LabelSpace
from ctran.model import Method
from ctran.version import __version__

__all__ = ["ModelFolderError", "Prediction", "Tagger"]

FILES = ("config.json", "labels.json", "model.safetensors", "README.md", "calibration.json")


class Tagger(Predictor):
    """A trained model with its labels and its preprocessing; on disk, one folder without pickle.

    ``config.json`` (format, method and its options, preprocessing), ``model.safetensors``, ``labels.json``, a model card
    ``README.md`` and, after ``ctran calibrate``, ``calibration.json``.
    """

    def __init__(
        self,
        model: Method,
        labels: LabelSpace,
        config: Mapping[str, Any],
        preprocessing: Preprocessing,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__(model, labels, preprocessing, calibration)
        self.config = without_paths(config)
        self.card: str | None = None
        """Text of the model card, where it was read from a folder."""

    @property
    def unlearnable(self) -> Unlearnable:
        """Labels that were only positive or only negative in training (``config.json``), so that the model has not learned
        them: mean figures leave them out."""
        found = self.config.get("unlearnable")  # written only where there are any
        return Unlearnable.from_dict(found) if found else Unlearnable()

    def to(self, device: str | torch.device) -> "Tagger":
        """Move to a device, in place."""
        self.model.to(device)
        return self

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "auto") -> "Tagger":
        """Read a model folder, or the ``model`` folder of a run.

        Args:
            device: to compute on, as :func:`ctran.devices.find_device` takes it: ``auto`` is a GPU where there is one.

        Raises:
            ModelFolderError: missing or damaged files, or a newer format.
            UserError: a device that this machine does not have.
        """
        folder, on = Path(folder), find_device(device)
        if (folder / "model" / "config.json").is_file():
            folder = folder / "model"
        missing = [f for f in FILES[:3] if not (folder / f).is_file()]
        if any((folder / f"encode{ending}").is_file() for ending, _ in READERS.values()):
            raise ModelFolderError(f"{folder} is an exported folder: name the run, or the model folder, that it was made of")
        if len(missing) == 3:
            raise ModelFolderError(wrong_folder(folder, "model or run folder", ("config.json", "model/config.json")))
        if missing:
            raise ModelFolderError(f"{folder} is not a whole model folder: {', '.join(missing)} not found")
        for file in FILES:
            if (folder / file).is_file() and not os.access(folder / file, os.R_OK):
                raise ModelFolderError(f"{folder / file} may not be read by this user: give them permission (chmod a+r)")
        name = "config.json"
        try:
            config = json.loads((folder / name).read_text(encoding="utf-8"))
            if config.get("format") != FORMAT:
                raise ModelFolderError(
                    f"{folder} has format {config.get('format')!r}, this ctran {__version__} reads {FORMAT}; upgrade ctran"
                )
            if lacking := lacking_key(config):
                raise ModelFolderError(
                    f"{folder / name} has no key {lacking!r}: it is damaged, or was edited; restore it or save again"
                )
            prepared = Preprocessing(**tuples(config["preprocessing"]))
            name = "labels.json"
            labels = LabelSpace.load(folder / name)
            name = "config.json"
            module = build(config, labels)
            name = "model.safetensors"
            weights = load_file(folder / name)
            module.take_sizes(weights)
            if other := _other_tensors(module.state_dict(), weights):
                raise ModelFolderError(f"{folder / name} is damaged, or not of this model: {other}")
            module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
            name, calibration = "calibration.json", None
            if (folder / name).is_file():
                calibration = Calibration.from_dict(json.loads((folder / name).read_text(encoding="utf-8")), labels)
        except ModelFolderError as error:
            if str(folder) in str(error):
                raise
            raise ModelFolderError(f"{folder}: {error}") from None
        except KeyError as error:
            raise ModelFolderError(f"{folder / name} is damaged: it has no key {error}") from error
        except Exception as error:  # JSON, safetensors, timm and torch raise various ones for damaged files
            why = shorten(str(error), 200, placeholder=" ...")
            raise ModelFolderError(
                f"{folder / name} is damaged, or not of this model ({type(error).__name__}: {why})"
            ) from error
        tagger = cls(module, labels, config, prepared, calibration).to(on)
        tagger.folder = folder
        if (folder / "README.md").is_file():
            tagger.card = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
        return tagger

    @property
    def kind(self) -> str:
        return f"{self.config['method']} on {self.model.backbone.name}"

    @classmethod
    def from_hub(cls, repository: str, *, revision: str | None = None, device: str | torch.device = "auto") -> "Tagger":
        """Download a model folder from the Hugging Face hub (``user/name``), then :meth:`load` it."""
        from huggingface_hub import snapshot_download

        return cls.load(snapshot_download(repository, revision=revision, allow_patterns=list(FILES)), device)

    def push_to_hub(self, repository: str, *, private: bool = True) -> str:
        """Upload the model folder to the Hugging Face hub; returns the address of the commit."""
        from tempfile import TemporaryDirectory

        from huggingface_hub import HfApi

        with TemporaryDirectory() as folder:
            self.save(Path(folder) / "model")
            api = HfApi()
            api.create_repo(repository, private=private, exist_ok=True)
            return str(api.upload_folder(repo_id=repository, folder_path=Path(folder) / "model"))

    def save(self, folder: Path | str, *, card: str | None = None, dtype: torch.dtype | None = None) -> None:
        """Write the model folder; an existing one is replaced only when the new one is complete.

        Args:
            card: text of the model card; None keeps the one that was loaded, else writes
                :func:`~ctran.folders.card.model_card`.
            dtype: of most weights on disk, float16 for half the size; vectors and depthwise convolutions are few, matter more
                and stay as they are. :meth:`load` converts all to float32. None keeps all.

        Raises:
            ModelFolderError: the folder holds something else.
        """
        with replacing(Path(folder), FILES) as part:
            weights = self.model.state_dict()
            if dtype is not None:
                weights = {k: v.to(dtype) if _is_large(v) else v for k, v in weights.items()}
            try:
                save_file({k: v.cpu().contiguous() for k, v in weights.items()}, part / "model.safetensors")
            except SafetensorError as error:  # mostly a full disk
                raise OSError(errno.EIO, f"could not be saved, and is as it was: {error}", str(folder)) from None
            (part / "config.json").write_text(json.dumps(self.config, indent=1) + "\n", encoding="utf-8")
            self.labels.save(part / "labels.json")
            if self.calibration is not None:
                self.calibration.save(part / "calibration.json")
            (part / "README.md").write_text(card or self.card or model_card(self), encoding="utf-8")


def _other_tensors(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
    """What is wrong with the tensors of a file; an empty string where they are those of the model."""
    for what, names in (("lacks", expected.keys() - found.keys()), ("has, beyond the model,", found.keys() - expected.keys())):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"it {what} the tensor {min(names)!r}{more}"
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            return f"{name!r} has shape {tuple(found[name].shape)}, config.json describes {tuple(tensor.shape)}"
    return ""


def _is_large(weight: torch.Tensor) -> bool:
    """Whether a weight is a matrix, or a convolution that is not depthwise."""
    return weight.is_floating_point() and weight.ndim > 1 and not (weight.ndim == 4 and weight.shape[1] == 1)
