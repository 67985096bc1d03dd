"""``ctran convert`` as a user meets it. The oracle of the numbers is in tests/paper/test_checkpoints.py."""

import json
import shutil

import pytest
import torch

import ctran
from ctran.cli.main import main
from ctran.paper.released_models import CUB
from tests.model.released_code import assert_same_logits, flat, logged, released

NAMES = ("cat", "dog", "flag", "map", "ship")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Model folders are 200 MB and more, so they do not outlive these tests."""
    folder = tmp_path_factory.mktemp("convert")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def coco(folder):
    """A file as the released code saves it on several GPUs: the model that it is of, and where it is."""
    oracle = released("coco")
    torch.save(logged({f"module.{name}": t for name, t in oracle.state_dict().items()}), folder / "best_model.pt")
    return oracle, folder / "best_model.pt"


@pytest.fixture(scope="module")
def zeros(folder):
    """A file of the right names and shapes, all zero, of two labels."""
    torch.save({"state_dict": flat("coco", num_labels=2)}, folder / "small.pt")
    return folder / "small.pt"


@pytest.fixture
def small(zeros, tmp_path):
    """The file under a name of its own, for tests that put another in its place."""
    (tmp_path / "small.pt").hardlink_to(zeros)
    return tmp_path / "small.pt"


def test_the_model_folder_predicts_what_the_released_model_does(coco, folder, capsys, generator):
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    arguments = [str(coco[1]), str(folder / "out"), "--labels", str(folder / "names.txt"), "--image-size", "64"]
    assert main(["convert", *arguments]) == 0
    out = capsys.readouterr().out
    norm = float(coco[0].known_label_lt.weight[0].detach().norm())
    for said in ("COCO-like model (ResNet-101)", "5, cat ... ship: named by names.txt", "1 layers, 4 heads", "width 2048"):
        assert said in out
    assert f"row of 'unknown' of norm {norm:.4g}" in out and out.endswith(f"model folder: {folder / 'out'}\n")
    tagger = ctran.load(folder / "out")
    assert tagger.labels.names == NAMES and (tagger.preprocessing.size, tagger.preprocessing.centre) == (64, 0.9)
    images = torch.randn(3, 3, 64, 64, generator=generator)
    mask = torch.tensor([[-1, 0, 1, -1, -1], [1, 1, 0, 0, -1], [-1] * 5])
    with torch.no_grad():
        assert_same_logits(tagger.model(images, mask + 1), coco[0](images, mask))
    assert 'Made from "best_model.pt"' in (folder / "out" / "README.md").read_text()


def test_a_cub_file_states_how_its_labels_are_ordered_and_its_pictures_prepared(folder, capsys):
    torch.save({"state_dict": flat("cub", num_labels=312)}, folder / "cub.pt")
    assert main(["convert", str(folder / "cub.pt"), str(folder / "cub"), "--no-lmt"]) == 0
    out = capsys.readouterr().out
    assert "CUB model (Inception v3)" in out and "112 attributes, then 200 classes" in out and "auxiliary head" in out
    assert "no state embeddings (--no-lmt)" in out
    config = json.loads((folder / "cub" / "config.json").read_text())
    expected = {"size": 299, "fit": "cut", "centre": 1.0, "mean": [0.5] * 3, "std": [2.0] * 3}
    expected |= {"resample": "bilinear", "resizer": "pillow"}
    assert config["preprocessing"] == expected
    assert config["model"]["backbone"] == "inception_v3.tv_in1k" and config["model"]["use_states"] is False
    names = json.loads((folder / "cub" / "labels.json").read_text())["names"]
    assert names == list(CUB.label_names(312))


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({"n.txt": "cat\n"}, ["--labels", "n.txt"], "n.txt: expected 2 names, found 1"),
        ({"n.txt": "cat\ncat\n"}, ["--labels", "n.txt"], "label names must be distinct, got 'cat' twice"),
        ({"n.txt": "cat\n\ndog\n"}, ["--labels", "n.txt"], "must not be empty, got an empty one at position 1"),
        ({"n.json": "[1, 2]"}, ["--labels", "n.json"], "expected one name a line, or the labels.json of a model"),
        ({"n.json": "{"}, ["--labels", "n.json"], "expected one name a line, or the labels.json of a model"),
        ({}, ["--labels", "n.txt"], "n.txt not found"),
        ({}, ["--heads", "3"], "token width 2048 must be a multiple of the number of heads, got 3 heads"),
        ({"out": "a file"}, [], "out: is a file; name a folder"),
        ({"out/notes.txt": "mine"}, [], "out holds 'notes.txt', which is not part of a model: give another folder"),
        ({"small.pt": "no weights"}, [], "small.pt holds no weights that can be read safely"),
        ({"small.pt": None}, [], "small.pt: no such file"),
    ],
)
def test_what_cannot_be_converted_is_reported_in_one_line(small, tmp_path, monkeypatch, capsys, files, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).unlink(missing_ok=True)
        if content is not None:
            (tmp_path / name).write_text(content)
    before = sorted(tmp_path.rglob("*"))
    assert main(["convert", "small.pt", "out", *arguments]) == 1
    out, err = capsys.readouterr()
    assert message in err and err.startswith("ctran convert: ") and len(err.splitlines()) == 1 and not out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_tensor_that_does_not_fit_is_named_with_its_file(tmp_path, capsys):
    weights = flat("coco") | {"LayerNorm.bias": torch.zeros(7)}
    torch.save({"state_dict": weights}, tmp_path / "w.pt")
    assert main(["convert", str(tmp_path / "w.pt"), str(tmp_path / "out")]) == 1
    assert "w.pt: LayerNorm.bias: expected shape (2048,), found (7,)" in capsys.readouterr().err
