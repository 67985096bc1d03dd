"""A folder behind HTTP: every change can be made, refused and undone by requests, and two windows lose no answer."""

import io
import json
import time

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from ctran.labelling.studio import Studio
from ctran.serving import response_bodies
from ctran.serving.folder_api import create_folder_app
from ctran.serving.settings import Settings
from tests.conftest import COLOURS, draw
from tests.serving.conftest import assert_as_described

SMALL = [
    "--model.backbone",
    "test_resnet",
    "--model.weights",
    "none",
    "--model.image_size",
    "64",
    "--model.inner_maps",
    "false",
]
"""Flags that make the recipe quick small."""
W = {"window": "one"}


class Described(TestClient):
    """Checks each response against what the application describes."""

    described = None

    def request(self, *given, **options):
        response = super().request(*given, **options)
        self.described = self.described or self.app.openapi()["paths"]
        assert_as_described(self.described, response)
        return response

    def post_json(self, path, **body):
        return self.post(f"/v1/folder/{path}", json=body)

    def about(self, window="one"):
        return self.get(f"/v1/folder?window={window}").json()


def colours_of(number):
    return [name for place, name in enumerate(COLOURS) if number % 7 >> place & 1]


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(getattr(tmp_path, "count", 24)):
        draw(root / f"{number:02}.png", colours_of(number), note=str(number))
    (root / "99.png").write_bytes(b"not a picture")
    return root


@pytest.fixture
def client(photos, tmp_path):
    studio = Studio(photos, tmp_path / "run", flags=SMALL)
    with Described(create_folder_app(studio, Settings(hosts=("testserver",))), raise_server_exceptions=False) as client:
        client.studio = studio
        yield client


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def edit(client, picture, change, base=None, window="one"):
    body = {"window": window, "edits": [{"picture": picture, "change": change, "base": base or {}}]}
    return client.post("/v1/folder/annotate", json=body)


def known(client, picture):
    return client.get(f"/v1/folder/pictures/{picture}").json()["known"]


def test_labels_are_typed_ticked_and_undone(client):
    assert client.about()["labels"] == [] and client.about()["undo"] is None
    before = client.about()["revision"]
    assert edit(client, 0, {"red": True, "blue": False}).json()["revision"] > before
    found = client.about()
    assert found["labels"] == [{"name": "red", "present": 1, "absent": 0}, {"name": "blue", "present": 0, "absent": 1}]
    assert found["annotated"] == 1 and found["undo"] == "“red” present, “blue” absent" and found["unsaved"]
    assert client.get("/v1/folder/pictures?limit=2").json()[0] | {"name": ""} == {
        "number": 0,
        "name": "",
        "known": 2,
        "present": 1,
        "broken": False,
    }
    assert client.post_json("undo", **W).json() == {"title": "“red” present, “blue” absent", "kept": 0}
    assert known(client, 0) == {} and client.about()["labels"] == []
    assert client.post_json("undo", **W).json() == {"title": None, "kept": 0}


def test_labels_are_added_renamed_merged_deleted_and_ruled_and_each_is_undone(client):
    for name in ("red", "crimson", "blue"):
        assert client.post_json("labels/add", **W, name=name).status_code == 200
    edit(client, 0, {"red": True})
    edit(client, 1, {"crimson": True, "blue": False})
    steps = [
        ("labels/rename", {"name": "blue", "to": "navy"}),
        ("labels/merge", {"name": "crimson", "into": "red"}),
        ("rules", {"groups": {"colour": ["red", "navy"]}, "implications": {}}),
        ("settings", {"others_absent": True}),
        ("confirm", {"pictures": [0, 1, 2]}),
        ("labels/delete", {"name": "red"}),
    ]

    def state():
        about = client.about()
        return [about[key] for key in ("labels", "groups", "implications", "others_absent")], [
            known(client, n) for n in range(3)
        ]

    states = []
    for path, body in steps:
        states.append(state())
        assert client.post_json(path, **W, **body).status_code == 200
        assert state() != states[-1], path
    for expected in reversed(states):
        assert client.post_json("undo", **W).json()["kept"] == 0
        assert state() == expected


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("annotate", {**W, "edits": [{"picture": 99, "change": {"red": True}}]}, 404, "there is no number 99"),
        ("annotate", {**W, "edits": []}, 422, "at least 1 item"),
        ("annotate", {"edits": [{"picture": 0, "change": {"red": True}}]}, 422, "window: Field required"),
        ("annotate", {**W, "edits": [{"picture": 0, "change": {"red": "yes"}}]}, 422, "valid boolean"),
        ("annotate", {**W, "edits": [{"picture": 0, "change": {"": True}}]}, 422, "name of a label is empty"),
        ("annotate", {**W, "edits": [{"picture": 0, "change": {"Red": True}}]}, 422, "there is a label 'red' already"),
        ("annotate", {**W, "edits": [{"picture": 0, "change": {}, "bass": {}}]}, 422, "Extra inputs"),
        ("annotate", {**W, "edits": [{"picture": 2, "change": {"red": True, "blue": True}}]}, 422, "blue"),
        ("confirm", {**W, "pictures": [-1]}, 422, "greater than or equal to 0"),
        ("confirm", {**W, "pictures": [99]}, 404, "no number 99"),
        ("undo", {}, 422, "window"),
        ("undo", {"window": ""}, 422, "at least 1 character"),
        ("labels/add", {**W, "name": "red"}, 422, "already"),
        ("labels/add", {**W, "name": "\x07"}, 422, "is not text"),
        ("labels/rename", {**W, "name": "rde", "to": "x"}, 422, "did you mean 'red'"),
        ("labels/merge", {**W, "name": "red", "into": "red"}, 422, "with itself"),
        ("labels/delete", {**W, "name": "green"}, 422, "no label 'green'"),
        ("rules", {**W, "groups": {"kind": ["red", "green"]}}, 422, "unknown label 'green'"),
        ("rules", {**W, "implications": {"red": ["blue"], "blue": ["red"]}}, 422, "circle"),
        ("settings", {**W, "others_absent": 1}, 422, "valid boolean"),
        ("next", {"order": "best"}, 422, "order"),
        ("next", {"without": [99]}, 404, "no number 99"),
        ("learn", None, 422, "at least 3 pictures"),
        ("pictures/0/ask", {"k": 0}, 422, "greater than or equal to 1"),
        ("pictures/99/ask", {}, 404, "no number 99"),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_changes_nothing(client, path, body, status, message):
    edit(client, 0, {"red": True})
    edit(client, 1, {"blue": True})
    client.post_json("rules", **W, groups={"colour": ["red", "blue"]})
    before = client.about() | {"encoded": 0}
    response = client.post(f"/v1/folder/{path}", json=body)
    assert (response.status_code, message in response.json()["detail"]) == (status, True), response.text
    assert client.about() | {"encoded": 0} == before and known(client, 0) == {"red": True}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("pictures/99", 404),
        ("pictures/99/file", 404),
        ("pictures/x", 422),
        ("pictures/24/file", 415),
        ("pictures/0/file?side=5000", 422),
        ("pictures?limit=0", 422),
        ("grid", 422),
        ("grid?label=x&offset=-1", 422),
    ],
)
def test_an_address_that_has_nothing_says_so(client, path, status):
    response = client.get(f"/v1/folder/{path}")
    assert response.status_code == status and response.json()["detail"]


def test_pictures_are_shown_large_and_small_and_small_ones_are_kept_on_disk(client, photos):
    sizes = [Image.open(io.BytesIO(client.get(f"/v1/folder/pictures/1/file?side={side}").content)).size for side in (20, 400)]
    assert sizes[0] == (20, 20)
    (photos / "01.png").unlink()
    gone = client.get("/v1/folder/pictures/1/file?side=1000")
    assert gone.status_code == 422 and "01.png cannot be read" in gone.json()["detail"]
    assert client.get("/v1/folder/pictures/0/file?side=20").status_code == 200


def test_two_windows_lose_no_answer_and_a_contradiction_is_a_409_that_shows_both(client):
    assert edit(client, 0, {"red": True}, window="one").status_code == 200
    assert edit(client, 0, {"blue": True}, window="two").status_code == 200
    assert known(client, 0) == {"red": True, "blue": True}
    response = edit(client, 0, {"red": False}, window="two")
    assert response.status_code == 409
    body = response_bodies.Conflicts.model_validate_json(response.content, strict=True)
    assert [(c.yours, c.saved) for c in body.conflicts] == [({"red": False}, {"red": True})]
    assert body.saved == known(client, 0) == {"red": True, "blue": True}
    many = [{"picture": n, "change": {"red": False}, "base": {}} for n in range(3)]
    assert client.post_json("annotate", window="two", edits=many).status_code == 409  # all, or nothing
    assert known(client, 1) == known(client, 2) == {}
    assert edit(client, 0, {"red": False}, body.saved, "two").status_code == 200
    assert client.post_json("undo", **W).json()["kept"] == 1 and known(client, 0) == {"red": False, "blue": True}


def test_what_is_annotated_is_learnt_and_every_picture_is_predicted(client, photos, tmp_path):
    for number in range(20):
        has = colours_of(number)
        edit(client, number, {name: name in has for name in COLOURS})
    wait_for(lambda: client.about()["encoded"] == 25)
    assert client.post("/v1/folder/learn").status_code == 202
    assert client.post("/v1/folder/learn").status_code == 409
    wait_for(lambda: client.about()["learning"]["state"] != "running")
    about = client.about()
    assert about["learning"]["state"] == "done", about["learning"]["text"]
    assert sorted(about["model"]) == sorted(COLOURS) and (photos / "metadata.jsonl").is_file()
    found = client.get("/v1/folder/pictures/22").json()
    assert set(found["probabilities"]) == set(COLOURS) and found["known"] == {}
    asked = client.post("/v1/folder/pictures/22/ask", json={"k": 2}).json()
    assert len(asked) == 2 and asked[0]["name"] in COLOURS
    edit(client, 22, {"red": True})
    given = client.get("/v1/folder/pictures/22").json()
    assert "red" in given["labels"] and "red" not in given["probabilities"]
    wait_for(lambda: all(each["probability"] is not None for each in client.get("/v1/folder/grid?label=red").json()[:24]))
    grid = client.get("/v1/folder/grid?label=red").json()
    assert [each["known"] for each in grid[:8]] == [True] * 8 and {each["number"] for each in grid} == set(range(25))
    open_ = [each["probability"] for each in grid if each["known"] is None and each["probability"] is not None]
    assert open_ == sorted(open_, reverse=True)
    assert client.get("/v1/folder/grid?label=cat").json()[0]["probability"] is None
    for order in ("order", "unsure", "teaches"):
        assert client.post_json("next", order=order).json()["number"] in (20, 21, 23), order
        assert client.post_json("next", order=order, without=[20, 21]).json()["number"] == 23, order
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics
    from ctran.cli.main import main

    assert main(["predict", str(tmp_path / "run"), str(photos / "22.png"), "--known", "red=yes"]) == 0


def test_a_training_that_fails_says_why_and_the_model_before_stays(client):
    for number in range(20):
        edit(client, number, {"red": "red" in colours_of(number)})
    client.studio.learner.flags = ("--training.epochs", "3")
    assert client.post("/v1/folder/learn").status_code == 202
    wait_for(lambda: client.about()["learning"]["state"] == "failed")
    assert "fitted in one step" in client.about()["learning"]["text"] and client.about()["model"] is None


def test_the_page_is_there(client):
    page = client.get("/")
    assert page.status_code == 200 and "default-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/static/folder/folder.js").status_code == 200
