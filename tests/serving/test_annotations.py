"""A folder that gets labelled keeps what is there, whoever writes; pictures of it that can be shown."""

import json
import os

import pytest

from ctran.serving.annotations import AnnotationError, Annotations
from ctran.serving.gallery import Gallery
from tests.serving.conftest import encoded


def test_rows_that_are_there_are_kept_with_all_their_columns(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "x.png", "labels": ["a"], "note": "mine"}\n\n')
    annotations = Annotations(tmp_path)
    annotations.save("y.png", {"b": False})
    annotations.save("x.png", {"a": False, "b": True})
    again = Annotations(tmp_path)
    assert len(again) == 2 and again.known("x.png") == {"b": True, "a": False}
    assert '"note": "mine"' in (tmp_path / "metadata.jsonl").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"metadata.jsonl", ".metadata.lock"}


def test_labels_that_the_model_does_not_have_stay_in_their_rows(tmp_path):
    rows = [
        {"file_name": "x.png", "labels": ["a", "mine"], "negatives": ["yours"]},
        {"file_name": "y.png", "labels": "a, mine,b", "negatives": ["a"]},
    ]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    annotations = Annotations(tmp_path, ("a", "b"))
    assert annotations.known("x.png") == {"a": True} and annotations.known("y.png") == {"a": True, "b": True}
    annotations.save("x.png", {"b": False})
    annotations.save("y.png", {"b": True})
    found = [json.loads(line) for line in (tmp_path / "metadata.jsonl").read_text().splitlines()]
    assert found == [
        {"file_name": "x.png", "labels": ["mine"], "negatives": ["yours", "b"]},
        {"file_name": "y.png", "labels": ["mine", "b"], "negatives": []},
    ]


def test_rows_that_were_written_meanwhile_are_kept_and_seen(tmp_path):
    one, other = Annotations(tmp_path), Annotations(tmp_path)
    one.save("x.png", {"a": True})
    other.save("y.png", {"a": False})
    with (tmp_path / "metadata.jsonl").open("a") as file:
        file.write('{"file_name": "z.png", "labels": ["a"]}\n')
    assert one.known("z.png") == {"a": True} and one.known("y.png") == {"a": False}
    assert len(other) == 3 and set(other.saved()) == {"x.png", "y.png", "z.png"}
    one.save("x.png", {})
    assert len(Annotations(tmp_path)) == 3


def test_names_with_odd_separators_come_back(tmp_path):
    annotations = Annotations(tmp_path)
    for name in ("a\u2028b.png", "a\x85b.png", "a\nb.png", 'a"b.png'):
        annotations.save(name, {"a": True})
        assert Annotations(tmp_path).known(name) == {"a": True}


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.parquet"])
def test_a_folder_whose_rows_are_in_another_file_is_refused(tmp_path, name):
    (tmp_path / name).write_text("file_name,labels\n")
    with pytest.raises(AnnotationError, match=rf"{name}: annotations are saved as metadata\.jsonl"):
        Annotations(tmp_path)


def test_files_whose_names_are_no_text_and_hidden_ones_are_left_out(tmp_path):
    for name in (b"caf\xe9.png", b"ok.png", b"._ok.png", b"video.mpg", b".cache/x.png"):
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded())
    gallery = Gallery.of_folder(Annotations(tmp_path))
    assert [entry.name for entry in gallery.entries] == ["ok.png"] and gallery.left_out == ["'caf\\udce9.png'"]


@pytest.mark.parametrize("line", ["{", "[]", '{"labels": []}', "3"])
def test_a_damaged_file_is_refused_and_left_alone(tmp_path, line):
    (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "x.png"}}\n{line}\n')
    with pytest.raises(AnnotationError, match="row 2: expected JSON with a file_name"):
        Annotations(tmp_path)


def test_a_save_keeps_the_mode_of_the_file_and_a_symbolic_link_to_it(tmp_path):
    folder, shared = tmp_path / "photos", tmp_path / "shared.jsonl"
    folder.mkdir()
    shared.write_text('{"file_name": "x.png", "labels": []}\n')
    shared.chmod(0o664)
    (folder / "metadata.jsonl").symlink_to(shared)
    Annotations(folder).save("x.png", {"a": True})
    assert (folder / "metadata.jsonl").is_symlink() and shared.stat().st_mode & 0o777 == 0o664
    assert json.loads(shared.read_text())["labels"] == ["a"]


def test_what_a_folder_holds_beside_the_pictures_is_counted_and_an_empty_one_is_reported(tmp_path):
    annotations = Annotations(tmp_path)
    assert Gallery.of_folder(annotations).notes == [f"{tmp_path} holds no picture that can be read"]
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + bytes(30))
    (tmp_path / "picture").write_bytes(encoded())
    (tmp_path / "notes.txt").write_text("no picture")
    notes = Gallery.of_folder(annotations).notes
    assert len(notes) == 3 and "JPEG XL" in notes[1] and "without an ending" in notes[2]
    (tmp_path / "ok.png").write_bytes(encoded())
    assert Gallery.of_folder(annotations).notes == notes[1:]
