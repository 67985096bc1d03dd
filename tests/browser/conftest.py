"""The studio in a real browser: Debian's chromium, driven by Playwright. ``make test-browser`` runs these."""

import shutil
import threading
from contextlib import contextmanager

import pytest
import uvicorn

from ctran.labels import Group, LabelSpace
from ctran.serving.annotations import Annotations
from ctran.serving.api import create_app
from ctran.serving.gallery import Gallery
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY
from tests.serving.conftest import encoded

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SPACE = LabelSpace(
    ("cat", "dog", "flag", "map", "ship", "star", "tree"),
    groups=(Group("kind", ("cat", "dog", "ship"), exclusive=True),),
)


@contextmanager
def serving(app):
    """A server on a free port; its address, and what stops it."""
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    def stop():
        server.should_exit = server.force_exit = True
        thread.join(20)

    yield address, stop
    stop()


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.fail("no chromium: apt-get install chromium (make test-browser does)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def folder(tmp_path, request):
    """Three pictures to label, or as many as a test asks for."""
    for number in range(getattr(request, "param", 3)):
        (tmp_path / f"{number}.png").write_bytes(encoded(seed=number))
    return tmp_path


def application(folder):
    """A small model over the folder."""
    annotations = Annotations(folder)
    tagger = build_tagger(read_recipe(None, TOY), SPACE)
    return create_app(tagger, gallery=Gallery.of_folder(annotations), annotations=annotations)


@pytest.fixture
def studio(folder):
    """A server of a small model over the folder: its address, what stops it, the folder."""
    with serving(application(folder)) as (address, stop):
        yield address, stop, folder


@pytest.fixture
def page(browser, studio):
    """The studio with its first picture open; fails on any error in the page."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=studio[0])
    page, errors = context.new_page(), []
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(studio[0])
    page.wait_for_selector(".row")
    yield page
    page.unroute_all(behavior="ignoreErrors")
    context.close()
    assert not errors
