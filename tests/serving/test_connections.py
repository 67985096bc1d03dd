"""Clients that send slowly, or nothing, or go away, keep out nobody else, and the server stops whatever they do."""

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from ctran.cli._network import listening
from ctran.serving.api import create_app
from ctran.serving.connections import Limits
from ctran.serving.server import Rare, Server
from ctran.serving.settings import Settings
from tests.serving.conftest import encoded, wait_until

HEAD = b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
SHORT = Limits(connections=40, head=0.4, idle=0.4, refused=0.4, unread=0.4, stop=4, stop_body=0.3)


@contextmanager
def running(app, limits=SHORT):
    """A server in a thread: its port, the server, the thread."""
    server = Server(app, limits)
    listener = listening("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield listener.getsockname()[1], server, thread
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def held_open():
    """Connects and sends; what it opened is closed after the test."""
    opened = []

    def connect(port, content=b""):
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        opened.append(client)
        client.sendall(content)
        return client

    yield connect
    for client in opened:
        client.close()


def rest(client):
    """All that comes until the server closes the connection."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"POST /v1/im",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_a_connection_without_a_whole_request_is_closed_in_time(tagger, held_open, content):
    with running(create_app(tagger)) as (port, _, _):
        client = held_open(port, content)
        assert (b" 200 OK" in rest(client)) == (b"\r\n\r\n" in content)


def test_a_head_that_comes_a_byte_at_a_time_is_not_given_more_time(tagger, held_open):
    with running(create_app(tagger)) as (port, _, _):
        client, dripped = held_open(port, b"GET /healthz HTTP/1.1\r\nX: "), 0
        client.settimeout(0.05)
        with pytest.raises(OSError):
            while dripped < 400:
                client.sendall(b"x")
                dripped += 1
                try:
                    if not client.recv(1):
                        raise ConnectionResetError
                except TimeoutError:
                    pass
        assert dripped < 100


def test_bodies_that_do_not_arrive_keep_out_nobody_and_end_with_408(tagger, held_open):
    app = create_app(tagger, Settings(in_flight=2, body_seconds=1))
    with running(app) as (port, _, _):
        slow = [held_open(port, HEAD + b"x") for _ in range(8)]
        found = httpx.post(f"http://127.0.0.1:{port}/v1/images", content=encoded(), timeout=20)
        assert found.status_code == 201
        for client in slow:
            answer = rest(client)
            assert answer.startswith(b"HTTP/1.1 408 ") and b"did not arrive in time" in answer


def test_a_body_that_comes_at_a_good_rate_has_all_the_time_it_needs(tagger, held_open):
    picture = encoded(size=(400, 300))
    head = HEAD.replace(b"1000", str(len(picture)).encode())
    with running(create_app(tagger, Settings(body_seconds=0.5, body_rate=len(picture) // 20))) as (port, _, _):
        client, start = held_open(port, head), time.monotonic()
        for part in range(12):
            client.sendall(picture[part * len(picture) // 12 : (part + 1) * len(picture) // 12])
            client.settimeout(0.08 if part < 11 else 20)
            if part < 11:  # the whole body may be answered at once
                with pytest.raises(TimeoutError):
                    client.recv(1)
        assert time.monotonic() - start > 0.5 and client.recv(100).startswith(b"HTTP/1.1 201 ")


def test_memory_of_bodies_that_arrive_is_bounded_and_the_one_that_takes_longest_goes(tagger, held_open):
    with running(create_app(tagger, Settings(max_bytes=1000))) as (port, _, _):
        slow = [held_open(port, HEAD + b"x" * 900) for _ in range(20)]
        assert rest(slow[0]).startswith(b"HTTP/1.1 408 ")
        assert httpx.get(f"http://127.0.0.1:{port}/v1/model", timeout=20).status_code == 200


def test_a_client_that_goes_on_sending_a_refused_body_is_cut_off_after_it_could_read_why(tagger, held_open):
    with running(create_app(tagger, Settings(max_bytes=100))) as (port, _, _):
        client = held_open(port, HEAD + b"x")
        answer = rest(client)
        assert answer.startswith(b"HTTP/1.1 413 ") and b"100 bytes" in answer


def test_a_client_that_reads_nothing_is_cut_off_and_holds_no_place(tagger, held_open):
    with running(create_app(tagger, Settings(in_flight=1))) as (port, server, _):
        wide = httpx.post(f"http://127.0.0.1:{port}/v1/images", content=encoded(size=(2000, 1500)), timeout=20).json()["id"]
        ask = f"GET /v1/images/{wide}/picture?side=4000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        with client:
            client.sendall(ask * 12)
            wait_until(lambda: any(each._unread for each in list(server.server_state.connections)))
            wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/v1/model", timeout=20).status_code == 200)
            wait_until(lambda: not any(each._unread for each in list(server.server_state.connections)))


def test_connections_that_wait_make_room_for_new_ones(tagger, held_open):
    with running(create_app(tagger), Limits(connections=5)) as (port, server, _):
        idle = [held_open(port, b"GET /he") for _ in range(12)]
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=20).status_code == 200
        wait_until(lambda: len(server.server_state.connections) <= 5)
        assert rest(idle[0]) == b""


def test_a_client_that_goes_away_in_its_body_is_not_an_error(tagger, held_open, caplog):
    with running(create_app(tagger)) as (port, _, _), caplog.at_level(logging.INFO):
        held_open(port, HEAD + b"x").close()
        wait_until(lambda: 'status="499"' in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text)
        assert 'status="500"' not in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_stop_waits_for_work_and_neither_for_half_a_request_nor_for_idle_connections(tagger, held_up, held_open):
    entered, leave = held_up()
    with running(create_app(tagger), Limits(stop=20, stop_body=0.2)) as (port, server, thread), ThreadPoolExecutor(1) as pool:
        held_open(port)
        held_open(port, b"GET /hea")
        held_open(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        half = held_open(port, HEAD + b"x")
        asked = pool.submit(httpx.post, f"http://127.0.0.1:{port}/v1/images", content=encoded(), timeout=60)
        assert entered.wait(20)
        server.should_exit = True
        assert rest(half) == b"" and thread.is_alive() and not asked.done()
        leave.set()
        assert asked.result(60).status_code == 201
        start = time.monotonic()
        thread.join(20)
        assert time.monotonic() - start < 5


def test_a_full_table_of_files_and_odd_requests_do_not_fill_the_log():
    rare = Rare()

    def record(text, level=logging.WARNING, error=None):
        found = logging.LogRecord("x", level, "", 0, text, None, None if error is None else (type(error), error, None))
        return rare.filter(found), found

    kept = [record("socket.accept() out of system resource\nmore", logging.ERROR, OSError(24, "x")) for _ in range(50)]
    assert [keep for keep, _ in kept] == [True] + [False] * 49
    assert "ulimit -n" in kept[0][1].getMessage() and kept[0][1].exc_info is None
    assert [record("Invalid HTTP request received.")[0] for _ in range(3)] == [True, False, False]
    assert [record("Exception in ASGI application", logging.ERROR, ValueError())[0] for _ in range(2)] == [True, True]


@pytest.mark.slow
def test_the_program_ends_within_seconds_of_a_signal_whatever_its_clients_hold(saved_model, held_open):
    command = [sys.executable, "-m", "ctran", "serve", str(saved_model), "--port", "0"]
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert program.stderr is not None
    address = program.stderr.readline().partition(" at ")[2].partition(" ")[0]
    port = int(address.rpartition(":")[2])
    held = [held_open(port), held_open(port, b"GET /h"), held_open(port, HEAD + b"x")]
    start = time.monotonic()
    program.send_signal(signal.SIGTERM)
    program.wait(30)
    assert time.monotonic() - start < 12 and len(held) == 3
    assert "Traceback" not in program.stderr.read()
    program.stderr.close()
