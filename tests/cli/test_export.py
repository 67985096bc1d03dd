"""``ctran export``, and ``ctran predict`` on what it wrote."""

import json
import shutil

import pytest

from ctran.cli import export as command
from ctran.cli.main import main
from ctran.export import formats
from ctran.labels import LabelSpace
from ctran.registry import names
from ctran.training.pipeline import build_tables, build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import draw_folder, stirred
from tests.export.models import TOY_LINEAR, build
from tests.networks import SMALLEST

pytestmark = pytest.mark.filterwarnings("ignore:::onnx.*", "ignore:::nncf.*", "ignore:::torch.*", "ignore:::copyreg")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of the method that is the fastest to export, with random weights, and its pictures."""
    root = tmp_path_factory.mktemp("export")
    pictures, folder = draw_folder(root / "pictures"), root / "run"
    source = ["--source", "imagefolder", "--root", str(pictures), "--absent", "negative"]
    recipe = read_recipe(None, [*TOY_LINEAR, *SMALLEST, "--method", "linear", *source])
    folder.mkdir()
    recipe.save(folder / "recipe.yaml")
    stirred(build_tagger(recipe, build_tables(recipe)["train"].labels)).save(folder / "model")
    return folder, pictures


def answers(folder, pictures, capsys):
    chosen = [str(pictures / f"{n:02}.png") for n in range(3)]
    assert main(["predict", str(folder), *chosen, "--known", "red=yes", "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_exported_run_predicts_what_the_run_predicts(run, capsys):
    folder, pictures = run
    assert main(["export", str(folder), "--format", "torch"]) == 0
    said = capsys.readouterr().out
    assert "3 states each: logits differ by at most" in said and said.endswith(f"exported folder: {folder / 'torch'}\n")
    for ours, theirs in zip(answers(folder, pictures, capsys), answers(folder / "torch", pictures, capsys), strict=True):
        assert theirs.pop("probabilities") == pytest.approx(ours.pop("probabilities"), abs=1e-4)
        assert theirs == ours


def test_a_model_folder_is_exported_beside_itself_with_the_pictures_named(run, tmp_path, capsys):
    model = tmp_path / "mine"
    build("linear", LabelSpace(("cat", "dog"))).save(model)  # the fastest to export
    assert main(["export", str(model), "--format", "torch"]) == 1
    assert "is a model without a recipe: name pictures to compare on with --pictures" in capsys.readouterr().err
    assert main(["export", str(model), "--format", "torch", "--pictures", str(run[1])]) == 0
    assert (tmp_path / "mine-torch" / "predict.pt2").is_file()
    assert main(["predict", str(tmp_path / "mine-torch"), "x.png", "--fast"]) == 1
    assert "is exported, so how fast it is was settled then" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format", "torch", "--int8"], "int8 is made for onnx and openvino; torch stays in float32"),
        (["--format", "onnx", "--calibrate", "5"], "--calibrate is for --int8"),
        (["--format", "torch", "--pictures", "/no/where"], "--pictures: /no/where not found"),
        (["--format", "torch", "--output", "{pictures}"], "which is not part of a model: give another folder"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(run, flags, message, capsys):
    assert main(["export", str(run[0]), *(f.format(pictures=run[1]) for f in flags)]) == 1
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1


def test_pictures_that_are_gone_are_reported_as_replaceable(run, tmp_path, capsys):
    shutil.copytree(run[0], tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(str(run[1]), str(tmp_path / "gone")))
    assert main(["export", str(tmp_path / "run"), "--format", "torch"]) == 1
    err = capsys.readouterr().err
    assert "the run's pictures cannot be read" in err and "name others with --pictures" in err


def test_the_command_offers_every_format():
    assert sorted(command.FORMATS) == names(formats)
