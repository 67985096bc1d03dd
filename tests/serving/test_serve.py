"""``ctran serve`` as a program: it starts, answers, and ends without losing what is in flight."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch
import uvicorn

from ctran.cli._network import listening
from ctran.cli.main import main
from ctran.cli.serve import read_model, version_of
from ctran.serving.api import create_app
from ctran.serving.connections import Limits
from tests.serving.conftest import encoded, wait_until
from tests.serving.test_connections import running
from tests.serving.traffic import Traffic


@pytest.mark.slow
def test_the_program_serves_and_stops_gracefully(saved_model, folder):
    command = [sys.executable, "-m", "ctran", "serve", str(saved_model), "--port", "0", "--pictures", str(folder)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    address = server.stderr.readline().partition(" at ")[2].partition(" ")[0]

    def post():
        request = urllib.request.Request(f"{address}/v1/images", data=encoded(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            found.append(json.load(response)["labels"])

    found: list[list[str]] = []
    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    threads[0].join(60)
    server.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert server.wait(60) == 0 and found
    server.stderr.close()


def test_a_stop_under_load_loses_no_response_and_refuses_new_connections(tagger):
    app = create_app(tagger, version="one")
    with running(app, Limits()) as (port, server, thread):
        with Traffic(f"http://127.0.0.1:{port}", 6, {"one": tagger}) as traffic:
            wait_until(lambda: traffic.responses() > 30 or traffic.faults)
            server.should_exit = True  # what SIGTERM does
            traffic.join()  # every client ends because it is refused
        thread.join(20)
    assert not traffic.faults and traffic.ended == {"refused": 6} and set(traffic.statuses) == {200, 201}
    answered = next(each for each in app.state.metrics.registry.collect() if each.name == "ctran_requests").samples
    assert sum(each.value for each in answered if each.name.endswith("_total")) == traffic.responses()


def test_a_request_that_arrives_just_after_the_stop_has_begun_is_answered_and_told_that_it_is_the_last(tagger):
    with running(create_app(tagger), Limits(stop_idle=5)) as (port, server, _):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            ask = b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n"
            client.sendall(ask)
            first = b""
            while not first.endswith(b"}"):
                first += client.recv(65536)
            server.should_exit = True
            wait_until(lambda: not server.servers[0].is_serving())
            client.sendall(ask)
            found = b""
            while part := client.recv(65536):
                found += part
        assert b"connection: close" not in first.lower()
        assert found.startswith(b"HTTP/1.1 200 ") and b"connection: close" in found.lower() and found.endswith(b"}")


@pytest.mark.slow
def test_the_program_stops_under_load_with_status_0_and_every_response(saved_model):
    model = read_model(saved_model, "cpu", exact=True)
    command = [sys.executable, "-m", "ctran", "serve", str(saved_model), "--port", "0", "--exact"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    address = server.stderr.readline().partition(" at ")[2].partition(" ")[0]
    with Traffic(address, 8, {model.version: model.predictor}) as traffic:
        wait_until(lambda: traffic.responses() > 30 or traffic.faults, 120)
        start = time.monotonic()
        server.send_signal(signal.SIGTERM)
        traffic.join()
        status = server.wait(30)
    assert status == 0 and time.monotonic() - start < 10 and server.stderr.read() == ""
    assert not traffic.faults and traffic.ended == {"refused": 8} and set(traffic.statuses) == {200, 201}
    server.stderr.close()


def test_a_request_in_progress_when_the_server_stops_is_finished_and_a_later_one_refused(tagger, held_up):
    server = uvicorn.Server(uvicorn.Config(create_app(tagger), log_level="error"))
    listener = listening("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/images"
    entered, leave = held_up()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.post, address, content=encoded(), timeout=60)
        assert entered.wait(20)
        server.should_exit = True  # what SIGTERM does
        wait_until(lambda: listener.fileno() == -1)
        with pytest.raises(httpx.ConnectError):
            httpx.post(address, content=encoded())
        assert thread.is_alive() and not asked.done()
        leave.set()
        assert asked.result(60).status_code == 201
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["/no/where"], "/no/where: no such folder, expected a model or run folder"),
        (["{model}", "--pictures", "/no/where"], "--pictures /no/where: there is no such folder"),
        (["{model}", "--pictures", "{model}/config.json"], "config.json: is a file; name the folder of the pictures"),
        (["{model}", "--token-file", "{empty}"], "is empty"),
        (["{model}", "--label-studio", "localhost:8080"], "'localhost:8080' is not an address; expected http://"),
        (["{model}", "--pictures-from", "example.org"], "'example.org' is not an address; expected http://"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(tagger, tmp_path, flags, message, capsys):
    tagger.save(tmp_path / "model")
    (tmp_path / "empty").write_text("\n")
    given = [flag.format(model=tmp_path / "model", empty=tmp_path / "empty") for flag in flags]
    assert main(["serve", *given]) == 1
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_ports_that_there_are_not_are_refused(tmp_path, port, capsys):
    with pytest.raises(SystemExit):
        main(["serve", str(tmp_path), "--port", port])
    assert f"expected 0 to 65535, got {port}" in capsys.readouterr().err


def test_a_version_is_of_the_model_s_files_whatever_holds_them(tagger, tmp_path):
    tagger.save(tmp_path / "run" / "model")
    tagger.save(tmp_path / "copy")
    first = version_of(tmp_path / "run")
    assert first.startswith("run-") and first.partition("-")[2] == version_of(tmp_path / "copy").partition("-")[2]
    with torch.no_grad():
        next(tagger.model.parameters()).add_(1)
    tagger.save(tmp_path / "copy")
    assert first.partition("-")[2] != version_of(tmp_path / "copy").partition("-")[2]
