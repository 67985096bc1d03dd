"""Exported models: what they cost in accuracy, and what they save in time."""

import statistics
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.harness import Options, interleave, ratios, say, spread, verdict
from benchmarks.models import Literal, paper_model
from benchmarks.studies import DEMO, scores
from ctran.export.pictures import Pictures
from ctran.export.write import write
from ctran.folders.exported import Exported
from ctran.folders.tagger import Tagger
from ctran.images.transforms import Preprocessing
from ctran.labels import LabelSpace
from ctran.model import CTran, Method
from ctran.training.pipeline import build_tables
from ctran.training.recipe import read_run

TITLE = "Exported models"
TARGET = (
    "int8 on the processor: images to logits of the paper's ResNet-101 at 576 px at least 4 x the literal float32 model (5 x "
    "hoped for); mAP of the demo's model within 0.5 of float32 at every share of known labels, calibrated on val."
)
KINDS = (("onnx", False), ("openvino", False), ("torch", False), ("onnx", True), ("openvino", True))
"""Format, and whether in int8."""
SHARES = (0.0, 0.25, 0.5, 0.75)
LEAST, APART = 4.0, 0.5
CALIBRATE = 8
"""Pictures of noise that the paper's model, whose weights are random, is calibrated on: time does not depend on the ranges."""


def title(form: str, int8: bool) -> str:
    """What a row is called."""
    return f"{form}, {'int8' if int8 else 'float32'}"


def halves(model: Method, images: Tensor, states: Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    """Calls of the slow half and of the fast one."""
    features = model.prepare(model.encode_images(images))
    return lambda: model.prepare(model.encode_images(images)), lambda: model.predict_labels(features, states)


def demo(run: Path, repeats: int, folder: Path) -> dict[str, Any] | None:
    """The demo's model in each format: difference from the model, mAP on ``test``, seconds of both halves for one picture."""
    if not (run / "finished.json").exists():
        say(f"  {run} is not there: make demo trains it, then exported models are compared")
        return None
    tagger, tables = Tagger.load(run), build_tables(read_run(run))
    models: dict[str, Method] = {"PyTorch": tagger.model}
    parity: dict[str, Any] = {}
    for form, int8 in KINDS:
        name = title(form, int8)
        found = write(tagger, folder / name, form, Pictures(tables["val"], tagger.preprocessing), int8=int8)
        parity[name] = {"logits": found.logits, "changed": found.changed, "pictures": found.pictures}
        models[name] = Exported.load(folder / name).model
        say(f"  {name}: {found}")
    image = Pictures(tables["test"], tagger.preprocessing).batch([0])
    states = torch.zeros(1, len(tagger.labels), dtype=torch.long)
    calls = {name: halves(model, image, states) for name, model in models.items()}
    times = {
        half: interleave({name: both[number] for name, both in calls.items()}, 10 * repeats)
        for number, half in enumerate(("encode", "predict"))
    }
    found_map = {}
    for name, model in models.items():
        found_map[name] = scores(model, tagger, tables["test"], SHARES)
        say(f"  {name}: mAP {found_map[name]}")
    return {"pictures": len(tables["test"]), "parity": parity, "times": times, "mAP": found_map}


def noise(folder: Path, size: int) -> list[Path]:
    """Pictures of noise on disk."""
    paths = [folder / f"{number}.png" for number in range(CALIBRATE)]
    for path in paths:
        Image.effect_noise((size, size), 80).convert("RGB").save(path)
    return paths


def exported(model: CTran, size: int, folder: Path, form: str, *, int8: bool) -> Method:
    """A model with random weights as an exported folder, loaded again."""
    prepared = Preprocessing(size, "squash")
    labels = LabelSpace(tuple(f"label {i}" for i in range(len(model.classifier.bias))))
    config = {"method": "ctran", "model": {"backbone": model.backbone.name}}
    pictures = Pictures(noise(folder, size), prepared)
    write(Tagger(model, labels, config, prepared), folder / "exported", form, pictures, int8=int8, calibrate=CALIBRATE)
    return Exported.load(folder / "exported").model


def paper(options: Options, folder: Path) -> dict[str, Any]:
    """Images to logits of the paper's model, batches of two, by the literal model and by OpenVINO."""
    num_labels, size = (5, 64) if options.tiny else (80, 576)
    model = paper_model(num_labels=num_labels, tiny=options.tiny)
    images, states = torch.randn(2, 3, size, size), torch.randint(0, 3, (2, num_labels))
    literal = Literal(model).eval()
    calls: dict[str, Callable[[], object]] = {"literal": lambda: literal(images, states)}
    for form, int8 in (("openvino", False), ("openvino", True)):
        made = exported(model, size, folder, form, int8=int8)
        calls[title(form, int8)] = lambda made=made: made(images, states)
    return {"batch": len(images), "size": size, "times": interleave(calls, options.repeats)}


def run(options: Options) -> dict[str, Any]:
    with TemporaryDirectory() as folder, torch.inference_mode():
        found = {"paper": paper(options, Path(folder))}
        return found | {"demo": None if options.tiny else demo(DEMO, options.repeats, Path(folder) / "demo")}


def table(result: dict[str, Any]) -> str:
    paper, lines = result["paper"], ["| the paper's model | seconds | times as fast | target |", "|---|---|---|---|"]
    for name, own in paper["times"].items():
        gain = ratios(paper["times"]["literal"], own)
        goal = verdict(statistics.median(gain), least=LEAST, unit=" x") if "int8" in name else ""
        lines.append(f"| {name} | {spread(own)} | {spread(gain)} | {goal} |")
    lines += ["", f"{paper['size']} px, batches of {paper['batch']}, random weights.", ""]
    return "\n".join(lines + demo_lines(result["demo"]))


def demo_lines(found: dict[str, Any] | None) -> list[str]:
    """The demo's model as a table."""
    if found is None:
        return ["The demo's model was not there (`make demo`, then again)."]
    shares = " | ".join(f"mAP, {100 * share:g} % known" for share in SHARES)
    lines = [
        f"| the demo's model | encode, ms | predict, ms | {shares} | target | logits differ by | decisions changed |",
        "|" + "---|" * (6 + len(SHARES)),
    ]
    exact = np.array(found["mAP"]["PyTorch"])
    for name, values in found["mAP"].items():
        encode, ask = (spread([1e3 * t for t in found["times"][half][name]]) for half in ("encode", "predict"))
        apart = float(np.abs(np.array(values) - exact).max())
        goal = verdict(apart, most=APART, unit=" points") if "int8" in name else ""
        off = found["parity"].get(name)
        cells = (f"{off['logits']:.2g}", f"{100 * off['changed']:.2g} %") if off else ("", "")
        row = (name, encode, ask, *(f"{score:.2f}" for score in values), goal, *cells)
        lines.append("| " + " | ".join(row) + " |")
    return [*lines, "", f"One picture; mAP on {found['pictures']:,} test pictures; compared on pictures of val."]
