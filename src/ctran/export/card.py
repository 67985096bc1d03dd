"""README.md of an exported folder: what it is, and how to use it without ctran."""

from ctran.export.parity import Parity
from ctran.folders.exported import About
from ctran.images.transforms import Preprocessing
from ctran.inference.predictor import Predictor

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
ASK = {
    "onnx": """memory = dict(zip(about["memory"], encode.run(None, {"images": images})))
logits = predict.run(None, {"states": states, **memory})[0]
""",
    "openvino": """memory = dict(zip(about["memory"], encode({"images": images}).values()))
logits = predict({"states": states, **memory})[0]
""",
    "torch": """memory = encode(torch.from_numpy(images))
logits = predict(torch.from_numpy(states), *memory).numpy()
""",
}


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


def card(form: str, tagger: Predictor, about: About, parity: Parity) -> str:
    """Markdown."""
    prepared, count = tagger.preprocessing, len(tagger.labels)
    kind = "float32" if about.int8 is None else "int8"
    groups = [g.name for g in tagger.labels.groups if g.exclusive]
    softmax = f"; a softmax within each exclusive group ({', '.join(groups)})" if groups else ""
    return f"""# {about.method} with {count} labels: {form}, {kind}

Made by ctran {about.ctran}. Compared with the model: {parity}.

- `encode`: `images [B, 3, {prepared.size}, {prepared.size}]` float32 -> {", ".join(f"`{name}`" for name in about.memory)}
- `predict`: `states [B, S, {count}]` int64 and these -> `logits [B, S, {count}]`, for `S` questions about each picture

States are 0 unknown, 1 known absent, 2 known present. Probabilities are `1 / (1 + exp(-logits))`{softmax}.

Pictures are RGB (turned as EXIF says, transparency on white). {fitting(prepared)} Then, from values of 0 to 1, the mean
{prepared.mean} is taken and the rest divided by {prepared.std}, channel by channel. Each file says all
this as JSON in its metadata, key `ctran`; `checksums.json` says which files belong together.

```python
import json

import numpy as np
{OPEN[form]}
images = np.zeros((1, 3, {prepared.size}, {prepared.size}), np.float32)  # in place of a picture, prepared as above
states = np.zeros((1, 1, {count}), np.int64)
states[0, 0, about["labels"]["names"].index({tagger.labels.names[0]!r})] = 2  # known to be present
{ASK[form]}for name, logit in sorted(zip(about["labels"]["names"], logits[0, 0]), key=lambda pair: -pair[1])[:5]:
    print(name, 1 / (1 + np.exp(-logit)))
```

With ctran: `ctran.load("path/of/this/folder").predict("picture.png")`, or `ctran predict path/of/this/folder picture.png`.
"""
