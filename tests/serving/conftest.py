"""A small model behind the application, without a network."""

import copy
import io
import re
import threading
import time
from typing import Any, ClassVar

import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from ctran.labels import Group, LabelSpace
from ctran.serving import response_bodies
from ctran.serving.annotations import Annotations
from ctran.serving.api import create_app
from ctran.serving.gallery import Gallery
from ctran.serving.settings import Settings
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY, stirred
from tests.networks import SMALLEST

SPACE = LabelSpace(
    ("cat", "dog", "flag", "map", "ship", "star", "animal", "été/ü"),
    groups=(Group("kind", ("cat", "dog", "ship"), exclusive=True),),
    implications=(("cat", "animal"), ("dog", "animal")),
)


def encoded(form="PNG", size=(40, 30), seed=0):
    """A picture of noise as a file."""
    file = io.BytesIO()
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (size[1], size[0], 3), dtype=torch.uint8, generator=generator)
    Image.fromarray(pixels.numpy()).save(file, form)
    return file.getvalue()


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


def assert_as_described(paths, response):
    """A response has a status, a type and a body that OpenAPI promises; addresses outside of the API are left out."""
    path = response.request.url.path
    operation = next((paths[name] for name in described_paths(paths, path)), {}).get(response.request.method.lower())
    if operation is None:
        return
    promised = operation["responses"].get(str(response.status_code))
    assert promised is not None, f"{path}: {response.status_code} is not described: {response.text[:200]}"
    kind = response.headers.get("content-type", "").partition(";")[0]
    assert kind in promised["content"], f"{path}: {response.status_code} is {kind}, described are {list(promised['content'])}"
    name = promised["content"][kind].get("schema", {}).get("$ref", "").rpartition("/")[2]
    if hasattr(response_bodies, name):
        getattr(response_bodies, name).model_validate_json(response.content, strict=True)


def described_paths(paths, path):
    """Templates that a path fits, the longest first."""
    fits = [
        name for name in paths if re.fullmatch(re.sub(r"\{(\w+)(:path)?\}", ".+" if "label" in name else "[^/]+", name), path)
    ]
    return sorted(fits, key=lambda name: (name.count("{"), -len(name)))


class Checked(TestClient):
    """Checks each response against the OpenAPI paths of the first application, which are those of any (see test_api.py).

    Making them takes longer than most tests do.
    """

    paths: ClassVar[dict[str, Any]] = {}

    def request(self, *given, **options):
        response = super().request(*given, **options)
        if not Checked.paths:
            Checked.paths = self.app.openapi()["paths"]
        assert_as_described(Checked.paths, response)
        return response


@pytest.fixture(scope="session")
def untouched_tagger():
    torch.manual_seed(0)
    return stirred(build_tagger(read_recipe(None, [*TOY, *SMALLEST, "--model.num_layers", "2"]), SPACE))


@pytest.fixture
def tagger(untouched_tagger):
    """A copy, as some tests replace methods of it."""
    return copy.deepcopy(untouched_tagger)


@pytest.fixture
def saved_model(tmp_path):
    """A model folder that a process which a test starts can load: the network is timm's own."""
    folder = tmp_path / "model"
    stirred(build_tagger(read_recipe(None, TOY), SPACE)).save(folder)
    return folder


@pytest.fixture
def held_up(tagger, monkeypatch):
    """A model that looks at no picture until it may: events that say it has begun, and that let it go on."""
    entered, leave = threading.Event(), threading.Event()
    original = tagger.model.encode_images

    def slow(images):
        entered.set()
        assert leave.wait(20)
        return original(images)

    def hold():
        monkeypatch.setattr(tagger.model, "encode_images", slow)
        return entered, leave

    return hold


@pytest.fixture
def folder(tmp_path):
    """Three pictures to label."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", "more/c.png")):
        (folder / name).write_bytes(encoded("JPEG" if name.endswith("jpg") else "PNG", seed=number))
    return folder


@pytest.fixture
def serve(tagger, folder):
    """Starts an application with these limits; its clients speak to it directly."""
    started = []

    def start(save=True, **limits):
        settings = Settings(**({"hosts": ("testserver",)} | limits))
        annotations = Annotations(folder)
        gallery = Gallery.of_folder(annotations)
        app = create_app(tagger, settings, gallery=gallery, annotations=annotations if save else None)
        client = Checked(app, raise_server_exceptions=False)
        started.append(client)
        return client.__enter__()

    yield start
    for client in started:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve):
    return serve()


@pytest.fixture
def image(client):
    """Id of a picture that was sent."""
    return client.post("/v1/images", content=encoded()).json()["id"]
