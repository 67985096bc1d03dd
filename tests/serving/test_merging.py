"""Several people annotate one folder: nothing that anybody saved is lost, and a contradiction is shown to both sides."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from ctran.labelling import rows
from ctran.labelling.merging import ConflictError, merge
from ctran.serving.annotations import AnnotationError, Annotations
from tests.serving.conftest import encoded

known = st.dictionaries(st.sampled_from("abcd"), st.booleans())


def changed(base, now):
    return {name: now.get(name) for name in base | now if now.get(name) != base.get(name)}


@given(known, known, known)
def test_a_merge_holds_the_changes_of_both_or_names_each_label_that_they_changed_differently(base, yours, saved):
    mine, theirs = changed(base, yours), changed(base, saved)
    clash = {name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name]}
    try:
        found = merge(base, yours, saved, lambda known: False)
    except ConflictError as error:
        assert {name for each in error.conflicts for name in each.yours} == clash and clash
        assert error.saved == saved
    else:
        assert not clash
        for name in "abcd":
            assert found.get(name) == mine.get(name, saved.get(name))


@given(known, known, known)
def test_a_merge_is_never_a_contradiction_and_the_message_names_both_sides(base, yours, saved):
    def contradicts(labels):
        return sum(labels.get(name, False) for name in "abc") > 1 or all(labels.get(name) is False for name in "abc")

    if contradicts(base) or contradicts(yours) or contradicts(saved):
        return
    try:
        assert not contradicts(merge(base, yours, saved, contradicts))
    except ConflictError as error:
        for each in error.conflicts:
            assert each.yours and each.saved
            assert all(repr(name) in str(error) for name in (*each.yours, *each.saved))


def opened(client, number=0):
    return client.post(f"/v1/gallery/{number}").json()


def save(client, image, known, **more):
    return client.post(f"/v1/images/{image['id']}/save", json={"known": known, **more})


def row(folder, name="a.png"):
    rows = map(json.loads, (folder / "metadata.jsonl").read_text().splitlines())
    return next(each for each in rows if each["file_name"] == name)


def test_two_windows_that_open_one_picture_keep_the_labels_of_both(client, folder):
    one, other = opened(client), opened(client)
    assert save(client, one, {"flag": True}).json() == {"file_name": "a.png", "count": 1}
    found = save(client, other, {"map": False})
    assert found.json() == {"file_name": "a.png", "count": 1, "merged": {"flag": True, "map": False}}
    assert row(folder) == {"file_name": "a.png", "labels": ["flag"], "negatives": ["map"]}
    again = save(client, other, {"flag": True, "map": True})  # relative to what it was given last
    assert again.status_code == 200 and row(folder)["labels"] == ["flag", "map"]
    assert opened(client)["annotation"] == opened(client)["known"] == {"flag": True, "map": True}


def test_a_label_that_one_window_sets_back_to_unknown_goes_and_those_of_the_other_stay(client, folder):
    save(client, opened(client), {"flag": True, "map": True})
    one, other = opened(client), opened(client)
    assert save(client, one, {"flag": True}).status_code == 200  # map was set back
    assert save(client, other, {"flag": True, "map": True, "star": False}).json()["merged"] == {"flag": True, "star": False}
    assert row(folder) == {"file_name": "a.png", "labels": ["flag"], "negatives": ["star"]}


@pytest.mark.parametrize(
    ("first", "second", "conflicts"),
    [
        ({"flag": True}, {"flag": False}, [{"yours": {"flag": False}, "saved": {"flag": True}}]),
        ({"cat": True}, {"dog": True, "map": True}, [{"yours": {"dog": True}, "saved": {"cat": True}}]),
        ({"cat": True}, {"animal": False}, [{"yours": {"animal": False}, "saved": {"cat": True}}]),
        (
            {"cat": False, "flag": True},
            {"dog": False, "ship": False},
            [{"yours": {"dog": False, "ship": False}, "saved": {"cat": False, "flag": True}}],
        ),
    ],
)
def test_a_contradiction_is_a_409_that_shows_both_writes_nothing_and_can_be_decided(client, folder, first, second, conflicts):
    one, other = opened(client), opened(client)
    save(client, one, first)
    before = (folder / "metadata.jsonl").read_bytes()
    refused = save(client, other, second)
    assert refused.status_code == 409 and refused.json()["conflicts"] == conflicts and refused.json()["saved"] == first
    for name in (*conflicts[0]["yours"], *conflicts[0]["saved"]):
        assert repr(name) in refused.json()["detail"]
    assert (folder / "metadata.jsonl").read_bytes() == before
    decided = save(client, other, second, base=refused.json()["saved"])
    assert decided.status_code == 200 and opened(client)["annotation"] == second


def test_a_label_set_back_to_unknown_conflicts_with_another_value_of_it(client):
    save(client, opened(client), {"flag": True})
    one, other = opened(client), opened(client)
    save(client, one, {"flag": False})
    refused = save(client, other, {})
    assert refused.json()["conflicts"] == [{"yours": {"flag": None}, "saved": {"flag": False}}]


def test_the_same_upload_in_two_windows_is_merged_and_its_annotation_is_known(client):
    picture = encoded(seed=8)
    one, other = (client.post("/v1/images", content=picture).json() for _ in range(2))
    save(client, one, {"flag": True})
    assert save(client, other, {"map": True}).json()["merged"] == {"flag": True, "map": True}
    third = client.post("/v1/images", content=picture).json()
    assert third["saved"] and third["annotation"] == {"flag": True, "map": True} and third["known"] == {}


def test_names_in_a_base_are_checked(client):
    answer = save(client, opened(client), {}, base={"flagg": True})
    assert answer.status_code == 422 and "did you mean 'flag'" in answer.json()["detail"]


def test_labels_from_many_windows_of_two_servers_are_all_kept(folder):
    names = [f"label {n}" for n in range(24)]
    servers = Annotations(folder), Annotations(folder)
    started = threading.Barrier(8)

    def annotate(worker):
        started.wait(20)
        for name in names[worker::8]:
            servers[worker % 2].save("a.png", {name: True}, base={})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(annotate, range(8)))
    assert Annotations(folder).known("a.png") == dict.fromkeys(names, True)


def test_a_lock_that_is_never_released_is_reported_and_nothing_is_saved(client, folder, monkeypatch):
    monkeypatch.setattr(rows, "PATIENCE", 0.01)
    with FileLock(folder / rows.LOCK):
        busy = save(client, opened(client), {"flag": True})
    assert busy.status_code == 503 and "held by another process" in busy.json()["detail"]
    assert save(client, opened(client), {"flag": True}).status_code == 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"file_name": "\xff"}\n', r"metadata\.jsonl is not UTF-8"),
        (b'{"file_name": "a.png"}\n' + b"[" * 100_000 + b"\n", "row 2: expected JSON with a file_name"),
        (b'{"file_name": ["a.png"]}\n', "row 1: expected JSON with a file_name"),
        (b'{"file_name": "a.png"}\n{"file_name": "a.png"}\n', "row 2: 'a.png' is listed twice"),
    ],
)
def test_rows_that_would_be_lost_or_misread_are_refused_by_file_and_row(tmp_path, content, message):
    (tmp_path / "metadata.jsonl").write_bytes(content)
    with pytest.raises(AnnotationError, match=message):
        Annotations(tmp_path)
