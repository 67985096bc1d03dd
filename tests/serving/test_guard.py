"""Who may use the server: not pages of other origins, not under a name that is not its own."""

import argparse
import json
import logging

import pytest

from ctran.cli import _network as command
from ctran.cli.main import main
from ctran.cli.serve import annotations_folder
from ctran.errors import UserError
from tests.serving.conftest import encoded

EVIL = "https://evil.example"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://testserver:9"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
)
def test_a_page_of_another_origin_can_neither_upload_nor_open_nor_save_nor_make_the_server_work(client, image, headers):
    before = client.get("/metrics").text.partition("ctran_cached_images ")[2].split()[0]
    calls = [
        client.post("/v1/images", content=encoded(), headers={"Content-Type": "text/plain", **headers}),
        client.post("/v1/gallery/0", headers=headers),
        client.post(f"/v1/images/{image}/save", json={"known": {"flag": True}}, headers=headers),
        client.post("/v1/predict", json={"images": []}, headers=headers),
        client.post("/predict", json={}, headers=headers),
        client.post("/webhook", json={}, headers=headers),
        client.get("/v1/gallery/0/thumbnail", headers=headers),
        client.get(f"/v1/images/{image}/picture", headers=headers),
        client.get("/metrics", headers=headers),
    ]
    assert [response.status_code for response in calls] == [403] * len(calls)
    assert all("--cors" in response.json()["detail"] for response in calls)
    assert client.get("/metrics").text.partition("ctran_cached_images ")[2].split()[0] == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://testserver"},
        {"Origin": "http://testserver:80"},
        {"Origin": "http://TestServer"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://name.of.a.proxy.example"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_the_page_of_the_server_and_programs_are_served(client, headers):
    assert client.post("/v1/images", content=encoded(), headers=headers).status_code == 201


def test_a_link_of_another_page_may_be_followed(client):
    linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for path in ("/", "/docs", "/v1/model"):
        assert client.get(path, headers=linked).status_code == 200
    assert client.post("/v1/gallery/0", headers=linked).status_code == 403


def test_origins_that_are_given_may_use_the_server_and_read_its_responses(serve):
    client, good = serve(cors=("https://good.example",), token="secret"), {"Origin": "https://good.example"}
    asked = {**good, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-file-name"}
    preflight = client.options("/v1/images", headers=asked)
    assert preflight.status_code == 200 and preflight.headers["access-control-allow-origin"] == good["Origin"]
    sent = {**good, "Sec-Fetch-Site": "cross-site", "Authorization": "Bearer secret"}
    found = client.post("/v1/images", content=encoded(), headers=sent)
    assert found.status_code == 201 and found.headers["access-control-allow-origin"] == good["Origin"]
    refused = client.post("/v1/images", content=encoded(), headers=good)
    assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == good["Origin"]
    other = client.post("/v1/images", content=encoded(), headers={**sent, "Origin": EVIL})
    assert other.status_code == 403 and "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("hosts", "host", "status"),
    [
        (("localhost",), "localhost:8000", 200),
        (("localhost",), "LOCALHOST", 200),
        (("localhost",), "evil.example:8000", 400),
        (("localhost",), "localhost.evil.example", 400),
        (("[::1]",), "[::1]:8000", 200),
        (("[::1]",), "[::2]:8000", 400),
        (("*.example.org",), "a.example.org", 200),
        (("*.example.org",), "example.org.evil", 400),
        (("*",), "anything", 200),
        (("localhost",), "", 400),
    ],
)
def test_a_name_that_is_not_the_server_s_is_refused_in_words(serve, hosts, host, status):
    response = serve(hosts=hosts).get("/healthz", headers={"Host": host})
    assert response.status_code == status
    assert status == 200 or "--allow-host" in response.json()["detail"]


def test_every_response_forbids_browsers_to_guess_its_type(client, image):
    paths = ("/", "/docs", "/redoc", "/openapi.json", "/healthz", "/v1/model", "/v1/gallery/99", "/static/studio.js", "/none")
    for path in paths:
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert client.post("/v1/images", content=b"x").headers["content-security-policy"].startswith("default-src 'none'")


def test_pages_about_the_api_need_only_what_stands_beside_them(client):
    for page in ("/docs", "/redoc"):
        text = client.get(page).text
        found = [part.partition('"')[0] for word in ('src="', 'href="') for part in text.split(word)[1:]]
        assert found and not [path for path in found if path.startswith(("/", "http"))]
        assert all(client.get(f"/{path}").status_code == 200 for path in found)
        assert (
            "'unsafe-inline'"
            not in client.get(page).headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
        )
    assert client.get("/openapi.json").json()["servers"] == [{"url": "."}]


# ------------------------------------------------------------------ what is read


def test_json_is_bounded_in_bytes_and_in_values_but_for_pictures(serve, image):
    client = serve(max_json=1000, max_values=50, max_bytes=100_000)
    large = client.post(f"/v1/images/{image}/predict", json={"known": {"x" * 1000: True}})
    assert large.status_code == 413 and "1,000 bytes" in large.json()["detail"]
    for path in ("/v1/predict", "/predict", "/webhook"):
        many = client.post(path, json={"images": [{}] * 51, "tasks": [], "label_config": ""})
        assert many.status_code == 413 and "more than 50 values" in many.json()["detail"]
    assert client.post("/v1/predict", json={"images": [{"data": "x" * 10_000}]}).status_code == 415
    assert client.post("/v1/images", content=b"," * 10_000).status_code == 415


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("predict", {"known": {"x" * 500_000: True}}),
        ("predict", {"known": {"x" * 500_000: 1}}),
        ("predict", {"known": {str(n): 1 for n in range(20_000)}}),
        ("predict", {"y" * 500_000: 1}),
        ("what-if", {"label": "x" * 500_000, "present": True}),
        ("ask", {"within": ["x" * 500_000]}),
        ("ask", {"policy": "x" * 500_000}),
        ("save", {"known": {}, "base": {"x" * 500_000: True}}),
    ],
)
def test_messages_do_not_repeat_what_was_sent_at_length(client, image, path, body):
    response = client.post(f"/v1/images/{image}/{path}", json=body)
    assert response.status_code == 422 and len(response.content) < 12_000


MANY = {f"n{n}": "x" for n in range(30_000)}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("images/{image}/predict", {"known": MANY}),
        ("images/{image}/predict", {"known": {"flag": True, **MANY}}),
        ("images/{image}/predict", MANY),
        ("images/{image}/save", {"known": {}, "base": MANY}),
        ("images/{image}/ask", {"costs": MANY}),
        ("images/{image}/ask", {"within": [1] * 30_000}),
        ("images/{image}/predict", {"thresholds": MANY}),
        ("predict", {"images": [{"dat": "x"}] * 30_000}),
        ("predict", {"images": [{"data": "", "known": MANY}]}),
    ],
)
def test_thousands_of_wrong_values_are_not_all_listed(client, image, path, body, monkeypatch):
    from fastapi.exceptions import RequestValidationError

    listed, original = [], RequestValidationError.errors
    monkeypatch.setattr(RequestValidationError, "errors", lambda error: (listed.append(original(error)), listed[-1])[1])
    assert client.post(f"/v1/{path.format(image=image)}", json=body).status_code == 422
    assert max(map(len, listed)) <= 3


@pytest.mark.parametrize("content", [b"[" * 50_000, b"9" * 5000, b"{", b'"\\ud800"', "{}".encode("utf-16")])
def test_odd_json_is_refused(client, image, content):
    response = client.post(f"/v1/images/{image}/predict", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 400, 422)


@pytest.mark.parametrize("error", [ValueError("secret inside"), TypeError("secret inside"), KeyError("secret inside")])
def test_a_fault_of_the_program_is_a_500_with_its_traceback_in_the_log_alone(client, image, monkeypatch, caplog, error):
    def fail(*given, **options):
        raise error

    monkeypatch.setattr("ctran.inference.session.Session.given", fail)
    with caplog.at_level(logging.ERROR):
        response = client.post(f"/v1/images/{image}/predict", json={})
    assert response.status_code == 500 and "secret" not in response.text and "log" in response.json()["detail"]
    assert caplog.text.count("Traceback") == 1 and "secret inside" in caplog.text
    assert 'status="500"' in client.get("/metrics").text


# ------------------------------------------------------------- the command line


def given(**options):
    return argparse.Namespace(**{"host": "127.0.0.1", "allow_host": [], "cors": [], **options})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_an_open_address_needs_a_token_or_a_name(host):
    with pytest.raises(UserError, match=r"--token-file .*--allow-host"):
        command.refuse_open(given(host=host), None)
    command.refuse_open(given(host=host), "secret")
    command.refuse_open(given(host=host, allow_host=["studio.lan"]), None)
    assert command.hosts_of(given(host=host)) == ("*",)
    names = command.hosts_of(given(host=host, allow_host=["studio.lan:8000", "fd00::5"]))
    assert {"studio.lan", "[fd00::5]", "localhost"} <= set(names) and "*" not in names


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_this_machine_alone_needs_neither(host):
    command.refuse_open(given(host=host), None)
    with pytest.raises(UserError, match=r"--cors '\*'"):
        command.refuse_open(given(host=host, cors=["*"]), None)
    names = command.hosts_of(given(host=host))
    assert f"[{host}]" in names if ":" in host else host in names


def test_addresses_are_printed_as_browsers_open_them():
    assert command.address_of("::1", 8604) == command.address_of("::", 8604) == "http://[::1]:8604"
    assert command.address_of("0.0.0.0", 1) == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "origin", ["example.org", "https://example.org/", "https://example.org/x", "ftp://a", "null", "http://["]
)
def test_what_is_not_an_origin_is_refused(tmp_path, origin, capsys):
    with pytest.raises(SystemExit):
        main(["serve", str(tmp_path), "--cors", origin])
    assert "expected an origin such as https://example.org" in capsys.readouterr().err


# --------------------------------------------------------- where answers are saved


def test_annotations_go_into_a_run_and_beside_a_model(tmp_path, tagger):
    run, model, old = tmp_path / "run", tmp_path / "model", tmp_path / "old"
    tagger.save(run / "model")
    (run / "recipe.yaml").write_text("{}\n")
    tagger.save(model)
    tagger.save(old)
    (old / "annotations").mkdir()
    (old / "annotations" / "metadata.jsonl").write_text('{"file_name": "a.png", "labels": ["flag"]}\n')
    (old / "annotations" / "a.png").write_bytes(encoded())
    assert annotations_folder(run) == annotations_folder(run / "model") == run / "annotations"
    assert annotations_folder(model) == tmp_path / "model-annotations"
    assert annotations_folder(old) == old / "annotations"  # from before: it is continued there
    tagger.save(old)  # as a resumed training does
    assert json.loads((old / "annotations" / "metadata.jsonl").read_text())["labels"] == ["flag"]
    assert (old / "annotations" / "a.png").read_bytes() == encoded()
    type(tagger).load(old)
