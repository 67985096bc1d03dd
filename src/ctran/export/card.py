"""README.md of an exported folder: what it is, and how to use it without ctran."""

from collections.abc import Iterable

from ctran.constraints.calibration import Calibration
from ctran.export.parity import Parity
from ctran.folders.about import About
from ctran.images.transforms import Preprocessing
from ctran.inference.predictor import Predictor
from ctran.labels import LabelSpace

OPEN = {
    "onnx": """import onnxruntime

encode, predict = (onnxruntime.InferenceSession(f"{name}.onnx") for name in ("encode", "predict"))
about = json.loads(encode.get_modelmeta().custom_metadata_map["ctran"])
""",
    "openvino": """import openvino

core = openvino.Core()
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}  # without, bfloat16 where the processor has it: faster, less exact
encode, predict = (core.compile_model(f"{name}.xml", "CPU", EXACT) for name in ("encode", "predict"))
about = json.loads(core.read_model("encode.xml").get_rt_info(["ctran"]).astype(str))
""",
    "torch": """import torch

extra = {"ctran": ""}
encode, predict = (torch.export.load(f"{name}.pt2", extra_files=extra).module() for name in ("encode", "predict"))
about = json.loads(extra["ctran"])
""",
}
_ASK = {
    "onnx": """image_cache = dict(zip(about["image_cache"], encode.run(None, {"images": images})))
logits = predict.run(None, {"states": states, **image_cache})[0]
""",
    "openvino": """image_cache = dict(zip(about["image_cache"], encode({"images": images}).values()))
logits = predict({"states": states, **image_cache})[0]
""",
    "torch": """image_cache = encode(torch.from_numpy(images))
logits = predict(torch.from_numpy(states), *image_cache).numpy()
""",
}


SHOWN = 12
"""Labels, thresholds or implications that a sentence lists; all are in the metadata."""


def fitting(prepared: Preprocessing) -> str:
    """How a picture becomes square, in words."""
    whole, size = round(prepared.size / prepared.centre), prepared.size
    how = f"antialiased, {prepared.resample}"
    first = {
        "pad": f"Each is resized ({how}) until its longer side has {whole} px, and laid in the middle of a white square.",
        "squash": f"Each is resized ({how}) to {whole} x {whole} px, whatever its shape.",
        "crop": f"The largest square in the middle of each is resized ({how}) to {whole} px.",
        "cut": f"Of each the middle {size} x {size} px are taken as they are, black beyond its edges.",
    }[prepared.fit]
    return first if whole == size or prepared.fit == "cut" else f"{first} Of that the middle {size} x {size} px are taken."


def decoding(labels: LabelSpace, calibration: Calibration | None) -> str:
    """The steps from logits to probabilities and labels, as a numbered list: those that this model needs, with its figures."""
    groups = [group for group in labels.groups if group.exclusive]
    implied = few(f"{child} => {parent}" for child, parent in labels.implications)
    steps = list[str]()
    if calibration is not None and set(calibration.temperatures) != {1.0}:
        pairs = zip(calibration.known_shares, calibration.temperatures, strict=True)
        table = ", ".join(f"{temperature:.4g} at {share:.4g}" for share, temperature in pairs)
        steps.append(
            f"Divide the logits by the temperature of the share of labels that are given: {table}; linear between these."
        )
    if implied:
        steps.append(
            "Before `predict`, complete the states: a present label makes the labels that it implies present, an absent label "
            f"makes those that imply it absent. Implications: {implied}."
        )
    if groups:
        listed = "; ".join(f"{group.name}: {few(group.labels)}" for group in groups)
        steps.append(
            "Exclusive groups have exactly one present label: in the states a present label makes the others absent, and "
            f"the last label that is not absent is present. {listed}."
        )
    others = " of the other labels" if groups else ""
    steps.append(f"Probabilities{others} are `1 / (1 + exp(-logits))`, and 1 or 0 for known labels.")
    if groups:
        steps.append(
            "Probabilities of an exclusive group are a softmax over those of its labels that are not absent in the states."
        )
    if implied:
        steps.append(
            "A label is at least as probable as each label that implies it, and as the sum of those that are in one exclusive "
            "group."
        )
    own = {} if calibration is None else calibration.thresholds
    fitted = f"; instead from: {few(f'{name} {threshold:.4g}' for name, threshold in own.items())}" if own else ""
    steps.append(f"A label is present from a probability of 0.5 on{fitted}.")
    if groups:
        steps[-1] += " Of an exclusive group the most probable label is present."
    if implied:
        steps[-1] += " What a present label implies is present too."
    if labels.extra:
        steps.append(f"Extra labels are only given, never predicted; ignore their logits: {few(labels.extra)}.")
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))


def few(texts: Iterable[str]) -> str:
    """The first texts, and how many more the metadata have."""
    found = list(texts)
    return ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more (in the metadata)" if len(found) > SHOWN else "")


def card(form: str, tagger: Predictor, about: About, parity: Parity) -> str:
    """Markdown."""
    prepared, count = tagger.preprocessing, len(tagger.labels)
    kind = "float32" if about.int8 is None else "int8"
    return f"""# {about.method} with {count} labels: {form}, {kind}

Made by ctran {about.ctran}. Compared with the model: {parity}.

- `encode`: `images [B, 3, {prepared.size}, {prepared.size}]` float32 -> {", ".join(f"`{name}`" for name in about.image_cache)}
- `predict`: `states [B, S, {count}]` int64 and these -> `logits [B, S, {count}]`, for `S` rows of states of each picture

States are 0 unknown, 1 known to be absent, 2 known to be present.

Pictures are RGB (turned as EXIF says, transparency on white). {fitting(prepared)} Then, from values of 0 to 1, the mean
{prepared.mean} is taken and the rest divided by {prepared.std}, channel by channel. Each file has all
this as JSON in its metadata, key `ctran`; `checksums.json` lists the files that belong together.

## From logits to probabilities and labels

{decoding(tagger.labels, tagger.calibration)}

## Example without ctran

```python
import json

import numpy as np
{OPEN[form]}
images = np.zeros((1, 3, {prepared.size}, {prepared.size}), np.float32)  # in place of a picture, prepared as above
states = np.zeros((1, 1, {count}), np.int64)
states[0, 0, about["labels"]["names"].index({tagger.labels.names[0]!r})] = 2  # known to be present
{_ASK[form]}for name, logit in sorted(zip(about["labels"]["names"], logits[0, 0]), key=lambda pair: -pair[1])[:5]:
    print(name, 1 / (1 + np.exp(-logit)))
```

It prints sigmoids of the logits, the first step of those above. With ctran all steps are done:
`ctran.load("path/of/this/folder").predict("picture.png")`, or `ctran predict path/of/this/folder picture.png`.
"""
