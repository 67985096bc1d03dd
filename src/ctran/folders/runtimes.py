"""Run an exported graph: ONNX Runtime, OpenVINO or PyTorch behind one call on arrays."""

import json
import re
import sys
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ctran.folders.about import description
from ctran.folders.model_folder import ModelFolderError

METADATA = "ctran"
"""Key of a graph's description (JSON) in its file."""

PLAIN = re.compile(
    r"models/[^/]+\.json|data/(weights|constants)/((weight|tensor)_\d+|[^/]+_config\.json)"
    r"|extra/[^/]+|archive_format|archive_version|byteorder|version|\.data/[^/]+"
)
"""Entries of a torch archive that are JSON, text or raw numbers."""

Arrays = dict[str, np.ndarray]


class MissingRuntimeError(ModelFolderError):
    """A library that this needs is not installed; the message has the command to install it."""


@dataclass(frozen=True)
class Graph:
    """One file, ready to run.

    Args:
        run: inputs by name -> outputs in the graph's order. Several threads may call it.
        metadata: the description in the file.
    """

    run: Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]
    metadata: str


def require(module: str, extra: str) -> Any:
    """Import a library of one of the package's extras.

    OpenVINO and NNCF report their use to their makers, each report from a process of its own, if they find the package
    ``openvino_telemetry``. Here they do not, unless the program has imported it before.

    Raises:
        MissingRuntimeError: not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType] # importing it is an ImportError
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == package
        what = "is not installed, which this needs" if missing else f"does not load, which this needs ({error})"
        raise MissingRuntimeError(f'{package} {what}: pip install "ctran[{extra}]"') from error


def _read_onnx(path: Path) -> Graph:
    """An ONNX file in ONNX Runtime, on the CPU."""
    session = require("onnxruntime", "onnx").InferenceSession(path, providers=["CPUExecutionProvider"])
    wanted = [port.name for port in session.get_inputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return session.run(None, {name: inputs[name] for name in wanted})

    return Graph(run, session.get_modelmeta().custom_metadata_map.get(METADATA, ""))


def _read_openvino(path: Path) -> Graph:
    """An OpenVINO file, compiled for the CPU and for low latency, in float32 where it is not int8.

    On CPUs with bfloat16 OpenVINO would use that by default: about twice as fast, logits differ in the third digit.
    """
    core = require("openvino", "openvino").Core()
    model = core.read_model(path)
    metadata = model.get_rt_info([METADATA]).astype(str) if model.has_rt_info([METADATA]) else ""
    compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    wanted = [port.any_name for port in compiled.inputs]

    own = threading.local()  # a request serves one thread at a time, and takes milliseconds to make

    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        outputs = own.request.infer({name: np.ascontiguousarray(inputs[name]) for name in wanted}, share_inputs=True)
        return [outputs[port] for port in compiled.outputs]  # copies

    return Graph(run, metadata)


def _read_torch(path: Path) -> Graph:
    """A ``torch.export`` program, run by PyTorch.

    Raises:
        ModelFolderError: the file holds pickled objects, which are not loaded.
    """
    import torch

    refuse_pickle(path)
    extra = {METADATA: ""}
    program = torch.export.load(path, extra_files=extra)
    module = program.module()
    about = description(extra[METADATA])
    wanted = ["images"] if about["graph"] == "encode" else ["states", *about["image_cache"]]

    @torch.inference_mode()
    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        outputs = module(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in wanted))
        return [tensor.numpy() for tensor in ((outputs,) if isinstance(outputs, torch.Tensor) else outputs)]

    return Graph(run, extra[METADATA])


def refuse_pickle(path: Path) -> None:
    """Only JSON and raw numbers may be in a program's archive (PyTorch 2.8 and later); the rest might be unpickled."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            inner = entry.filename.partition("/")[2]
            good = PLAIN.fullmatch(inner) is not None or (inner.startswith("data/sample_inputs/") and not entry.file_size)
            if good and inner.endswith("_config.json"):
                payloads = json.loads(archive.read(entry))["config"].values()
                good = not any(payload["use_pickle"] for payload in payloads)
            if not good:
                raise ModelFolderError(f"{path} holds pickled objects ({inner}), which ctran neither writes nor loads")


READERS: Mapping[str, tuple[str, Callable[[Path], Graph]]] = {
    "onnx": (".onnx", _read_onnx),
    "openvino": (".xml", _read_openvino),
    "torch": (".pt2", _read_torch),
}
"""Format -> extension of its files, and their reader."""
