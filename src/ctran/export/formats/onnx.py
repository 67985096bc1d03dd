"""ONNX, for ONNX Runtime and other readers; int8 as quantise-dequantise pairs."""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.export import ExportedProgram

from ctran.export.formats import FIRST
from ctran.folders.runtimes import METADATA, Arrays, require

FILES = ("{}.onnx",)
EXTRA = "onnx"
INT8 = True


def convert(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The ``ModelProto`` of a program; axes are called ``B`` (pictures) and ``S`` (rows of states)."""
    for library in ("onnx", "onnxscript"):
        require(library, EXTRA)
    logging.getLogger("onnxscript.optimizer").setLevel(logging.ERROR)  # it lists every operation that it leaves alone
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its steps
        exported = torch.onnx.export(program, dynamo=True, verbose=False, input_names=inputs, output_names=outputs)
    assert exported is not None
    proto = exported.model_proto
    axes: dict[str, str] = {}
    for port in (*proto.graph.input, *proto.graph.output):
        for axis, name in zip(port.type.tensor_type.shape.dim, "BS", strict=False):
            if axis.dim_param:
                axis.dim_param = axes.setdefault(axis.dim_param, name)
    del proto.graph.value_info[:]  # it has the axes' old names
    return proto


def quantise(model: Any, samples: Sequence[Arrays]) -> Any:
    """Static int8: convolutions and matrix products, weights by channel, ranges of activations from ``samples``."""
    onnx, tools = require("onnx", EXTRA), require("onnxruntime.quantization", EXTRA)
    shapes = require("onnxruntime.quantization.shape_inference", EXTRA)
    with TemporaryDirectory() as folder:
        plain, ready, done = (str(Path(folder) / f"{name}.onnx") for name in ("plain", "ready", "done"))
        onnx.save(model, plain)
        shapes.quant_pre_process(plain, ready, skip_symbolic_shape=True)
        tools.quantize_static(
            ready,
            done,
            _reader(tools, samples),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            nodes_to_exclude=_kept(onnx.load(ready)),
        )
        return onnx.load(done)


def _kept(model: Any) -> list[str]:
    """Names of the convolutions that stay in float32."""
    found = [node for node in model.graph.node if node.op_type == "Conv"]  # in the order in which they run
    groups = [next((a.i for a in node.attribute if a.name == "group"), 1) for node in found]
    return [node.name for number, node in enumerate(found) if number < FIRST or groups[number] > 1]


def _reader(tools: Any, samples: Sequence[Arrays]) -> Any:
    """Samples as the calibration of ONNX Runtime reads them."""

    class Reader(tools.CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[Arrays] = iter(samples)

        def get_next(self) -> Arrays | None:
            return next(self.left, None)

    return Reader()


def save(model: Any, folder: Path, name: str, metadata: str) -> None:
    """Write ``NAME.onnx``, one file."""
    onnx = require("onnx", EXTRA)
    onnx.helper.set_model_props(model, {METADATA: metadata})
    onnx.save(model, folder / f"{name}.onnx")
