"""Training, evaluation, serving and export parity on a CUDA device (``make test-gpu``)."""

import dataclasses
import io

import pytest
import torch
from safetensors.torch import load_file

import ctran
from ctran.analysis.calibrate import predict_shares
from ctran.data.sources import imagefolder
from ctran.export.pictures import Pictures
from ctran.export.write import write
from ctran.serving.api import create_app
from ctran.serving.gallery import Gallery
from ctran.serving.settings import Settings
from ctran.training.evaluation import evaluate_run
from ctran.training.fit import fit
from ctran.training.options import Evaluation
from ctran.training.recipe import read_recipe
from tests.conftest import TOY, draw_folder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: torch.cuda.is_available() is False"),
]

FLAGS = ["--training.accelerator", "gpu", "--source", "imagefolder", "--absent", "negative"]
FROZEN = ["--training.backbone_learning_rate", "0", "--training.feature_views", "2", "--training.augmentation", "crop"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("gpu") / "pictures")


@pytest.fixture(scope="module")
def recipe(root):
    return read_recipe(None, [*TOY, *FLAGS, "--root", str(root)])


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu") / "run"
    fit(recipe, folder)
    return folder


@pytest.fixture(scope="module")
def table(root):
    return imagefolder.build(imagefolder.Config(root, "negative"))["test"]


def test_the_same_recipe_and_seed_give_the_same_weights(recipe, run, tmp_path):
    fit(recipe, tmp_path / "again")
    one, other = (load_file(folder / "model" / "model.safetensors") for folder in (run, tmp_path / "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_dropout_follows_from_the_seed_of_the_recipe(recipe, run, tmp_path):
    fit(dataclasses.replace(recipe, seed=1), tmp_path / "other")
    one, other = (load_file(folder / "model" / "model.safetensors") for folder in (run, tmp_path / "other"))
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_image_tokens_are_stored_and_trained_on_in_every_precision(root, tmp_path, precision):
    fit(read_recipe(None, [*TOY, *FLAGS, *FROZEN, "--root", str(root), "--training.precision", precision]), tmp_path / "run")
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_the_gpu_predicts_and_evaluates_as_the_cpu_does(run, table):
    near, far = (ctran.load(run, device=name) for name in ("cpu", "cuda"))
    assert far.device == torch.device("cuda:0") == ctran.load(run).device
    options = Evaluation(known_share=(0.0, 0.5))
    (_, one), (_, other) = (predict_shares(t, table, [0.0, 0.5], 0, "test") for t in (near, far))
    for a, b in zip(one, other, strict=True):
        assert torch.allclose(a.logits, b.logits, atol=2e-2)  # convolutions of a GPU keep ten bits (TF32)
    assert evaluate_run(far, table, options).pictures == len(table)
    session = far.session(table.picture(0)).tell({far.labels.names[0]: True})
    assert session.ask(2) and session.what_if(far.labels.names[1], True) and session.attention(far.labels.names[0]).any()
    quick = far.fast().predict(table.picture(0)).probabilities
    assert quick == pytest.approx(far.predict(table.picture(0)).probabilities, abs=0.05)


def test_the_server_serves_from_the_gpu(run, table):
    from fastapi.testclient import TestClient

    file = io.BytesIO()
    table.picture(0).save(file, "PNG")
    with TestClient(create_app(ctran.load(run), Settings(hosts=("*",)), gallery=Gallery([]))) as client:
        made = client.post("/v1/predict", files={"images": ("a.png", file.getvalue(), "image/png")})
    assert made.status_code == 200, made.text


def test_an_export_is_compared_with_the_model_on_the_gpu(run, table, tmp_path):
    tagger = ctran.load(run, device="cuda")
    found = write(tagger, tmp_path / "onnx", "onnx", Pictures(table, tagger.preprocessing))
    assert found.logits < 1e-3 and tagger.device.type == "cuda"
    with pytest.raises(ValueError, match="run on the cpu alone"):
        ctran.load(tmp_path / "onnx", device="cuda")
