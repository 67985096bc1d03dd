"""One model, exported once in all formats."""

from functools import cache

import pytest
import torch
from PIL import Image

import ctran
from ctran.export.graphs import programs
from ctran.export.write import write
from ctran.folders.runtimes import READERS
from ctran.labels import Group, LabelSpace
from tests.export.models import build, pictures_of


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Five pictures of noise."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(5):
        Image.effect_noise((40, 30 + number), 90).convert("RGB").save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def space():
    names = ("cat", "dog", "flag", "map", "ship", "star", "été")
    return LabelSpace(names, extra=("map",), groups=(Group("kind", ("cat", "dog", "ship"), exclusive=True),))


@pytest.fixture(scope="session")
def tagger(traced):
    return traced("full, all options")[0]


@pytest.fixture(scope="session")
def folders(traced, files, tmp_path_factory):
    """One model in all formats."""
    root, (tagger, made) = tmp_path_factory.mktemp("exported"), traced("full, all options")
    for form in READERS:
        write(tagger, root / form, form, pictures_of(tagger, files), traced=made)
    return root


@pytest.fixture(scope="session")
def exported(folders):
    """The folder of a format, loaded once; tests that write into one load a copy."""
    return cache(lambda form: ctran.load(folders / form))


@pytest.fixture(scope="session")
def traced(space):
    """A model of each kind, which no test may change, with its programs, traced once."""

    def trace(name, *flags):
        torch.manual_seed(0)
        tagger = build(name, space, *flags)
        return tagger, programs(tagger)

    return cache(trace)
