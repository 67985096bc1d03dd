"""What is not imported: libraries that take seconds, where they are not needed."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.test_output import picture

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "timm", "lightning", "datasets", "matplotlib", "transformers", "numpy", "pyarrow", "PIL"}
HEAVY |= {"importlib.metadata"}  # a scan of the installed packages
HEAVY |= {"jsonargparse", "pandas", "scipy", "sklearn", "onnx", "sympy", "rich", "yaml", "msgspec", "huggingface_hub"}
NOT_FOR_A_PREDICTION = {"lightning", "datasets", "matplotlib", "transformers", "pyarrow", "jsonargparse", "pandas", "sympy"}
NOT_FOR_A_PREDICTION |= {"torch._dynamo", "torch._inductor", "torch.distributed.fsdp", "onnx", "onnxruntime", "openvino"}
NOT_FOR_A_PREDICTION |= {"tensorboard", "scipy", "sklearn", "fastapi", "triton", "torchvision.transforms.v2", "fsspec"}

LIGHT = """
import contextlib, io, sys
heavy = set(sys.argv[1].split(","))
def check(what):
    found = sorted(heavy & set(sys.modules))
    assert not found, f"{what} imports {found}"
import ctran
check("import ctran")
assert set(ctran.__all__) <= set(dir(ctran))
from ctran.cli.main import COMMANDS, main
for arguments in (["--version"], ["--help"], *([name, "--help"] for name in COMMANDS), ["predct"]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(arguments)
    check(" ".join(arguments))
"""

PREDICTION = """
import sys
from ctran.cli.main import main
assert main(["predict", *sys.argv[2:]]) == 0
found = sorted(set(sys.argv[1].split(",")) & set(sys.modules))
assert not found, f"a prediction imports {found}"
"""


def python(code: str, *arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    made = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True)
    assert made.returncode == 0, made.stderr.decode()


def test_nothing_heavy_is_imported_before_a_command_runs():
    python(LIGHT, ",".join(HEAVY))


def test_a_prediction_imports_what_it_needs(tmp_path):
    python(PREDICTION, ",".join(NOT_FOR_A_PREDICTION), str(ROOT / "models" / "openclipart"), picture(tmp_path, "a.png"))


def test_public_names_are_those_of_their_modules():
    import ctran
    from ctran.folders.exported import Exported, load
    from ctran.folders.tagger import Tagger
    from ctran.labels import LabelSpace

    assert (ctran.Exported, ctran.load, ctran.Tagger, ctran.LabelSpace) == (Exported, load, Tagger, LabelSpace)
    assert not hasattr(ctran, "no_such_name")
