"""Files of a model folder that are cut, swapped, missing or changed: the model loads, or the error names the file or folder."""

import os
import shutil
import time
from random import Random

import pytest

from ctran.cli._errors import readable
from ctran.data.checked import check
from ctran.folders.tagger import Tagger
from tests.conftest import draw
from tests.faults.mutations import mutated

NEEDED = ("config.json", "labels.json", "model.safetensors")


def damages(folder):
    """Name -> what damages a file of a folder."""
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    for number, name in enumerate(files):
        other = files[number - 1]
        yield f"{name} is missing", lambda f, name=name: (f / name).unlink()
        yield f"{name} is empty", lambda f, name=name: (f / name).write_bytes(b"")
        yield f"{name} is cut", lambda f, name=name: (f / name).write_bytes((f / name).read_bytes()[:-20])
        yield f"{name} is {other}", lambda f, name=name, other=other: shutil.copyfile(f / other, f / name)
        yield f"{name} is a folder", lambda f, name=name: ((f / name).unlink(), (f / name).mkdir())


def load(folder):
    """Load a model that may be damaged; the message, or None."""
    try:
        assert len(Tagger.load(folder).labels)
    except Exception as error:
        message = readable(error)
        assert message is not None and str(folder) in message and "\n" not in message, repr(error)[:500]
        return message
    return None


def test_a_damaged_model_folder_loads_or_is_named(model, tmp_path):
    refused = []
    for number, (name, damage) in enumerate(damages(model)):
        copy = tmp_path / str(number)
        shutil.copytree(model, copy)
        damage(copy)
        refused += [name] if load(copy) else []
    needed = {f"{file} is {what}" for file in NEEDED for what in ("missing", "empty")}
    assert needed | {"model.safetensors is cut", "labels.json is a folder"} <= {*refused}


@pytest.mark.parametrize("count", [15, pytest.param(1000, marks=pytest.mark.faults)])
def test_a_model_folder_with_changed_values_loads_or_is_named(model, tmp_path, count):
    copy, refused = tmp_path / "copy", 0
    names = [path.name for path in sorted(model.iterdir()) if path.suffix in (".json", ".safetensors")]
    for number in range(count):
        shutil.copytree(model, copy, dirs_exist_ok=True)
        chance = Random(f"model {number}")
        path = copy / chance.choice(names)
        path.write_bytes(mutated(path.read_bytes(), path.suffix, chance))
        refused += load(copy) is not None
    assert refused > count / 5


def test_a_changed_picture_is_seen_although_the_clock_was_set_back(tmp_path):
    path, later = tmp_path / "a.png", time.time() + 10**8
    draw(path, ["red"])
    os.utime(path, (later, later))
    first = check([path])
    draw(path, ["blue"])
    os.utime(path, (later, later))
    assert check([path]) != first and check([path]) == check([path])
