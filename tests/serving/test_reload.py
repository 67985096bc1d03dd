"""The model of a running server is replaced: no request is lost, and each is answered by one model."""

import copy
import json
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch

from ctran.cli import serve as command
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.serving.annotations import Annotations
from ctran.serving.api import create_app
from ctran.serving.connections import Limits
from ctran.serving.reload import Loaded
from ctran.serving.settings import Settings
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY, stirred
from tests.networks import SMALLEST
from tests.serving.conftest import Checked, encoded, wait_until
from tests.serving.test_connections import running
from tests.serving.traffic import Traffic

OTHER = LabelSpace(("boat", "flag", "map", "tree"))
"""Labels of another model: two of them new, six missing."""


@pytest.fixture(scope="session")
def other_tagger():
    torch.manual_seed(1)
    return stirred(build_tagger(read_recipe(None, [*TOY, *SMALLEST, "--model.num_layers", "2"]), OTHER))


@pytest.fixture
def reloadable(tagger, other_tagger, folder):
    """A client, and the list of what is loaded next: models or errors; the application starts with the first tagger."""
    coming, started = [], []

    def load():
        found = coming.pop(0)
        if isinstance(found, Exception):
            raise found
        return Loaded(found, "other-2" if found is other_tagger else "first-1")

    def start(annotations=False, **limits):
        settings = Settings(**({"hosts": ("testserver",)} | limits))
        saved = Annotations(folder, tagger.labels.names) if annotations else None
        app = create_app(tagger, settings, annotations=saved, version="first-1", load=load)
        client = Checked(app, raise_server_exceptions=False)
        started.append(client)
        return client.__enter__(), coming

    yield start
    for client in started:
        client.__exit__(None, None, None)


def models_running():
    return sum(thread.name == "model" for thread in threading.enumerate())


def test_a_reload_states_what_is_new_and_every_later_response_is_the_new_model_s(reloadable, other_tagger):
    client, coming = reloadable()
    assert client.get("/v1/model").json()["version"] == "first-1"
    coming.append(other_tagger)
    found = client.post("/v1/reload")
    assert found.status_code == 200 and found.json() == {
        "version": "other-2",
        "previous": "first-1",
        "added": ["boat", "tree"],
        "removed": ["animal", "cat", "dog", "ship", "star", "été/ü"],
    }
    about = client.get("/v1/model").json()
    assert about["version"] == "other-2" and about["labels"] == list(OTHER.names)
    sent = client.post("/v1/images", content=encoded())
    assert sent.headers["ctran-model"] == "other-2"
    assert sent.json()["probabilities"] == pytest.approx(other_tagger.predict(encoded()).probabilities, abs=1e-5)
    config = '<View><Image name="i" value="$x"/><Choices name="c" toName="i"><Choice value="boat"/></Choices></View>'
    assert client.post("/setup", json={"schema": config}).json()["model_version"] == "other-2"
    assert 'ctran_reloads_total{result="loaded"} 1.0' in client.get("/metrics").text


def test_a_picture_that_was_sent_before_keeps_its_id_and_is_predicted_by_the_new_model(reloadable, other_tagger):
    client, coming = reloadable()
    store = client.app.state.ctran.store
    image = client.post("/v1/images", content=encoded()).json()["id"]
    before = store.nbytes
    coming.append(other_tagger)
    client.post("/v1/reload")
    assert store.nbytes == len(encoded())  # the features of the model before are gone
    found = client.post(f"/v1/images/{image}/predict", json={"known": {"flag": True}})
    expected = other_tagger.predict(encoded(), {"flag": True}).probabilities
    assert found.headers["ctran-model"] == "other-2" and found.json()["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert len(encoded()) < store.nbytes <= before
    gone = client.post(f"/v1/images/{image}/predict", json={"known": {"cat": True}})
    assert gone.status_code == 422 and "cat" in gone.json()["detail"] and gone.headers["ctran-model"] == "other-2"


def broken(tagger):
    found = copy.deepcopy(tagger)
    with torch.no_grad():
        for parameter in found.model.parameters():
            parameter.fill_(float("nan"))
    return found


def test_a_folder_that_cannot_be_loaded_keeps_the_old_model_and_states_why(reloadable, tagger):
    client, coming = reloadable()
    image = client.post("/v1/images", content=encoded()).json()
    coming += [UserError("model/config.json is damaged"), PermissionError(13, "Permission denied"), broken(tagger)]
    for why in ("config.json is damaged. ", "Permission denied", "not numbers"):
        refused = client.post("/v1/reload")
        assert refused.status_code == 409 and why in refused.json()["detail"]
        assert "first-1 stays in use" in refused.json()["detail"]
    again = client.post(f"/v1/images/{image['id']}/predict", json={})
    assert again.headers["ctran-model"] == "first-1" and again.json()["probabilities"] == image["probabilities"]
    assert 'ctran_reloads_total{result="failed"} 3.0' in client.get("/metrics").text


def test_a_server_without_a_model_folder_refuses_to_load_one(client):
    refused = client.post("/v1/reload")
    assert refused.status_code == 409 and "ctran serve" in refused.json()["detail"]


def test_neither_other_origins_nor_clients_without_the_token_may_reload(reloadable):
    client, coming = reloadable(token="secret")
    assert client.post("/v1/reload").status_code == 401
    assert client.get("/v1/reload", headers={"Authorization": "Bearer secret"}).status_code == 405
    foreign = {"Authorization": "Bearer secret", "Origin": "https://evil.example"}
    assert client.post("/v1/reload", headers=foreign).status_code == 403
    assert coming == [] and client.app.state.ctran.models.current.version == "first-1"


def test_a_request_in_progress_is_answered_by_its_model_which_is_closed_then(reloadable, other_tagger, held_up):
    client, coming = reloadable()
    others = models_running()
    entered, leave = held_up()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, "/v1/images", content=encoded())
        assert entered.wait(20)
        coming.append(other_tagger)
        assert client.post("/v1/reload").status_code == 200
        meanwhile = client.post("/v1/images", content=encoded())
        assert meanwhile.headers["ctran-model"] == "other-2" and not asked.done() and models_running() == others + 1
        leave.set()
        answer = asked.result(20)
    assert answer.headers["ctran-model"] == "first-1" and "cat" in answer.json()["probabilities"]
    wait_until(lambda: models_running() == others)
    image = answer.json()["id"]  # its features were the closed model's
    assert client.post(f"/v1/images/{image}/predict", json={}).headers["ctran-model"] == "other-2"


def test_a_second_reload_at_the_same_time_is_told_to_retry(reloadable, other_tagger):
    client, _ = reloadable()
    entered, leave = threading.Event(), threading.Event()

    def slowly():
        entered.set()
        assert leave.wait(20)
        return Loaded(other_tagger, "other-2")

    client.app.state.reloader._load = slowly
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/reload")
        assert entered.wait(20)
        second = client.post("/v1/reload")
        assert second.status_code == 503 and int(second.headers["retry-after"]) > 0
        leave.set()
        assert first.result(20).status_code == 200


def test_annotations_of_labels_that_the_new_model_lacks_stay_in_the_file(reloadable, other_tagger, folder):
    client, coming = reloadable(annotations=True)
    image = client.post("/v1/images", content=encoded()).json()["id"]
    saved = client.post(f"/v1/images/{image}/save", json={"known": {"cat": True, "flag": False}}).json()["file_name"]
    coming.append(other_tagger)
    client.post("/v1/reload")
    assert client.post(f"/v1/images/{image}/save", json={"known": {"flag": True, "tree": False}}).status_code == 200
    row = json.loads((folder / "metadata.jsonl").read_text())
    assert row == {"file_name": saved, "labels": ["cat", "flag"], "negatives": ["tree"]}


def test_clients_at_the_same_time_lose_no_request_while_models_of_other_labels_take_turns(tagger, other_tagger):
    versions = {"first-1": tagger, "other-2": other_tagger}
    turns = [Loaded(copy.deepcopy(versions[name]), name) for _ in range(3) for name in ("other-2", "first-1")]
    app = create_app(tagger, version="first-1", load=lambda: turns.pop(0))
    running_now = models_running()
    with running(app, Limits()) as (port, _, _):
        address = f"http://127.0.0.1:{port}"
        with Traffic(address, 4, versions) as traffic:
            while turns:
                found = httpx.post(f"{address}/v1/reload", timeout=60)
                assert found.status_code == 200
                count = traffic.responses()
                wait_until(lambda count=count: traffic.responses() > count + 4 or traffic.faults, 120)
        wait_until(lambda: models_running() == running_now)  # every replaced model is closed
    assert not traffic.faults and set(traffic.statuses) == {200, 201} and set(traffic.versions) == set(versions)


def test_a_folder_that_changes_while_it_is_read_is_read_again(tagger, other_tagger, tmp_path, monkeypatch):
    import ctran.folders.exported as exported

    path, reads, load = tmp_path / "model", [], exported.load
    tagger.save(path)

    def changing(*given):
        reads.append(load(*given))
        if len(reads) == 1:
            other_tagger.save(path)
        return reads[-1]

    monkeypatch.setattr(exported, "load", changing)
    predictor, version = command.read_model(path, "cpu", exact=True)
    assert len(reads) == 2 and predictor.labels.names == OTHER.names and version == command.version_of(path)


@pytest.mark.slow
def test_the_program_loads_its_folder_again_by_request_and_by_signal(saved_model, tmp_path):
    other = tmp_path / "other"
    stirred(build_tagger(read_recipe(None, TOY), OTHER)).save(other)
    first = tmp_path / "first"
    shutil.copytree(saved_model, first)
    models = [command.read_model(path, "cpu", exact=True) for path in (first, other)]
    named = {f"model-{each.version.rpartition('-')[2]}": each.predictor for each in models}
    start = [sys.executable, "-m", "ctran", "serve", str(saved_model), "--port", "0", "--exact"]
    log = tmp_path / "log"
    with log.open("w") as written:
        program = subprocess.Popen(start, stderr=written)
    try:
        wait_until(lambda: " at http" in log.read_text(), 120)
        address = log.read_text().partition(" at ")[2].partition(" ")[0]
        with Traffic(address, 6, named) as traffic:
            for turn in range(3):
                models[(turn + 1) % 2].predictor.save(saved_model)
                found = httpx.post(f"{address}/v1/reload", timeout=60)
                assert found.status_code == 200 and found.json()["version"] == command.version_of(saved_model)
            models[0].predictor.save(saved_model)
            program.send_signal(signal.SIGHUP)
            wanted = command.version_of(saved_model)
            wait_until(lambda: httpx.get(f"{address}/v1/model", timeout=60).json()["version"] == wanted, 120)
            (saved_model / "config.json").write_text("{")
            program.send_signal(signal.SIGHUP)
            wait_until(lambda: "was not loaded again" in log.read_text() or traffic.faults, 120)
        assert not traffic.faults and set(traffic.statuses) == {200, 201} and set(traffic.versions) == set(named)
    finally:
        program.send_signal(signal.SIGTERM)
        status = program.wait(30)
    text = log.read_text()
    assert status == 0 and "config.json" in text and "stays in use" in text and "Traceback" not in text
