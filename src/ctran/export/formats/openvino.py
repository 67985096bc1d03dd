"""OpenVINO: the fastest on CPUs, above all in int8."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from ctran.export.formats import FIRST
from ctran.folders.runtimes import METADATA, Arrays, require

FILES = ("{}.xml", "{}.bin")
EXTRA = "openvino"
INT8 = True


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
    nncf.set_log_level(logging.ERROR)  # it lists every operation that it leaves alone
    inputs = [port.any_name for port in model.inputs]
    data = nncf.Dataset([{name: sample[name] for name in inputs} for sample in samples])
    kind = None if "images" in inputs else nncf.ModelType.TRANSFORMER
    return nncf.quantize(
        model,
        data,
        subset_size=len(samples),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=kind,
        ignored_scope=nncf.IgnoredScope(names=_kept(model)),
    )


def _kept(model: Any) -> list[str]:
    """Names of the convolutions that stay in float32."""
    depth: dict[str, int] = {}  # longest path from an input; operations are not listed in this order
    for operation in model.get_ordered_ops():
        before = (depth[port.get_node().friendly_name] for port in operation.input_values())
        depth[operation.friendly_name] = 1 + max(before, default=0)
    kinds = {o.friendly_name: o.get_type_name() for o in model.get_ordered_ops()}
    found = sorted((n for n, kind in kinds.items() if kind in ("Convolution", "GroupConvolution")), key=depth.__getitem__)
    return [name for number, name in enumerate(found) if number < FIRST or kinds[name] == "GroupConvolution"]


def save(model: Any, folder: Path, name: str, metadata: str) -> None:
    """Write ``NAME.xml`` and ``NAME.bin``; weights as they are, not as float16."""
    model.set_rt_info(metadata, [METADATA])
    require("openvino", EXTRA).save_model(model, folder / f"{name}.xml", compress_to_fp16=False)
