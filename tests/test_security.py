"""What ``SECURITY.md`` promises of files from other people: nothing in them is run."""

import ast
from pathlib import Path

import pytest
import yaml

import ctran
from ctran.training.yaml_text import _Loader

SOURCE = Path(ctran.__file__).parent
NEEDED = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
"""Calls that run code in a file unless an argument forbids it."""
NEVER = ("eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads", "yaml.unsafe_load")


def dotted(node):
    """``torch.load`` of an expression that is a plain name; of any other its last part."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(code):
    """Lines of calls that would run what a file holds."""
    found = []
    for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
        name = dotted(call.func)
        given = {each.arg: each.value.value for each in call.keywords if isinstance(each.value, ast.Constant)}
        key, value = NEEDED.get(name, (None, None))
        runs = name in NEVER or given.get("shell") or given.get("trust_remote_code")
        other_yaml = name == "yaml.load" and dotted(call.args[1]) not in ("_Loader", "yaml.BaseLoader")  # which make text
        if runs or other_yaml or (key is not None and given.get(key) is not value):
            found.append(call.lineno)
    return found


@pytest.mark.parametrize(
    "code",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "np.load(path)",
        "pickle.load(file)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
        "load_dataset(name, trust_remote_code=True)",
        "yaml.load(text, yaml.Loader)",
    ],
)
def test_calls_that_run_a_file_are_found(code):
    assert faults(code)


def test_no_module_runs_what_a_file_holds():
    found = {str(path.relative_to(SOURCE)): wrong for path in SOURCE.rglob("*.py") if (wrong := faults(path.read_text()))}
    assert found == {}
    assert issubclass(_Loader, yaml.SafeLoader)
