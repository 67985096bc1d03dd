"""OpenVINO: the fastest on processors, above all in int8."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from ctran.inference.runtimes import METADATA, Arrays, require

FILES = ("{}.xml", "{}.bin")
EXTRA = "openvino"


def convert(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The ``openvino.Model`` of a program."""
    model = require("openvino", EXTRA).convert_model(program)
    for ports, names in ((model.inputs, inputs), (model.outputs, outputs)):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    return model


def quantise(model: Any, samples: Sequence[Arrays]) -> Any:
    """Static int8 by NNCF: symmetric weights by channel, ranges of activations from ``samples``, biases corrected."""
    nncf = require("nncf", EXTRA)
    inputs = [port.any_name for port in model.inputs]
    data = nncf.Dataset([{name: sample[name] for name in inputs} for sample in samples])
    kind = None if "images" in inputs else nncf.ModelType.TRANSFORMER
    preset = nncf.QuantizationPreset.MIXED
    return nncf.quantize(model, data, subset_size=len(samples), preset=preset, model_type=kind)


def save(model: Any, folder: Path, name: str, metadata: str) -> None:
    """Write ``NAME.xml`` and ``NAME.bin``; weights as they are, not as float16."""
    model.set_rt_info(metadata, [METADATA])
    require("openvino", EXTRA).save_model(model, folder / f"{name}.xml", compress_to_fp16=False)
