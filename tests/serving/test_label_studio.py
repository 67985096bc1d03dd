"""Label Studio's protocol: ticks are known, the rest is predicted, pictures come from where they may."""

import base64
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ctran.labels import LabelSpace
from ctran.serving.label_config import LabelConfig, LabelConfigError
from ctran.serving.task_pictures import TaskPictureError, TaskPictures
from tests.serving.conftest import SPACE, encoded, wait_until

CONFIG = """<View>
  <Image name="image" value="$photo"/>
  <Choices name="tags" toName="image" choice="multiple">
    <Choice value="flag"/> <Choice value="Old map" predicted_values="map" alias="m"/> <Choice value="star"/>
    <Choice value="tree"/>
  </Choices>
  <Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/><Choice value="ship"/></Choices>
  <Choices name="not" toName="image" choice="multiple" model_state="absent">
    <Choice value="flag"/> <Choice value="star"/>
  </Choices>
  <Choices name="parts" toName="image" perRegion="true"><Choice value="flag"/></Choices>
</View>"""
ONE = '<View><Image name="i" value="$i"/><Choices name="c" toName="i" {}><Choice value="flag"/></Choices></View>'
INSIDE = "data:image/png;base64," + base64.b64encode(encoded()).decode()


def ticks(name, *choices):
    return {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": list(choices)}}


def ask(client, *tasks, context=None, config=CONFIG):
    params = {"login": None, "password": None, "context": context}
    body = {"tasks": list(tasks), "project": "1.17", "label_config": config, "params": params}
    return client.post("/predict", json=body)


def choices_of(answer):
    return {result["from_name"]: result["value"]["choices"] for result in answer["result"]}


def test_health_and_setup_report_the_model(client, caplog):
    assert client.get("/health").json() == {"status": "UP"}
    body = {"project": "1.17", "schema": CONFIG, "hostname": "http://x", "access_token": "t", "extra_params": None}
    found = client.post("/setup", json=body).json()
    left_out = [
        "<Choices name='tags'>: no labels of the model: 'tree'; did you mean 'star'?",
        "<Choices name='parts'>: perRegion is not supported",
    ]
    assert found == {"model_version": "ctran", "left_out": left_out}  # Label Studio reads model_version alone
    assert all(each in caplog.text for each in left_out)
    assert ask(client, {"id": 3, "data": {"photo": INSIDE}}).json()["left_out"] == left_out
    body["schema"] = ONE.format("")
    assert client.post("/setup", json=body).json() == {"model_version": "ctran"}


def test_choices_are_those_that_the_tagger_predicts(client, tagger):
    expected = tagger.predict(encoded())
    (found,) = ask(client, {"id": 3, "data": {"photo": INSIDE}}).json()["results"]
    shown = {"flag": "flag", "map": "m", "star": "star"}
    ticked = [shown[label] for label in shown if label in expected.labels]
    assert choices_of(found).get("tags", []) == ticked
    assert choices_of(found)["kind"] == [name for name in expected.labels if name in ("cat", "dog", "ship")]
    assert "not" not in choices_of(found) and found["model_version"] == "ctran"
    p = expected.probabilities
    sure = [p[n] if n in expected.labels else 1 - p[n] for n in ("flag", "map", "star", "cat", "dog", "ship")]
    assert found["score"] == pytest.approx(sum(sure) / 6, abs=1e-5)


def test_ticks_and_crosses_are_known_and_the_rest_is_predicted_given_them(client, tagger):
    said = [
        ticks("tags", "m"),
        ticks("not", "star"),
        ticks("kind", "dog"),
        {"from_name": "rating", "type": "rating", "value": {}},
    ]
    old = {"id": 1, "result": [ticks("tags", "star")], "updated_at": "2026-01-01T00:00:00Z"}
    new = {"id": 2, "result": said, "updated_at": "2026-01-02T00:00:00Z"}
    skipped = {"id": 3, "result": [ticks("tags", "flag")], "updated_at": "2026-01-03T00:00:00Z", "was_cancelled": True}
    expected = tagger.predict(encoded(), {"map": True, "star": False, "dog": True})
    task = {"id": 3, "data": {"photo": INSIDE}, "annotations": [new, old, skipped]}
    (found,) = ask(client, task).json()["results"]
    given = choices_of(found)
    assert given["not"] == ["star"] and given["kind"] == ["dog"]
    assert given["tags"] == (["flag"] if "flag" in expected.labels else []) + ["m"]
    p = expected.probabilities["flag"]
    assert found["score"] == pytest.approx((5 + max(p, 1 - p)) / 6, abs=1e-5)
    draft = {"result": [ticks("tags", "star")], "updated_at": "2026-01-04T00:00:00Z"}
    (found,) = ask(client, task | {"drafts": [draft]}).json()["results"]
    assert "star" in choices_of(found)["tags"]
    (found,) = ask(client, task | {"drafts": [draft]}, context={"result": [ticks("not", "star")]}).json()["results"]
    assert choices_of(found)["not"] == ["star"]


def test_a_task_that_cannot_be_predicted_does_not_cost_the_others(client, caplog):
    tasks = [
        {"id": 1, "data": {"photo": INSIDE}},
        {"id": 2, "data": {"photo": "data:image/png;base64,AAAA"}},
        {"id": 3, "data": {"other": "x"}},
        {"id": 4, "data": {"photo": INSIDE}, "annotations": [{"result": [ticks("tags", "star"), ticks("not", "star")]}]},
        {"id": 5, "data": {"photo": "http://elsewhere.example/a.png"}},
        {"id": 6, "data": {"photo": "/data/upload/1/a.png"}},
        {"id": 7, "data": {"photo": INSIDE}},
    ]
    answer = ask(client, *tasks).json()
    assert [bool(result) for result in answer["results"]] == [True, False, False, False, False, False, True]
    said = [
        "task 2: data:image/png;base64,AAAA: not a picture",
        "task 3: data['photo'] is None, expected the address of a picture",
        "task 4: 'star' is ticked as present and as absent",
        "task 5: http://elsewhere.example/a.png: nothing is fetched from there; to allow it: ctran serve --pictures-from",
        "task 6: /data/upload/1/a.png: that is Label Studio's to resolve; start ctran serve with --label-studio ADDRESS",
    ]
    for error, wanted in zip(answer["errors"], said, strict=True):
        assert error.startswith(wanted) and error in caplog.text


@pytest.mark.parametrize(
    ("choice", "labels", "unknown"),
    [
        ('value="x" predicted_values="map,star"', ("map", "star"), []),
        ('value="x" predicted_values=" map , star,, map"', ("map", "star"), []),
        ('value="x" predicted_values="map, tree"', ("map",), ["tree"]),
        ('value="x" predicted_values="a, b"', ("a, b",), []),
        ('value="x" predicted_values="A, B"', ("a, b",), []),
        ('value="x" predicted_values="a,b"', ("a", "b"), []),
        ('value="x" predicted_values="MAP,Star"', ("map", "star"), []),
        ('value="Map"', ("map",), []),
        ('value="map, star"', (), ["map, star"]),
        ('value="flag"', ("flag",), []),
        ('value="FLag"', (), ["FLag"]),
        ('value="x" predicted_values=","', (), [","]),
        ('value="E\u0301t\u00e9"', ("\u00e9t\u00e9",), []),
    ],
)
def test_a_choice_stands_for_the_labels_that_it_names(choice, labels, unknown):
    space = LabelSpace(("flag", "FLAG", "map", "star", "a, b", "a", "b", "\u00e9t\u00e9"))
    config = (
        '<View><Image name="i" value="$i"/><Choices name="c" toName="i"><Choice value="star" alias="other"/>{}</Choices></View>'
    )
    found = LabelConfig.parse(config.format(f"<Choice {choice}/>"), space)
    named = {name: each for name, each in found.choices[0].labels.items() if name != "other"}
    assert tuple(named.values()) == ((labels,) if labels else ())
    assert [name for name in unknown if repr(name) in "".join(found.left_out)] == unknown and bool(found.left_out) == bool(
        unknown
    )


SEVERAL = """<View><Image name="image" value="$photo"/>
  <Choices name="tags" toName="image" choice="multiple">
    <Choice value="Sign" predicted_values="flag,star"/> <Choice value="MAP"/>
  </Choices>
  <Choices name="not" toName="image" choice="multiple" model_state="absent">
    <Choice value="Sign" predicted_values="flag,star"/>
  </Choices>
</View>"""


def test_a_choice_of_several_labels_is_predicted_if_any_is_and_as_surely_as_the_most_probable(client, tagger, monkeypatch):
    for number in range(8):
        picture = encoded(seed=number)
        expected = tagger.predict(picture)
        task = {"id": 3, "data": {"photo": "data:;base64," + base64.b64encode(picture).decode()}}
        (found,) = ask(client, task, config=SEVERAL).json()["results"]
        wanted = [name for name, of in (("Sign", {"flag", "star"}), ("MAP", {"map"})) if of & set(expected.labels)]
        assert choices_of(found).get("tags", []) == wanted
        p = {"Sign": max(expected.probabilities["flag"], expected.probabilities["star"]), "MAP": expected.probabilities["map"]}
        sure = [p[name] if name in wanted else 1 - p[name] for name in p]
        assert found["score"] == pytest.approx(sum(sure) / 2, abs=1e-5)


def test_a_tick_of_several_labels_makes_none_known_and_stays_and_a_cross_makes_all_absent(client, tagger):
    ticked = {"id": 1, "data": {"photo": INSIDE}, "annotations": [{"result": [ticks("tags", "Sign")]}]}
    (found,) = ask(client, ticked, config=SEVERAL).json()["results"]
    expected = tagger.predict(encoded())
    assert choices_of(found)["tags"] == ["Sign"] + (["MAP"] if "map" in expected.labels else [])
    p = expected.probabilities["map"]
    assert found["score"] == pytest.approx((1 + max(p, 1 - p)) / 2, abs=1e-5)
    crossed = {"id": 1, "data": {"photo": INSIDE}, "annotations": [{"result": [ticks("not", "Sign")]}]}
    (found,) = ask(client, crossed, config=SEVERAL).json()["results"]
    p = tagger.predict(encoded(), {"flag": False, "star": False}).probabilities["map"]
    assert choices_of(found)["not"] == ["Sign"] and "Sign" not in choices_of(found).get("tags", [])
    assert found["score"] == pytest.approx((1 + max(p, 1 - p)) / 2, abs=1e-5)


def test_tasks_are_bounded_and_the_others_are_asked_for_again(serve):
    client = serve(max_tasks=2)
    answer = ask(client, *[{"id": n, "data": {"photo": INSIDE}} for n in range(5)]).json()
    assert [bool(result) for result in answer["results"]] == [True, True, False, False, False]
    assert answer["errors"] == ["3 of 5 tasks are beyond 2 a request; retrieve predictions again for them"]
    answer = ask(serve(task_seconds=-1), {"id": 7, "data": {"photo": INSIDE}}).json()
    assert answer["results"] == [[]] and answer["errors"][0].startswith("task 7: not begun within")


def test_any_fault_of_one_task_costs_that_task_alone(client, monkeypatch, caplog):
    session_of = client.app.state.ctran.models.current.predictor.session_of
    faults = iter([OSError("a"), KeyError("b"), RecursionError("c"), ValueError("d")])

    def fail(square):
        if (error := next(faults, None)) is not None:
            raise error
        return session_of(square)

    monkeypatch.setattr(client.app.state.ctran.models.current.predictor, "session_of", fail)
    answer = ask(client, *[{"id": n, "data": {"photo": INSIDE}} for n in range(5)]).json()
    assert sum(map(bool, answer["results"])) == 1 and caplog.text.count("Traceback") == 4
    assert len(answer["errors"]) == 4 and all("the server failed; its log says why" in error for error in answer["errors"])


ODD = [
    {"type": "choices", "from_name": "tags"},
    {"type": "choices", "from_name": "tags", "value": None},
    {"type": "choices", "from_name": "tags", "value": {"choices": None}},
    {"type": "choices", "from_name": "tags", "value": {"choices": [{}]}},
    {"type": "choices", "from_name": ["tags"], "value": {"choices": ["flag"]}},
    "abc",
    3,
]


@pytest.mark.parametrize("result", [*[[odd] for odd in ODD], "abc", {}])
def test_odd_annotations_do_not_cost_the_other_tasks(client, result):
    odd = {"id": 1, "data": {"photo": INSIDE}, "annotations": [{"result": result, "updated_at": None}]}
    answer = ask(client, odd, {"id": 2, "data": {"photo": INSIDE}})
    assert answer.status_code == 200 and answer.json()["results"][1]
    assert all(error.startswith("task 1: ") for error in answer.json()["errors"])


@pytest.mark.parametrize("odd", ["x", None, [], {"id": "a" * 99}, {"id": 1, "data": []}, {"data": {"photo": [INSIDE] * 3}}])
def test_odd_tasks_do_not_cost_the_others_and_are_named_in_short(client, odd):
    answer = ask(client, odd, {"id": 2, "data": {"photo": INSIDE}}).json()
    assert answer["results"][0] == [] and answer["results"][1]
    assert len(answer["errors"][0]) < 200


LONG = "x" * 100_000
SOURCES = [
    f"s3://{LONG}",
    "s3://b/\ud800",
    f"/data/{LONG}",
    "/data/\ud800",
    f"http://{LONG}",
    "http://\ud800.example/",
    "http://[::1",
    "http://a:99999/",
    "http://a\x00b/",
    f"data:,{LONG}",
    "data:,\ud800",
    "data:image/png;base64,\ud800",
    "data:image/png;base64,é",
    LONG,
    "\x00",
    "",
]


@pytest.mark.parametrize("source", SOURCES, ids=range(len(SOURCES)))
def test_odd_addresses_cost_their_task_alone_and_are_named_in_short(serve, caplog, source):
    client = serve(label_studio="http://127.0.0.1:9")
    body = {"tasks": [{"id": 1, "data": {"photo": source}}, {"id": 2, "data": {"photo": INSIDE}}], "label_config": CONFIG}
    answer = client.post("/predict", content=json.dumps(body), headers={"Content-Type": "application/json"}).json()
    assert answer["results"][0] == [] and answer["results"][1], answer["errors"]
    assert len(answer["errors"]) == 1 and len(answer["errors"][0]) < 400 and "Traceback" not in caplog.text


@pytest.mark.parametrize("context", ["x", [1], {"result": "x"}])
def test_an_odd_context_is_refused(client, context):
    assert ask(client, {"id": 1, "data": {"photo": INSIDE}}, context=context).status_code == 422


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("<View", "is not XML"),
        ("<View/>", "no <Choices> at all"),
        (
            '<View><Image name="i" value="$i"/><Choices name="c" toName="i"><Choice value="flagg"/></Choices></View>',
            "mean 'flag'",
        ),
        ('<View><Choices name="c" toName="i"><Choice value="flag"/></Choices></View>', "toName='i' is not an <Image>"),
        (ONE.format("").replace('value="flag"/>', "/>" + "".join(f'<Choice value="{n}"/>' for n in range(9))), "and 2 more"),
        (ONE.format("").replace("flag", "place"), "never asked for"),
        (ONE.format('allowNested="true"'), "allowNested is not supported"),
        (ONE.format('value="$all"'), "come with each task"),
        (ONE.format('model_state="gone"'), "expected 'present' or 'absent'"),
        (ONE.format('model_state="absent"'), "found only crosses"),
    ],
)
def test_a_configuration_that_the_model_cannot_serve_is_refused_with_what_was_found(client, config, message, caplog):
    with pytest.raises(LabelConfigError, match=message):
        LabelConfig.parse(config, replace(SPACE, names=(*SPACE.names, "place"), extra=("place",)))
    if "place" in config:
        return
    answer = client.post("/setup", json={"project": "1.17", "schema": config})
    assert answer.status_code == 422 and message in answer.json()["detail"] and message in caplog.text
    assert ask(client, {"id": 1, "data": {"photo": INSIDE}}, config=config).status_code == 422


def test_it_accepts_events_of_annotations_and_does_not_train(client):
    assert client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {}}).json() == {"status": "not used"}
    refused = client.post("/webhook", json={"action": "START_TRAINING", "project": {}})
    assert refused.status_code == 501 and "ctran train" in refused.json()["detail"]


def test_the_token_is_taken_as_the_password_of_basic(serve):
    client = serve(token="s3cret")
    body = {"project": "1.17", "schema": CONFIG}
    assert client.get("/health").status_code == 200
    assert client.post("/setup", json=body).status_code == 401
    assert client.post("/setup", json=body, auth=("anybody", "wrong")).status_code == 401
    assert client.post("/setup", json=body, headers={"Authorization": "Basic ?"}).status_code == 401
    assert client.post("/setup", json=body, auth=("anybody", "s3cret")).status_code == 200


# ------------------------------------------------------------------ pictures

LEGACY, PERSONAL = "0123abcd", "head.body.sign"


class LabelStudio(BaseHTTPRequestHandler):
    """What of Label Studio's addresses pictures need, as version 1.23 answers; counts what is asked."""

    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.path == "/api/token/refresh/" and sent == {"refresh": PERSONAL}
        self.server.accesses += right
        body = [] if sent == {"refresh": "an.odd.answer"} else {"access": f"a{self.server.accesses}"}
        self.say(200 if right or not body else 401, json.dumps(body).encode())

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        allowed = (f"Token {LEGACY}", f"Bearer a{max(self.server.accesses, 1) if not self.server.expired else 2}")
        where = base64.urlsafe_b64encode(b"s3://bucket/a.png").decode().replace("=", "%3D")
        if self.path.startswith("/open/"):
            self.say(200, encoded())
        elif self.path == "/moved":
            self.say(302, b"", Location="/open/a.png")
        elif self.headers.get("Authorization") not in allowed:
            self.say(401, b"")
        elif self.path == f"/tasks/7/resolve/?fileuri={where}":
            self.say(303, b"", Location=f"{self.server.storage}/open/a.png")
        elif self.path == "/data/upload/1/a%20b.png":
            self.say(200, encoded())
        else:
            self.say(404, b"")

    def say(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def sites():
    """Two servers: Label Studio, and a storage that it sends to."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), LabelStudio) for _ in range(2)]
    for server in servers:
        server.asked, server.accesses, server.expired = [], 0, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].storage = f"http://127.0.0.1:{servers[1].server_port}"
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def reader(sites):
    made = []

    def make(key=LEGACY, others=(), max_bytes=10**6):
        made.append(TaskPictures(f"http://127.0.0.1:{sites[0].server_port}/", key, others, max_bytes=max_bytes))
        return made[-1]

    yield make
    for pictures in made:
        pictures.close()


@pytest.mark.parametrize(("key", "scheme"), [(LEGACY, f"Token {LEGACY}"), (PERSONAL, "Bearer a1")])
def test_pictures_come_from_label_studio_with_either_kind_of_key(reader, sites, key, scheme):
    assert reader(key).read("/data/upload/1/a b.png") == encoded()
    assert sites[0].asked == [("/data/upload/1/a%20b.png", scheme)]


def test_an_access_token_that_has_expired_is_fetched_again(reader, sites):
    pictures = reader(PERSONAL)
    pictures.read("/data/upload/1/a b.png")
    sites[0].expired = True
    assert pictures.read("/data/upload/1/a b.png") == encoded() and sites[0].accesses == 2


def test_label_studio_resolves_addresses_of_storages_which_never_see_the_key(reader, sites):
    assert reader().read("s3://bucket/a.png", task=7) == encoded()
    assert sites[1].asked == [("/open/a.png", None)]


def test_other_sites_are_requested_only_if_allowed_and_without_the_key(reader, sites):
    address = f"{sites[0].storage}/open/a.png"
    with pytest.raises(TaskPictureError, match=f"--pictures-from {sites[0].storage}"):
        reader().read(address)
    with pytest.raises(TaskPictureError, match="nothing is fetched from there"):
        reader().read(f"//127.0.0.1:{sites[1].server_port}/open/a.png".replace("//", "http://x@", 1))
    assert sites[1].asked == []
    pictures = reader(others=[sites[0].storage])
    assert pictures.read(address) == encoded() and sites[1].asked == [("/open/a.png", None)]
    with pytest.raises(TaskPictureError, match=r"302 Found to /open/a\.png"):
        pictures.read(f"{sites[0].storage}/moved")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/data/upload/1/gone.png", "gone.png: 404 Not Found"),
        ("file:///etc/passwd", "expected http://... or https://"),
        ("/api/projects", "expected a file of Label Studio's, below /data/"),
        ("/data/../api/users", "expected a file of Label Studio's, below /data/"),
        ("/data/%2e%2e/api/users", "expected a file of Label Studio's, below /data/"),
        ("/", "expected a file of Label Studio's, below /data/"),
        ("ftp://x/a.png", "expected http://... or https://"),
        ("a.png", "is not an address"),
        ("http://", "is not an address"),
        ("data:image/png;base64,???", "no base64"),
        ("data:image/png;base64," + "A" * 2000, "more than 1,000 bytes"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(reader, source, message):
    with pytest.raises(TaskPictureError, match=message):
        reader(max_bytes=1000).read(source)


def test_a_picture_that_is_too_large_and_keys_that_are_wrong(reader, sites):
    with pytest.raises(TaskPictureError, match="more than 100 bytes"):
        reader(max_bytes=100).read("/data/upload/1/a b.png")
    with pytest.raises(TaskPictureError, match="401 Unauthorized; is LABEL_STUDIO_API_KEY"):
        reader("wrong").read("/data/upload/1/a b.png")
    with pytest.raises(TaskPictureError, match=r"refuses the personal access token \(401\)"):
        reader("not.that.one").read("/data/upload/1/a b.png")
    with pytest.raises(TaskPictureError, match="does not respond as Label Studio does"):
        reader("an.odd.answer").read("/data/upload/1/a b.png")
    sites[0].shutdown()
    sites[0].server_close()
    with pytest.raises(TaskPictureError, match=r"upload/1/a%20b\.png"):
        reader().read("/data/upload/1/a b.png")


@pytest.mark.parametrize("drips", ["head", "body", "nothing"])
def test_a_picture_that_drips_is_given_up_in_time_and_at_once_when_the_server_stops(drips):
    begun = {"head": b"HTTP/1.1 200 OK\r\nX: ", "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "nothing": b""}[
        drips
    ]
    over, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def drip():
        while not over.is_set():
            with suppress(OSError), listener.accept()[0] as client:
                client.sendall(begun)
                while not over.wait(0.05):
                    client.sendall(b"x" if begun else b"")

    thread = threading.Thread(target=drip)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
    try:
        pictures = TaskPictures(None, None, [address], max_bytes=10**6, seconds=0.4)
        with pytest.raises(TaskPictureError, match=r"did not arrive within 0\.4 s|timed out"):
            pictures.read(address)
        pictures = TaskPictures(None, None, [address], max_bytes=10**6, seconds=60)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(pictures.read, address)
            wait_until(lambda: pictures._coming)
            pictures.close()
            with pytest.raises(TaskPictureError, match="stopping"):
                asked.result(20)
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(20)
        listener.close()


def test_a_server_predicts_pictures_of_label_studio(serve, sites, tagger):
    client = serve(label_studio=f"http://127.0.0.1:{sites[0].server_port}", label_studio_key=LEGACY)
    (found,) = ask(client, {"id": 7, "data": {"photo": "/data/upload/1/a b.png"}}).json()["results"]
    kinds = ("cat", "dog", "ship")
    assert choices_of(found)["kind"] == [name for name in tagger.predict(encoded()).labels if name in kinds]
