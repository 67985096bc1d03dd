"""A model folder: what is wrong with one is named; nothing private is in it; a save that fails leaves the old one."""

import json
import os
import resource
import stat

import pytest
import torch
from safetensors.torch import load_file, save_file

from ctran.folders import tagger as tagger_module
from ctran.folders.tagger import ModelFolderError, Tagger
from ctran.labels import LabelSpace
from ctran.model.pretrained import WeightsError, read_state_dict
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY


@pytest.fixture
def tagger():
    return build_tagger(read_recipe(None, [*TOY, "--source", "openclipart"]), LabelSpace(("a", "b")))


@pytest.fixture
def saved(tagger, tmp_path):
    tagger.save(tmp_path / "model")
    return tmp_path / "model"


def change_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("key", ["method", "model", "preprocessing", "preprocessing.size", "preprocessing.resample"])
def test_a_key_that_is_missing_is_named_with_its_file(saved, key):
    def remove(config):
        *outer, last = key.split(".")
        del (config[outer[0]] if outer else config)[last]

    change_config(saved, remove)
    with pytest.raises(ModelFolderError, match=rf"config.json has no key '{key}'"):
        Tagger.load(saved)


def test_a_key_of_the_labels_that_is_missing_is_named(saved):
    (saved / "labels.json").write_text('{"names": ["a", "b"]}')
    with pytest.raises(ModelFolderError, match=r"labels.json .*no key 'extra'"):
        Tagger.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("classifier.bias"), "it lacks the tensor 'classifier.bias'$"),
        (lambda w: [w.pop(k) for k in [*w][:3]], "it lacks the tensor .* and 2 more$"),
        (lambda w: w.update(new=torch.zeros(1)), "it has, beyond the model, the tensor 'new'$"),
        (lambda w: w.update({"classifier.bias": torch.zeros(3)}), r"'classifier.bias' has shape \(3,\), .* \(2,\)$"),
    ],
)
def test_weights_of_another_model_are_named_in_one_line(saved, change, message):
    weights = load_file(saved / "model.safetensors")
    change(weights)
    save_file(weights, saved / "model.safetensors")
    with pytest.raises(ModelFolderError, match=message):
        Tagger.load(saved)


def test_a_file_that_may_not_be_read_is_not_called_damaged(saved, monkeypatch):
    allowed = os.access
    monkeypatch.setattr(tagger_module.os, "access", lambda p, mode: "model.safetensors" not in str(p) and allowed(p, mode))
    with pytest.raises(ModelFolderError, match=r"model.safetensors may not be read by this user"):
        Tagger.load(saved)


def test_all_files_have_the_mode_that_the_umask_gives(saved):
    umask = os.umask(0)
    os.umask(umask)
    assert {stat.S_IMODE(p.stat().st_mode) for p in saved.iterdir()} == {0o666 & ~umask}


def test_no_path_of_the_machine_is_saved(tagger, tmp_path):
    private = str(tmp_path / "private" / "weights.pth")
    tagger.config["model"]["weights"] = f"file:{private}"
    again = Tagger(tagger.model, tagger.labels, tagger.config, tagger.preprocessing)
    again.save(tmp_path / "model")
    texts = [p.read_text() for p in (tmp_path / "model").iterdir() if p.suffix != ".safetensors"]
    assert not any(str(tmp_path) in text for text in texts)
    assert Tagger.load(tmp_path / "model").config["model"]["weights"] == "file:weights.pth"


def test_a_disk_that_is_full_while_saving_is_one_line_and_keeps_the_old_model(saved, tagger):
    before = {p.name: p.read_bytes() for p in saved.iterdir()}
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
    try:
        with pytest.raises(OSError, match="could not be saved, and is as it was") as caught:
            tagger.save(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "\n" not in str(caught.value)
    assert {p.name: p.read_bytes() for p in saved.iterdir()} == before
    assert [p.name for p in saved.parent.iterdir()] == ["model"]


def test_what_a_killed_save_left_behind_does_not_refuse_later_ones(saved, tagger):
    for name in (".tmpSBubAL", "config.json.part", ".calibration.json.0123456789ab.part"):
        (saved / name).write_text("half")
    tagger.save(saved)
    assert not [p for p in saved.iterdir() if p.name.startswith(".") or p.suffix == ".part"]


@pytest.mark.parametrize("name", ["net-20240115.pth", "net-1234567890.pth"])
def test_a_date_at_the_end_of_a_name_is_not_a_checksum(tmp_path, name):
    torch.save({"a": torch.zeros(1)}, tmp_path / name)
    assert read_state_dict(tmp_path / name).keys() == {"a"}
    torch.save({"a": torch.zeros(1)}, tmp_path / "net-0123abcd.pth")
    with pytest.raises(WeightsError, match=r"its name says 0123abcd \(rename the file if"):
        read_state_dict(tmp_path / "net-0123abcd.pth")
