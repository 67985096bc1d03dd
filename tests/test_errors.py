import ast
from pathlib import Path

import ctran
from ctran.errors import UserError, UserTypeError, nearest, wrong_folder
from ctran.labels import UnknownLabelError
from ctran.model.pretrained import WeightsError

SOURCE = Path(ctran.__file__).parent
INTERNAL = {
    "data/loading.py": "images of a batch that holds cached features: only this package can ask for them",
    "constraints/closure.py": "it hands the labels of a circle to its caller",
    "model/backbone.py": "shapes that only this package can get wrong",
    "model/embeddings.py": "shapes that only this package can get wrong",
    "model/encoder.py": "shapes that only this package can get wrong",
    "methods/residual.py": "a training without the helper that the model's own fit makes",
    "model/method.py": "a method of another package that lacks a function",
    "methods/_state_free.py": "a method of another package that lacks a function",
    "training/checkpoint.py": "raised for the caller, which names the file and what is left",
    "export/graphs.py": "a method that does not prepare what it needs",
    "paper/published.py": "the shipped file of published figures, checked",
    "metrics/bootstrap.py": "shapes that only this package can get wrong",
    "metrics/sheet.py": "shapes that only this package can get wrong",
}
"""Files that raise a plain ValueError or TypeError: faults of the program, not of its input."""


def test_a_refusal_of_input_is_a_user_error_in_every_module():
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(call, ast.Call) and ast.unparse(call.func) in {"ValueError", "TypeError", "Exception"}:
                found.setdefault(path.relative_to(SOURCE).as_posix(), []).append(node.lineno)
    assert found.keys() >= INTERNAL.keys(), "a file of this list has moved, or raises none any more"
    assert not {name: lines for name, lines in found.items() if name not in INTERNAL}


def test_readable_errors_stay_what_they_were_for_code_that_catches_builtin_errors():
    assert issubclass(UserError, ValueError)
    assert issubclass(UserTypeError, TypeError)
    assert issubclass(UnknownLabelError, KeyError) and issubclass(UnknownLabelError, UserError)
    assert issubclass(WeightsError, RuntimeError) and issubclass(WeightsError, UserError)
    assert str(UnknownLabelError("unknown label 'x'")) == "unknown label 'x'"


def test_the_nearest_name_is_suggested_and_a_far_one_is_not():
    assert nearest("flga", ["flag", "toy"]) == "; did you mean 'flag'?"
    assert nearest("zebra", ["flag", "toy"]) == ""


def test_the_folder_that_was_meant_is_proposed(tmp_path):
    for name in ("mine", "other"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "recipe.yaml").touch()
    runs = tmp_path / "runs"

    def told(path):
        return wrong_folder(path, "run folder", ["recipe.yaml"])

    assert told(runs / "mien") == f"{runs}/mien: no such folder, expected a run folder; did you mean '{runs}/mine'?"
    assert told(tmp_path / "nowhere" / "x") == f"{tmp_path}/nowhere/x: no such folder, expected a run folder"
    assert told(runs).endswith(f"is not a run folder: recipe.yaml not found; name one that is in it: {runs}/mine, {runs}/other")
    assert told(tmp_path).endswith("recipe.yaml not found")
    assert told(runs / "mine" / "recipe.yaml").endswith("recipe.yaml is a file, expected a run folder; name its folder")
