"""A model folder: load, save, predict."""

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from jaxtyping import Int
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from ctran import methods, registry
from ctran.exclusive import probabilities
from ctran.images import Preprocessing, open_image
from ctran.labels import LabelSpace, LabelState
from ctran.model import Method
from ctran.version import __version__

FORMAT = 1
FILES = ("config.json", "labels.json", "model.safetensors", "README.md")


class ModelFolderError(ValueError):
    """A folder that holds no model, or one of another format; the message says what was expected."""


@dataclass(frozen=True)
class Prediction:
    """Probabilities of one picture, most probable first.

    Args:
        probabilities: label name -> probability, of the labels that were not told.
        known: what was told.
        threshold: from where on a label counts as present.
        exclusive: labels of each exclusive group, of which exactly one is present.
    """

    probabilities: dict[str, float]
    known: dict[str, bool]
    threshold: float = 0.5
    exclusive: tuple[tuple[str, ...], ...] = ()

    @property
    def labels(self) -> list[str]:
        """Labels that are present: told so, of a probability of at least the threshold, or the most probable of its group."""
        told = [name for name, present in self.known.items() if present]
        chosen = {name: p >= self.threshold for name, p in self.probabilities.items()}
        for group in self.exclusive:
            open_ = [name for name in self.probabilities if name in group]  # most probable first
            best = None if set(told) & set(group) or not open_ else open_[0]
            chosen |= {name: name == best for name in open_}
        return told + [name for name, present in chosen.items() if present]

    def top(self, k: int = 5) -> dict[str, float]:
        """The ``k`` most probable labels that were not told."""
        return dict(list(self.probabilities.items())[:k])


class Tagger:
    """A trained model with its labels and its preprocessing; on disk, one folder without pickle.

    ``config.json`` (format, method and its options, preprocessing), ``model.safetensors``, ``labels.json``, and a model card
    ``README.md``.
    """

    def __init__(self, model: Method, labels: LabelSpace, config: Mapping[str, Any], preprocessing: Preprocessing) -> None:
        self.model = model.eval()
        self.labels, self.config, self.preprocessing = labels, dict(config), preprocessing

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def to(self, device: str | torch.device) -> "Tagger":
        """Move to a device, in place."""
        self.model.to(device)
        return self

    @classmethod
    def load(cls, folder: Path | str) -> "Tagger":
        """Read a model folder, or the ``model`` folder of a run.

        Raises:
            ModelFolderError: missing or damaged files, or a newer format.
        """
        folder = Path(folder)
        if (folder / "model" / "config.json").is_file():
            folder = folder / "model"
        missing = [f for f in FILES[:3] if not (folder / f).is_file()]
        if missing:
            raise ModelFolderError(f"{folder} is no model folder: {', '.join(missing)} not found")
        name = "config.json"
        try:
            config = json.loads((folder / name).read_text(encoding="utf-8"))
            if config.get("format") != FORMAT:
                raise ModelFolderError(
                    f"{folder} has format {config.get('format')!r}, this ctran {__version__} reads {FORMAT}; upgrade ctran"
                )
            prepared = Preprocessing(**_tuples(config["preprocessing"]))
            name = "labels.json"
            labels = LabelSpace.load(folder / name)
            name = "config.json"
            module = build(config, len(labels))
            name = "model.safetensors"
            weights = load_file(folder / name)
            module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
        except ModelFolderError:
            raise
        except Exception as error:  # whatever JSON, safetensors, timm and torch say of damaged files
            why = shorten(str(error), 200, placeholder=" ...")
            raise ModelFolderError(
                f"{folder / name} is damaged, or not of this model ({type(error).__name__}: {why})"
            ) from error
        return cls(module, labels, config, prepared)

    @classmethod
    def from_hub(cls, repository: str, *, revision: str | None = None) -> "Tagger":
        """Download a model folder from the Hugging Face hub (``user/name``), then :meth:`load` it."""
        from huggingface_hub import snapshot_download

        return cls.load(snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))

    def push_to_hub(self, repository: str, *, private: bool = True) -> str:
        """Upload the model folder to the Hugging Face hub; returns the address of the commit."""
        from tempfile import TemporaryDirectory

        from huggingface_hub import HfApi

        with TemporaryDirectory() as folder:
            self.save(Path(folder) / "model")
            api = HfApi()
            api.create_repo(repository, private=private, exist_ok=True)
            return str(api.upload_folder(repo_id=repository, folder_path=Path(folder) / "model"))

    def save(self, folder: Path | str, *, card: str | None = None) -> None:
        """Write the model folder; a model folder that is there is replaced only when the new one is complete.

        Args:
            card: text of the model card.

        Raises:
            ModelFolderError: the folder holds something else.
        """
        folder = Path(folder)
        if folder.exists() and (foreign := sorted(p.name for p in folder.iterdir() if p.name not in FILES)):
            raise ModelFolderError(f"{folder} holds {foreign[0]!r}, which is no part of a model: give another folder")
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file({k: v.contiguous() for k, v in self.model.state_dict().items()}, part / "model.safetensors")
        (part / "config.json").write_text(json.dumps(self.config, indent=1) + "\n", encoding="utf-8")
        self.labels.save(part / "labels.json")
        (part / "README.md").write_text(card or model_card(self), encoding="utf-8")
        if folder.exists():
            old = folder.with_name(folder.name + ".old")
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
            part.rename(folder)
            shutil.rmtree(old)
        else:
            part.rename(folder)

    @torch.inference_mode()
    def predict(
        self,
        image: Path | str | bytes | Image.Image,
        known: Mapping[str, bool] | None = None,
        *,
        threshold: float = 0.5,
    ) -> Prediction:
        """Labels of one picture, given what is known of it.

        Args:
            image: path, encoded bytes or Pillow image.
            known: label name -> present or absent; labels not named are asked for.
            threshold: probability from which on a label counts as present.

        Raises:
            BrokenImageError: the picture cannot be read.
            UnknownLabelError: a name in ``known`` that the model does not have; the message suggests the nearest.
            ValueError: ``known`` contradicts an exclusive group.
        """
        return self.predict_all([image], known, threshold=threshold)[0]

    @torch.inference_mode()
    def predict_all(
        self,
        images: Sequence[Path | str | bytes | Image.Image],
        known: Mapping[str, bool] | None = None,
        *,
        threshold: float = 0.5,
    ) -> list[Prediction]:
        """:meth:`predict` for several pictures of which the same is known, in one batch."""
        known = dict(known or {})
        told = self.labels.states(known)
        pixels = torch.stack([self.preprocessing(open_image(image)) for image in images])
        features = self.model.encode_images(pixels.to(self.device))
        states = told.expand(len(images), -1).to(self.device)
        logits = self.model.predict_labels(features, states)
        found = probabilities(logits.float(), states, self.labels.exclusive).cpu()
        return [self._ranked(row, told, known, threshold) for row in found]

    def _ranked(self, row: Tensor, told: Int[Tensor, " L"], known: dict[str, bool], threshold: float) -> Prediction:
        hidden = (told == LabelState.UNKNOWN) & self.labels.targets
        order = [i for i in row.argsort(descending=True).tolist() if hidden[i]]
        groups = tuple(g.labels for g in self.labels.groups if g.exclusive)
        return Prediction({self.labels.names[i]: float(row[i]) for i in order}, known, threshold, groups)


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def build(config: Mapping[str, Any], num_labels: int) -> Method:
    """The module that a model folder's ``config.json`` describes, with random weights."""
    method = registry.find(methods, config["method"])
    known = {f.name for f in dataclasses.fields(method.Config)}
    if unknown := config["model"].keys() - known:
        raise ModelFolderError(f"config.json: method {config['method']} has no option {sorted(unknown)[0]!r}")
    return method.build(method.Config(**_tuples(config["model"])), num_labels)


def model_card(tagger: Tagger) -> str:
    """README.md of a model folder: what it is, how to use it."""
    labels = ", ".join(tagger.labels.names[:12]) + (", ..." if len(tagger.labels) > 12 else "")
    return f"""---
library_name: ctran
tags: [multi-label-classification, image-classification, ctran]
---
# {tagger.config["method"]} with {len(tagger.labels)} labels

Backbone {tagger.config["model"]["backbone"]}, input {tagger.preprocessing.size} px. Labels: {labels}.

```python
import ctran

tagger = ctran.load("path/of/this/folder")
prediction = tagger.predict("picture.png", known={{"{tagger.labels.names[0]}": True}})
print(prediction.top(5))
```

Made by ctran {__version__}. Metrics and the recipe stand in the run folder that this model comes from.
"""
