"""The server's answers are the model's, and its refusals say why."""

import base64
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from PIL import Image

from ctran.data.sources import imagefolder
from ctran.serving.store import CachedPicture, Store
from tests.serving.conftest import SPACE, encoded


def test_a_picture_is_predicted_as_the_tagger_predicts_it(client, tagger):
    picture = encoded()
    expected = tagger.predict(picture)
    for given in ({"content": picture}, {"files": {"file": ("holiday.png", picture)}}):
        response = client.post("/v1/images", **given)
        assert response.status_code == 201
        found = response.json()
        assert found["labels"] == expected.labels
        assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
        assert list(found["probabilities"]) == list(expected.probabilities)  # most probable first
    assert found["name"] == "holiday.png"


def test_a_name_beyond_ascii_arrives(client):
    response = client.post("/v1/images", content=encoded(), headers={"X-File-Name": "%C3%A9t%C3%A9.png"})
    assert response.json()["name"] == "été.png"


def test_known_labels_change_the_prediction_and_the_server_stores_none_of_them(client, image, tagger):
    known = {"flag": True, "cat": False}
    found = client.post(f"/v1/images/{image}/predict", json={"known": known}).json()
    expected = tagger.predict(encoded(), known)
    assert found["known"] == known and found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    again = client.post(f"/v1/images/{image}/predict", json={}).json()
    assert again["probabilities"] == pytest.approx(tagger.predict(encoded()).probabilities, abs=1e-5)
    everything = client.post(f"/v1/images/{image}/predict", json={"thresholds": 0}).json()
    assert set(SPACE.names) - set(everything["labels"]) <= {"cat", "dog", "ship"}
    some = client.post(f"/v1/images/{image}/predict", json={"thresholds": {"flag": 0, "map": 1, "star": 1}}).json()["labels"]
    assert "flag" in some and not {"map", "star"} & set(some)


def test_questions_what_ifs_and_sets_are_those_of_a_session(client, image, tagger):
    session = tagger.session(encoded()).tell({"flag": True})
    body = {"known": {"flag": True}}
    asked = client.post(f"/v1/images/{image}/ask", json=body | {"k": 3}).json()
    expected = session.ask(3)
    assert [q["name"] for q in asked] == [q.name for q in expected]
    assert [q["score"] for q in asked] == pytest.approx([q.score for q in expected], abs=1e-5)
    moved = client.post(f"/v1/images/{image}/what-if", json=body | {"label": "map", "present": True}).json()
    wanted = session.what_if("map", present=True)
    assert {n: m["after"] for n, m in moved.items()} == pytest.approx({n: c.after for n, c in wanted.items()}, abs=1e-5)
    sets = client.post(f"/v1/images/{image}/sets", json=body | {"count": 2, "seed": 3}).json()
    drawn = session.sample(2, generator=torch.Generator().manual_seed(3))
    assert [s["labels"] for s in sets["drawn"]] == [list(s.labels) for s in drawn]
    assert sets["most_likely"]["labels"] == list(session.most_likely().labels)


def test_numbers_that_json_does_not_have_are_refused_by_name(client, image):
    answer = client.post(
        f"/v1/images/{image}/predict", content='{"thresholds": NaN}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422 and "thresholds" in answer.text and "input" not in answer.text


def test_the_picture_itself_is_shown_as_large_as_is_asked_for(client):
    image = client.post("/v1/images", content=encoded(size=(300, 200))).json()["id"]
    sizes = {side: client.get(f"/v1/images/{image}/picture?side={side}") for side in (100, 4000)}
    found = {side: Image.open(io.BytesIO(answer.content)).size for side, answer in sizes.items()}
    assert found == {100: (100, 67), 4000: (300, 200)}
    assert client.get(f"/v1/images/{image}/picture?side=0").status_code == 422


def test_the_picture_heat_maps_and_attention_are_pictures(client, image):
    plain = client.get(f"/v1/images/{image}/picture")
    told = client.post(f"/v1/images/{image}/attention/flag", json={"known": {"map": True}})
    untold = client.get(f"/v1/images/{image}/attention/flag?layer=0")
    slash = client.get(f"/v1/images/{image}/attention/été/ü")
    maps = [client.get(f"/v1/images/{image}/heatmap/{label}") for label in ("flag", "map", "star", "été/ü")]
    given = client.post(f"/v1/images/{image}/heatmap/star", json={"known": {"map": True}})
    for response in (plain, told, untold, slash, given, *maps):
        assert response.status_code == 200 and response.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(response.content)).size == (64, 64)
    assert len({r.content for r in (plain, told, untold)}) == 3
    assert len({r.content for r in (plain, *maps)}) > 2  # labels that nothing speaks for have the plain picture


def test_several_pictures_are_predicted_in_one_request_and_none_is_kept(client, tagger):
    files = [encoded(seed=n) for n in range(3)]
    images = [{"data": base64.b64encode(f).decode(), "known": {"flag": bool(n)}} for n, f in enumerate(files)]
    found = client.post("/v1/predict", json={"images": images}).json()
    for number, (file, each) in enumerate(zip(files, found, strict=True)):
        expected = tagger.predict(file, {"flag": bool(number)}).probabilities
        assert each["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert "ctran_cached_images 0.0" in client.get("/metrics").text


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("predict", {"known": {"flg": True}}, 422, "did you mean 'flag'"),
        ("predict", {"known": {"flag": 1}}, 422, "valid boolean"),
        ("predict", {"known": {"flag": "yes"}}, 422, "valid boolean"),
        ("predict", {"unknown": {}}, 422, "Extra inputs"),
        ("predict", {"known": {"cat": True, "dog": True}}, 422, "cannot both be present"),
        ("predict", {"known": {"cat": True, "animal": False}}, 422, "implies"),
        ("predict", {"thresholds": 2}, 422, "less than or equal to 1"),
        ("predict", {"thresholds": {"flag": -1}}, 422, "greater than or equal to 0"),
        ("predict", {"thresholds": {"flagg": 0.5}}, 422, "did you mean 'flag'"),
        ("predict", {"threshold": 0.5}, 422, "Extra inputs are not permitted"),
        ("predict", [], 422, "dictionary"),
        ("ask", {"k": 0}, 422, "greater than or equal"),
        ("ask", {"k": True}, 422, "valid integer"),
        ("ask", {"seed": 2**64}, 422, "seed"),
        ("ask", {"policy": "magic"}, 422, "'information', 'uncertainty', 'total' or 'random'"),
        ("ask", {"costs": {"flag": -1}}, 422, "greater than 0"),
        ("ask", {"within": ["nothing"]}, 422, "unknown label 'nothing'"),
        ("what-if", {"label": "flag"}, 422, "Field required"),
        ("what-if", {"label": "x", "present": True}, 422, "unknown label 'x'"),
        ("sets", {"count": 101}, 422, "at most 100"),
        ("heatmap/x", {}, 422, "unknown label"),
        ("heatmap/flag", {"known": {"cat": True, "dog": True}}, 422, "cannot both be present"),
        ("attention/x", {}, 422, "unknown label"),
        ("attention/flag?layer=7", {}, 422, "expected 0 to 1, got 7"),
    ],
)
def test_a_wrong_query_is_refused_with_the_reason(client, image, path, body, status, message):
    response = client.post(f"/v1/images/{image}/{path}", json=body)
    assert response.status_code == status, response.text
    assert message in json.dumps(response.json()["detail"], ensure_ascii=False)


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 422, "the request is empty"),
        (b"no picture at all", 415, "not a picture"),
        (encoded()[:200], 422, "broken picture"),
        (b"GIF89a" + b"\xff" * 40, 415, "not a picture"),
        (encoded(size=(300, 200)), 422, "60000"),
    ],
)
def test_an_upload_that_is_not_a_readable_picture_is_refused_with_a_reason(serve, content, status, message):
    response = serve(max_pixels=50_000).post("/v1/images", content=content)
    assert response.status_code == status
    assert message.replace("60000", "300 x 200 pixels, at most 50,000") in response.json()["detail"]


def test_a_form_without_a_file_and_a_broken_form_are_refused(client):
    plain = client.post("/v1/images", files={"note": (None, "text")})
    assert plain.status_code == 422 and "holds no file" in plain.json()["detail"]
    broken = client.post("/v1/images", content=b"xx", headers={"Content-Type": "multipart/form-data; boundary=q"})
    assert broken.status_code in (400, 422)
    capitals = {"Content-Type": "Multipart/Form-Data; boundary=q"}
    form = b'--q\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n' + encoded() + b"\r\n--q--\r\n"
    assert client.post("/v1/images", content=form, headers=capitals).json()["name"] == "a.png"


def test_unknown_ids_and_numbers_are_not_found(client, image):
    for response in (
        client.post("/v1/images/x/predict", json={}),
        client.get("/v1/images/x/picture"),
        client.post("/v1/gallery/99"),
        client.get("/v1/gallery/-1/thumbnail"),
    ):
        assert response.status_code == 404
    assert len(image) >= 22 and image != client.post("/v1/images", content=encoded()).json()["id"]


def test_a_picture_that_cannot_be_predicted_does_not_cost_the_others_of_a_request(client, tagger):
    good, bad = (base64.b64encode(content).decode() for content in (encoded(), encoded()[:200]))
    images = [
        {"data": bad},
        {"data": good, "known": {"flag": True}},
        {"data": "@@"},
        {"data": good, "known": {"flg": True}},
        {"data": good, "known": {"cat": True, "dog": True}},
        {"data": base64.b64encode(b"no picture").decode()},
        {"data": good},
    ]
    found = client.post("/v1/predict", json={"images": images}).json()
    assert [number for number, each in enumerate(found) if "error" in each] == [0, 2, 3, 4, 5]
    assert all(each["error"].startswith(f"images[{number}]") for number, each in enumerate(found) if "error" in each)
    for number, known in ((1, {"flag": True}), (6, {})):
        expected = tagger.predict(encoded(), known)
        assert found[number]["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    assert client.post("/v1/predict", json={"images": images[:1]}).status_code == 422
    assert client.post("/v1/predict", json={"images": images[5:6]}).status_code == 415


def test_batches_are_limited(serve):
    one = {"data": base64.b64encode(encoded()).decode()}
    client = serve(max_images=2)
    assert client.post("/v1/predict", json={"images": [one] * 2}).status_code == 200
    assert "at most 2 a request, got 3" in client.post("/v1/predict", json={"images": [one] * 3}).json()["detail"]
    assert client.post("/v1/predict", json={"images": []}).status_code == 422
    assert "images[0].data is not base64" in client.post("/v1/predict", json={"images": [{"data": "@@"}]}).json()["detail"]


def test_requests_of_too_many_bytes_are_refused_with_and_without_a_length(serve):
    client = serve(max_bytes=1000)
    said = client.post("/v1/images", content=b"x" * 1001)
    silent = client.post("/v1/images", content=iter([b"x" * 600, b"x" * 600]))
    as_json = client.post("/v1/predict", content=iter([b"{" * 600, b"x" * 600]), headers={"Content-Type": "application/json"})
    for response in (said, silent, as_json):
        assert response.status_code == 413 and "1,000 bytes" in response.json()["detail"]


def test_a_token_is_asked_for_where_one_is_set(serve):
    client = serve(token="secret")
    assert client.get("/v1/model").status_code == client.get("/metrics").status_code == 401
    assert client.get("/v1/model", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/v1/model", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert (
        client.get("/healthz").status_code == client.get("/").status_code == client.get("/static/studio.js").status_code == 200
    )
    assert "HTTPBearer" in client.get("/openapi.json").json()["components"]["securitySchemes"]  # so /docs can send it


def test_the_page_cannot_be_framed_and_responds_to_head(client):
    assert "frame-ancestors 'none'" in client.head("/").headers["content-security-policy"]


def test_many_large_pictures_are_decoded_one_after_the_other(client, monkeypatch):
    state, at_once, lock = client.app.state.ctran, [], threading.Lock()
    predictor = state.models.current.predictor
    decode, running = predictor.square, 0

    def counted(*given, **options):
        nonlocal running
        with lock:
            running += 1
            at_once.append(running)
        try:
            return decode(*given, **options)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(predictor, "square", counted)
    file = io.BytesIO()
    Image.new("L", (6000, 4000)).save(file, "PNG", compress_level=1)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/images", content=file.getvalue()).status_code, range(4)))
    assert answers == [201] * 4 and max(at_once) == 1


def test_calls_by_another_name_are_refused(serve):
    client = serve()
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400
    assert serve(hosts=("*",)).get("/healthz", headers={"Host": "any.example"}).status_code == 200


def test_a_busy_server_states_when_to_retry(serve, held_up):
    entered, leave = held_up()
    client = serve(in_flight=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/images", content=encoded())
        assert entered.wait(20)
        refused = client.post("/v1/images", content=encoded())
        assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == client.get("/metrics").status_code == 200
        leave.set()
        assert first.result().status_code == 201
    assert client.post("/v1/images", content=encoded()).status_code == 201


def test_requests_are_counted(client, image):
    client.post(f"/v1/images/{image}/predict", json={})
    client.post("/v1/images", content=b"no")
    text = client.get("/metrics").text
    assert 'ctran_requests_total{route="/v1/images",status="201"} 1.0' in text
    assert 'ctran_requests_total{route="/v1/images",status="415"} 1.0' in text
    assert 'ctran_requests_total{route="/v1/images/{image}/predict",status="200"} 1.0' in text
    assert "ctran_cached_images 1.0" in text and 'ctran_batch_calls_count{kind="encode"} 1.0' in text


def test_pictures_are_dropped_when_the_cache_is_full_the_least_recently_used_first(serve):
    client = serve()
    ids = [client.post("/v1/images", content=encoded(seed=n)).json()["id"] for n in range(2)]
    size = (
        float(next(x for x in client.get("/metrics").text.splitlines() if x.startswith("ctran_cached_bytes ")).split()[1]) / 2
    )
    client = serve(cache_bytes=int(2.5 * size))
    ids = [client.post("/v1/images", content=encoded(seed=n)).json()["id"] for n in range(2)]
    assert client.post(f"/v1/images/{ids[0]}/predict", json={}).status_code == 200
    client.post("/v1/images", content=encoded(seed=2))
    found = [client.post(f"/v1/images/{i}/predict", json={}).status_code for i in ids]
    assert found == [200, 404]


def test_the_latest_picture_stays_whatever_its_size(tagger):
    store = Store(10)
    name = store.add(CachedPicture(tagger.session(encoded()), b"", "x"))
    assert store[name].name == "x" and store.nbytes > 10
    other = store.add(CachedPicture(tagger.session(encoded()), b"", "y"))
    assert len(store) == 1 and store[other].name == "y"


# --------------------------------------------------------------- labelling


def test_a_picture_that_is_gone_and_a_folder_that_is_full_are_reported(client, image, folder, monkeypatch):
    (folder / "a.png").unlink()
    for answer in (client.post("/v1/gallery/0"), client.get("/v1/gallery/0/thumbnail")):
        assert answer.status_code == 422 and "a.png cannot be read (No such file" in answer.json()["detail"]

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ctran.serving.annotations.write_bytes", full)
    answer = client.post(f"/v1/images/{image}/save", json={"known": {"flag": True}})
    assert answer.status_code == 507 and "No space left on device" in answer.json()["detail"]


def test_annotations_written_by_another_program_are_read(client, folder):
    row = {"file_name": "a.png", "labels": ["flag"], "negatives": ["map"]}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    assert client.get("/v1/model").json()["start"] == 1 and client.get("/v1/gallery").json()[0]["saved"]
    opened = client.post("/v1/gallery/0").json()
    assert opened["saved"] and opened["known"] == {"flag": True, "map": False}


def test_each_person_begins_at_another_picture(client):
    def start(person):
        return client.get("/v1/model", params={"person": person}).json()["start"]

    assert [start(person) for person in ("ann", "bo", "ann", "bo")] == [0, 1, 0, 1]
    image = client.post("/v1/gallery/1").json()["id"]
    client.post(f"/v1/images/{image}/save", json={"known": {"flag": True}})
    assert [start(person) for person in ("ann", "bo")] == [0, 2]
    assert client.get("/v1/model", params={"person": 65 * "x"}).status_code == 422


def test_a_folder_is_labelled_and_can_be_trained_on(client, folder):
    names = client.get("/v1/gallery").json()
    assert [(e["name"], e["saved"]) for e in names] == [("a.png", False), ("b.jpg", False), ("more/c.png", False)]
    answers = [{"flag": True, "map": False}, {"cat": True}, {"map": True, "flag": False}]
    for number, known in enumerate(answers):
        opened = client.post(f"/v1/gallery/{number}").json()
        saved = client.post(f"/v1/images/{opened['id']}/save", json={"known": known}).json()
        assert saved == {"file_name": names[number]["name"], "count": number + 1}
        assert client.get("/v1/model").json()["start"] == (number + 1) % 3
    assert [e["saved"] for e in client.get("/v1/gallery").json()] == [True] * 3
    assert client.post("/v1/gallery/1").json()["known"] == {"cat": True}
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert rows[0] == {"file_name": "a.png", "labels": ["flag"], "negatives": ["map"]}
    tables = imagefolder.build(imagefolder.Config(root=folder, absent="unknown"))
    found = {name: row for t in tables.values() for name, row in zip(t.ids, t.truth.dense().tolist(), strict=True)}
    labels = next(iter(tables.values())).labels
    at = {n: labels.index(n) for n in ("flag", "map", "cat")}
    assert {n: found["a.png"][i] for n, i in at.items()} == {"flag": 2, "map": 1, "cat": 0}


def test_an_uploaded_picture_is_saved_beside_its_annotation(client, folder):
    picture = encoded(seed=9)
    for known in ({"flag": True}, {"flag": False}):
        image = client.post("/v1/images", files={"file": ("../../a.png", picture)}).json()["id"]
        saved = client.post(f"/v1/images/{image}/save", json={"known": known}).json()
        assert saved["count"] == 1 and "/" not in saved["file_name"] and saved["file_name"].endswith(".png")
    assert (folder / saved["file_name"]).read_bytes() == picture
    (row,) = map(json.loads, (folder / "metadata.jsonl").read_text().splitlines())
    assert row["negatives"] == ["flag"] and row["labels"] == []


def test_saving_refuses_what_cannot_be_and_servers_that_save_nothing(serve):
    client = serve()
    image = client.post("/v1/images", content=encoded()).json()["id"]
    assert client.post(f"/v1/images/{image}/save", json={"known": {"flg": True}}).status_code == 422
    client = serve(save=False)
    image = client.post("/v1/images", content=encoded()).json()["id"]
    assert client.post(f"/v1/images/{image}/save", json={}).status_code == 409
    assert client.get("/v1/model").json()["saves"] is False


def test_small_pictures_are_small(client):
    small = Image.open(io.BytesIO(client.get("/v1/gallery/0/thumbnail").content))
    assert small.format == "JPEG" and max(small.size) == 160


def test_the_page_asks_nobody_else_for_anything(client):
    response = client.get("/")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    for path in ("/", "/static/studio.css", "/static/studio.js", "/static/api.js", "/static/list.js", "/docs"):
        text = client.get(path).text
        assert not [word for word in ("https://", "http://", "//cdn") if word in text.replace("http://server/", "")], path


def test_the_description_names_every_call(client):
    paths = client.get("/openapi.json").json()["paths"]
    wanted = ("images", "images/{image}/predict", "images/{image}/ask", "images/{image}/what-if", "images/{image}/sets")
    assert {f"/v1/{p}" for p in wanted} | {"/v1/predict", "/healthz", "/metrics"} <= set(paths)


def test_the_description_of_responses_depends_on_no_setting(serve):
    plain, other = (
        {
            (path, method): call["responses"]
            for path, calls in serve(**options).app.openapi()["paths"].items()
            for method, call in calls.items()
        }
        for options in ({}, {"save": False, "token": "secret", "cors": ("https://example.org",)})
    )
    assert plain == other
