"""Write an exported folder: convert, quantise if requested, compare, and only then put it in its place."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ctran import registry
from ctran.errors import UserError
from ctran.export import formats
from ctran.export.card import card
from ctran.export.graphs import Programs, image_cache_of, port_of, programs
from ctran.export.parity import Parity, likely_states, measure
from ctran.export.pictures import Pictures
from ctran.folders.about import About
from ctran.folders.exported import CHECKSUMS, Exported, digests
from ctran.folders.model_folder import refuse_foreign, replacing
from ctran.folders.runtimes import Arrays
from ctran.folders.tagger import Tagger

SAME = 1e-3
"""Largest difference of logits that float32 formats may have."""
_COMPARED = 24
"""Pictures that are compared."""
_QUESTIONS = 64
"""Pictures on which the ``predict`` graph is calibrated; each may take megabytes."""


class ParityError(UserError):
    """An exported model whose logits differ from the model's."""


@dataclass(frozen=True)
class Samples:
    """What int8 graphs are calibrated on: inputs of each graph."""

    encode: list[Arrays]
    predict: list[Arrays]


def files_of(form: str) -> set[str]:
    """Names of all files in an exported folder."""
    module = registry.find(formats, form)
    return {name.format(graph) for graph in ("encode", "predict") for name in module.FILES} | {"README.md", CHECKSUMS}


def write(
    tagger: Tagger,
    folder: Path,
    form: str,
    pictures: Pictures,
    *,
    int8: bool = False,
    calibrate: int = 300,
    traced: Programs | None = None,
) -> Parity:
    """Export a model and compare the result with it on real pictures.

    Args:
        folder: to write; an exported folder of the same format is replaced.
        form: name of a file in :mod:`ctran.export.formats`.
        pictures: to compare and calibrate on.
        int8: quantise both graphs.
        calibrate: at most so many pictures to calibrate int8 on.
        traced: the programs of the model where they are there already, for an export in several formats; made without them.

    Raises:
        ValueError: the format has no int8.
        ParityError: float32 logits differ by more than :data:`SAME`, or int8 ones are not finite; nothing is kept.
        ModelFolderError: the folder holds something else, or a library is missing.
    """
    module, own = registry.find(formats, form), files_of(form)
    if int8 and not module.INT8:
        can = [name for name in registry.names(formats) if registry.find(formats, name).INT8]
        raise UserError(f"int8 is made for {' and '.join(can)}; {form} stays in float32")
    refuse_foreign(folder, own)  # before the work, not after it
    traced = traced or programs(tagger)
    graphs = {name: module.convert(getattr(traced, name), *traced.ports(name)) for name in ("encode", "predict")}
    about = _about(tagger, traced)
    if int8:
        samples = _samples(tagger, pictures, calibrate)
        graphs = {name: module.quantise(graph, getattr(samples, name)) for name, graph in graphs.items()}
        about = replace(about, int8={"encode": len(samples.encode), "predict": len(samples.predict)})
    with replacing(folder, own) as part:
        _save(module, graphs, about, part)
        found = measure(tagger, Exported.load(part), pictures, _COMPARED)
        most = sys.float_info.max if int8 else SAME
        if not found.logits <= most:
            raise ParityError(
                f"the logits of the exported model differ from those of the model ({found}; expected at most {most:g})"
            )
        _save(module, graphs, replace(about, parity=asdict(found)), part)
        (part / "README.md").write_text(card(form, tagger, about, found), encoding="utf-8")
    return found


def _about(tagger: Tagger, traced: Programs) -> About:
    return About(
        "",
        traced.image_cache,
        tagger.labels.as_dict(),
        asdict(tagger.preprocessing),
        tagger.config["method"],
        tagger.config["model"],
        calibration=None if tagger.calibration is None else tagger.calibration.as_dict(),
    )


def _save(module: Any, graphs: Mapping[str, Any], about: About, part: Path) -> None:
    for name, graph in graphs.items():
        module.save(graph, part, name, json.dumps(asdict(replace(about, graph=name)), ensure_ascii=False))
    names = [name.format(graph) for name in module.FILES for graph in graphs]
    (part / CHECKSUMS).write_text(json.dumps(digests(part, names), indent=1) + "\n", encoding="utf-8")


@torch.inference_mode()
def _samples(tagger: Tagger, pictures: Pictures, count: int) -> Samples:
    """One picture, and one row of states for it, at a time."""
    chosen = pictures.some(count)
    question_rows = set(chosen[:: -(-len(chosen) // _QUESTIONS)])
    encode, predict = list[Arrays](), list[Arrays]()
    for number, index in enumerate(chosen):
        image = pictures.batch([index])
        encode.append({"images": image.numpy()})
        if index in question_rows:
            features = tagger.model.prepare(tagger.model.encode_images(image.to(tagger.device)))
            cache = {port_of(name): tensor.cpu().numpy() for name, tensor in image_cache_of(features).items()}
            states = likely_states(tagger, features, seed=number)[:, [len(predict) % 3]]
            predict.append({"states": states.numpy(), **cache})
    return Samples(encode, predict)
