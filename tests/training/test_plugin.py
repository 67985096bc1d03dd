"""A method, a data source and a loss of another package: training, model folder, prediction, fine-tuning, server."""

import json
import os
import subprocess
import sys

import pytest
import torch
from fastapi.testclient import TestClient

import ctran
from ctran.cli.main import main
from ctran.errors import UserError
from ctran.folders.model_folder import ModelFolderError
from ctran.serving.api import create_app
from ctran.training.fit import fit
from ctran.training.pipeline import build_tables, prepare
from ctran.training.recipe import read_recipe, read_run
from tests.conftest import COLOURS, draw
from tests.plugins import PLUGIN, forget, place, place_project

SMALL = {"backbone": "test_resnet", "weights": "none", "image_size": 64}
FLAGS = [
    *("--method", "greatest_cell", "--source", "file_names", "--training.loss", "squared_hinge", "--loss.margin", "0.5"),
    *(word for key, value in SMALL.items() for word in (f"--model.{key}", str(value))),
    *("--training.epochs", "1", "--training.batch_size", "8", "--training.accelerator", "cpu", "--training.workers", "0"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Thirty pictures of squares, named after their colours."""
    folder, names = tmp_path_factory.mktemp("plugin") / "pictures", list(COLOURS)
    folder.mkdir()
    for number in range(30):
        colours = [name for place, name in enumerate(names) if number % 7 >> place & 1] or names[:1]
        draw(folder / f"{'+'.join(colours)}-{number:02}.jpg", colours, note=str(number))
    return folder


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Where the package of the three is installed while these tests run."""
    site = place_project(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        yield site
    forget(site)


@pytest.fixture(scope="module")
def run(toys, pictures, tmp_path_factory):
    """A training with a method, a source and a loss of the package."""
    folder = tmp_path_factory.mktemp("plugin") / "run"
    assert main(["train", *FLAGS, "--root", str(pictures), "--output", str(folder)]) == 0
    return folder


def test_a_run_records_the_package_of_what_it_uses(run):
    config = json.loads((run / "model/config.json").read_text())
    assert config["package"] == {"name": "ctran-toy", "version": "1.0"} and config["method"] == "greatest_cell"
    assert json.loads((run / "versions.json").read_text())["packages"] == {"ctran-toy": "1.0"}
    assert "pip install ctran ctran-toy" in (run / "model/README.md").read_text()
    recipe = read_run(run)
    assert recipe.source == "file_names" and recipe.training.loss == "squared_hinge" and recipe.loss.margin == 0.5


def test_its_model_is_loaded_saved_and_served(run, pictures, tmp_path):
    tagger = ctran.load(run, device="cpu")
    picture = next(pictures.iterdir())
    found = tagger.predict(picture, {"red": True})
    tagger.save(tmp_path / "copy")
    assert ctran.load(tmp_path / "copy", device="cpu").predict(picture, {"red": True}).probabilities == found.probabilities
    with TestClient(create_app(tagger), base_url="http://localhost") as client:
        image = client.post("/v1/images", content=picture.read_bytes()).json()["id"]
        served = client.post(f"/v1/images/{image}/predict", json={"known": {"red": True}}).json()["probabilities"]
    assert served == pytest.approx(found.probabilities, abs=1e-5)


def test_it_is_fine_tuned_on_other_labels(run, pictures):
    flags = ["--training.init_from", str(run / "model"), "--data.separator", "_"]  # the whole name is one label
    fine = prepare(read_recipe(None, [*FLAGS, *flags, "--root", str(pictures)])).tagger
    old = ctran.load(run, device="cpu")
    assert "red+green" in fine.labels.names and fine.config["package"] == old.config["package"]
    rows = [tagger.model.classifier.weight[tagger.labels.index_of["red"]] for tagger in (fine, old)]
    assert torch.equal(*rows)


def test_a_model_whose_package_is_not_installed_names_it(run, toys, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(toys)])
    with pytest.raises(ModelFolderError, match=r"'greatest_cell' is of package ctran-toy, .*: pip install ctran-toy \(.*1.0"):
        ctran.load(run, device="cpu")
    with pytest.raises(UserError, match=r"unknown method 'greatest_cell'.* that is not installed: pip install ctran-toy$"):
        read_run(run)
    monkeypatch.setattr(sys, "path", [str(place(tmp_path / "newer", "ctran-toy", "3.0", {}, {})), *sys.path])
    with pytest.raises(ModelFolderError, match=r"with package ctran-toy 1.0; ctran-toy 3.0 is installed, which has no"):
        ctran.load(run, device="cpu")
    points = {"ctran.methods": {"greatest_cell": "ctran.methods.linear"}}
    monkeypatch.setattr(sys, "path", [str(place(tmp_path / "other", "somebody", "5", points, {})), *sys.path])
    with pytest.raises(ModelFolderError, match=r"is of package ctran-toy 1\.0; the one that is installed here is of some"):
        ctran.load(run, device="cpu")


@pytest.mark.slow
def test_a_package_that_pip_installs_adds_all_three(pictures, tmp_path):
    site = tmp_path / "site"
    plain = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--disable-pip-version-check", "--quiet"]
    made = subprocess.run(
        [sys.executable, "-m", "pip", "install", *plain, "--target", str(site), str(PLUGIN)], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    run, picture = str(tmp_path / "run"), str(next(pictures.iterdir()))
    commands = [["train", *FLAGS, "--root", str(pictures), "--output", run], ["predict", run, picture], ["data"]]
    done = subprocess.run(
        [sys.executable, "-c", f"from ctran.cli.main import main\nfor each in {commands!r}: assert main(each) == 0"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("red", "file_names", "(package ctran-toy 1.0)"))


WATCHING = """
from ctran.losses.bce import BCE, Config
SUMMARY, SEEN = 'bce that remembers its arguments', []
class Watching(BCE):
    def forward(self, logits, truth, *, epoch=0, index=None):
        SEEN.append((epoch, index, truth))
        return super().forward(logits, truth, epoch=epoch, index=index)
def build(config):
    return Watching()
"""


def test_a_loss_gets_the_epoch_and_the_row_of_each_picture(toys, pictures, tmp_path, monkeypatch):
    points = {"ctran.losses": {"watching": "watching_loss"}}
    monkeypatch.syspath_prepend(place(tmp_path / "site", "watching", "1", points, {"watching_loss.py": WATCHING}))
    flags = ["--training.loss", "watching", "--training.epochs", "2", "--root", str(pictures)]
    kept = [*FLAGS[:4], *FLAGS[8:]]  # without the loss of the other package
    recipe = read_recipe(None, [*kept, *flags])
    fit(recipe, tmp_path / "run")
    truth = build_tables(recipe)["train"].truth.dense().long()
    seen = sys.modules["watching_loss"].SEEN
    forget(tmp_path)
    for epoch in (0, 1):
        rows = torch.cat([index for at, index, _ in seen if at == epoch])
        assert rows.sort().values.tolist() == list(range(len(truth)))
        assert torch.equal(torch.cat([given for at, _, given in seen if at == epoch]), truth[rows])
    assert {at for at, _, _ in seen} == {0, 1}
