"""A folder that gets labelled: nothing that anybody set is lost, everything can be undone, and the files are plain."""

import json
import re
import sqlite3
from contextlib import closing
from itertools import pairwise

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ctran.data.folder_labels import FolderLabels
from ctran.data.sources import imagefolder
from ctran.data.table import DataError
from ctran.errors import UserError
from ctran.labelling.folder import Edit, LabelledFolder
from ctran.labelling.merging import ConflictError
from tests.conftest import draw

BOMB = "labels: [&a [x, x], " + ", ".join(f"&{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghijkl")) + "]"
"""Written out it has 10 ** 10 entries."""


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(6):
        draw(root / f"{number}.png", ["red"] * (number % 2), note=str(number))
    return root


@pytest.fixture
def folder(photos):
    opened = LabelledFolder(photos)
    yield opened
    opened.close()


def tick(folder, picture, window="w", base=None, **change):
    folder.annotate(window, [Edit(picture, change, base or {})])


def rows_of(root):
    return {row["file_name"]: row for row in map(json.loads, (root / "metadata.jsonl").read_text().splitlines())}


def test_a_change_is_in_the_journal_at_once_and_in_the_files_when_flushed(photos, folder):
    tick(folder, "0.png", dog=True, cat=False)
    assert folder.labels.names == ("dog", "cat") and folder.known("0.png") == {"dog": True, "cat": False}
    assert not (photos / "metadata.jsonl").exists() and folder.unsaved
    with sqlite3.connect(photos / ".ctran" / "journal.sqlite") as other:
        assert other.execute("SELECT known FROM picture").fetchall() == [('{"dog": true, "cat": false}',)]
    assert folder.flush() and not folder.unsaved and not folder.flush()
    assert rows_of(photos) == {"0.png": {"file_name": "0.png", "labels": ["dog"], "negatives": ["cat"]}}
    assert yaml.safe_load((photos / "labels.yaml").read_text())["labels"] == ["dog", "cat"]


def test_what_was_not_flushed_before_a_crash_is_there_again(photos, folder):
    tick(folder, "0.png", dog=True)
    folder.flush()
    tick(folder, "1.png", dog=True)
    folder._alone.release()  # as when the process is killed
    again = LabelledFolder(photos)
    assert again.known("1.png") == {"dog": True} and again.unsaved and again.undo("w").title == "“dog” present"
    assert again.known("1.png") == {} and again.known("0.png") == {"dog": True}
    again.close()
    folder._alone.acquire()


def test_a_folder_that_is_only_looked_at_is_left_as_it_is(photos):
    (photos / "metadata.csv").write_text('file_name,labels,note\n0.png,"dog,cat",mine\n')
    opened = LabelledFolder(photos)
    assert opened.known("0.png") == {"dog": True, "cat": True} and not opened.unsaved
    opened.close()
    assert {p.name for p in photos.iterdir() if p.suffix != ".png"} == {"metadata.csv", ".ctran"}


@pytest.mark.parametrize("form", ["csv", "parquet", "split folders"])
def test_rows_of_any_format_that_training_reads_are_continued_in_one_file(photos, form):
    import pyarrow as pa
    import pyarrow.parquet as pq

    if form == "csv":
        (photos / "metadata.csv").write_text('file_name,labels,note\n0.png,"dog,cat",mine\n1.png,,\n')
    elif form == "parquet":
        columns = {"file_name": ["0.png", "1.png"], "labels": [["dog", "cat"], []], "note": ["mine", ""]}
        pq.write_table(pa.table(columns), photos / "metadata.parquet")
    else:
        (photos / "train").mkdir()
        for number in range(2):
            (photos / f"{number}.png").rename(photos / "train" / f"{number}.png")
        (photos / "train" / "metadata.csv").write_text('file_name,labels,note\n0.png,"dog,cat",mine\n1.png,,\n')
    place = "train/" if form == "split folders" else ""
    opened = LabelledFolder(photos, absent="negative")
    assert opened.known(f"{place}1.png") == {"dog": False, "cat": False} and opened.labels.others_absent
    tick(opened, f"{place}1.png", base={"dog": False}, dog=True)
    opened.close()
    found = rows_of(photos)
    assert found[f"{place}0.png"]["labels"] == ["dog", "cat"] and found[f"{place}0.png"]["note"] == "mine"
    assert found[f"{place}1.png"]["labels"] == ["dog"] and found[f"{place}1.png"]["negatives"] == ["cat"]
    assert found[f"{place}0.png"].get("split") == ("train" if place else None)
    assert len(list(photos.rglob("metadata.*.old"))) == 1
    again = LabelledFolder(photos)
    assert again.all_known() == opened.all_known() and not again.unsaved
    again.close()


def test_training_reads_the_rows_and_the_rules(photos, folder):
    folder.set_rules("w", FolderLabels())
    for number in range(6):
        tick(folder, f"{number}.png", red=bool(number % 2), blue=not number % 2, colour=True)
    rules = FolderLabels((), {"kind": ("red", "blue")}, {"red": ("colour",)})
    folder.set_rules("w", rules)
    folder.flush()
    space = imagefolder.build(imagefolder.Config(root=photos, absent="unknown"))["train"].labels
    assert [(g.name, g.labels, g.exclusive) for g in space.groups] == [("kind", ("red", "blue"), True)]
    assert space.implications == (("red", "colour"),)


def test_all_others_absent_keeps_what_rules_leave_open(folder):
    for name in ("cat", "dog", "indoor", "outdoor", "animal", "car"):
        folder.add_label("w", name)
    folder.set_rules("w", FolderLabels((), {"place": ("indoor", "outdoor")}, {"dog": ("animal",)}))
    tick(folder, "0.png", dog=True)
    folder.confirm("w", ["0.png"])
    assert folder.known("0.png") == {"dog": True, "animal": True, "cat": False, "car": False}
    tick(folder, "1.png", indoor=True)
    folder.confirm("w", ["1.png"])
    assert folder.known("1.png")["outdoor"] is False
    folder.undo("w")
    assert folder.known("1.png") == {"indoor": True}


def test_labels_are_renamed_merged_and_deleted_in_pictures_and_rules(folder):
    tick(folder, "0.png", dog=True, puppy=False)
    tick(folder, "1.png", puppy=True)
    tick(folder, "2.png", animal=True, cat=True)
    folder.set_rules("w", FolderLabels((), {"kind": ("puppy", "cat")}, {"puppy": ("animal",)}))
    folder.rename("w", "puppy", "whelp")
    assert folder.known("1.png") == {"whelp": True} and folder.labels.groups == {"kind": ("whelp", "cat")}
    assert folder.labels.implications == {"whelp": ("animal",)} and "puppy" not in folder.labels.names
    folder.merge("w", "whelp", "dog")
    assert folder.known("0.png") == {"dog": True} and folder.known("1.png") == {"dog": True}
    assert folder.labels.names == ("dog", "animal", "cat") and folder.labels.groups == {"kind": ("dog", "cat")}
    folder.delete("w", "cat")
    assert folder.known("2.png") == {"animal": True} and folder.labels.groups == {}
    for _ in range(3):
        folder.undo("w")
    assert folder.known("0.png") == {"dog": True, "puppy": False} and folder.known("2.png") == {"animal": True, "cat": True}
    assert folder.labels.groups == {"kind": ("puppy", "cat")} and folder.labels.implications == {"puppy": ("animal",)}


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda f: f.add_label("w", "  "), "is empty"),
        (lambda f: f.add_label("w", "x" * 201), "at most 200"),
        (lambda f: f.add_label("w", "a\x07b"), "is not text"),
        (lambda f: f.add_label("w", "Dog"), "there is a label 'dog' already, which differs"),
        (lambda f: f.rename("w", "dgo", "cow"), "no label 'dgo'; did you mean 'dog'"),
        (lambda f: f.rename("w", "dog", "cat"), "there is a label 'cat' already"),
        (lambda f: f.merge("w", "dog", "dog"), "with itself"),
        (lambda f: f.delete("w", "cow"), "no label 'cow'"),
        (lambda f: tick(f, "9.png", dog=True), "no picture '9.png'"),
        (lambda f: tick(f, "1.png", dog=True, cat=True), "cat"),
        (lambda f: f.set_rules("w", FolderLabels((), {"kind": ("dog", "cow")})), "unknown label 'cow'"),
        (lambda f: f.set_rules("w", FolderLabels((), {}, {"dog": ("cat",)})), "0.png: .*correct the labels of this picture"),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(folder, act, message):
    tick(folder, "0.png", dog=True, cat=False)
    folder.set_rules("w", FolderLabels((), {"kind": ("dog", "cat")}))
    before = folder.all_known(), folder.labels, folder.last("w")
    with pytest.raises(UserError, match=message):
        act(folder)
    assert (folder.all_known(), folder.labels, folder.last("w")) == before


def test_two_windows_lose_no_answer_and_a_contradiction_shows_both(folder):
    tick(folder, "0.png", "one", dog=True)
    tick(folder, "0.png", "two", cat=True)
    assert folder.known("0.png") == {"dog": True, "cat": True}
    with pytest.raises(ConflictError) as wrong:
        tick(folder, "0.png", "two", dog=False)  # it has not seen the other's answer
    assert wrong.value.conflicts[0].yours == {"dog": False} and wrong.value.conflicts[0].saved == {"dog": True}
    assert folder.known("0.png") == {"dog": True, "cat": True}
    tick(folder, "0.png", "two", base={"dog": True}, dog=False)  # it has, and decides
    assert folder.known("0.png")["dog"] is False


def test_an_exclusive_label_of_another_window_is_a_conflict(folder):
    for name in ("dog", "cat"):
        folder.add_label("one", name)
    folder.set_rules("one", FolderLabels((), {"kind": ("dog", "cat")}))
    tick(folder, "0.png", "one", dog=True)
    with pytest.raises(ConflictError) as wrong:
        tick(folder, "0.png", "two", cat=True)
    assert [(c.yours, c.saved) for c in wrong.value.conflicts] == [({"cat": True}, {"dog": True})]


def test_undo_is_of_the_own_window_and_keeps_what_another_has_changed_since(folder):
    folder.annotate("one", [Edit("0.png", {"dog": True}, {}), Edit("1.png", {"dog": True}, {})])
    tick(folder, "1.png", "two", base={"dog": True}, dog=False)
    undone = folder.undo("two")
    assert folder.known("1.png") == {"dog": True} and undone.kept == 0
    tick(folder, "1.png", "two", base={"dog": True}, dog=False)
    assert folder.undo("one") is not None and folder.known("0.png") == {} and folder.known("1.png") == {"dog": False}
    assert folder.undo("one") is None


def test_what_another_program_writes_meanwhile_is_kept_beside_the_changes(photos, folder):
    tick(folder, "0.png", dog=True, cat=True)
    folder.flush()
    row = {"file_name": "0.png", "labels": ["dog", "cat", "car"], "negatives": [], "note": "theirs"}
    (photos / "metadata.jsonl").write_text(json.dumps(row) + "\n" + '{"file_name": "5.png", "labels": ["boat"]}\n')
    tick(folder, "0.png", base={"cat": True}, cat=False)
    folder.flush()
    found = rows_of(photos)
    assert found["0.png"] == {"file_name": "0.png", "labels": ["dog", "car"], "negatives": ["cat"], "note": "theirs"}
    assert folder.known("5.png") == {"boat": True} and "boat" in folder.labels.names


def test_one_studio_has_a_folder(photos, folder):
    with pytest.raises(UserError, match="open in another studio"):
        LabelledFolder(photos)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- dog", "expected keys and values"),
        ("label: [dog]", "unknown key 'label'"),
        ("labels: dog", "labels: expected a list of names"),
        ("labels: [yes]", "quote names"),
        ("groups: {kind: {exclusive: false, labels: [a, b]}}", "groups.kind: groups of a folder are exclusive"),
        ("groups: {kind: {labels: [a]}}", "at least two"),
        ("implications: {a: [b], b: [a]}", "circle"),
        ("others_absent: 1", "true or false"),
        ("labels: [a", "not YAML"),
        ("labels: [2001-99-99]", "not YAML"),
        ("labels: " + "[" * 20_000, "nested too deeply"),
        (BOMB, r"expected a list of names, got .{1,200}; quote"),
    ],
)
def test_a_labels_file_that_cannot_be_used_is_refused_by_name(photos, text, message):
    (photos / "labels.yaml").write_text(text)
    with pytest.raises(DataError, match=message) as wrong:
        LabelledFolder(photos)
    assert "labels.yaml" in str(wrong.value)


def test_an_edited_labels_file_is_taken_over(photos):
    opened = LabelledFolder(photos)
    tick(opened, "0.png", dog=True)
    opened.close()
    (photos / "labels.yaml").write_text("labels: [cat, dog]\nimplications: {dog: [animal]}\n")
    again = LabelledFolder(photos)
    assert again.labels.names == ("cat", "dog", "animal") and again.labels.implications == {"dog": ("animal",)}
    again.close()


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(0, 2), st.sampled_from("abcd"), st.sampled_from([True, False, None])),
        st.tuples(st.just("confirm"), st.integers(0, 2)),
        st.tuples(st.just("rename"), st.sampled_from("abcd"), st.sampled_from("efgh")),
        st.tuples(st.just("merge"), st.sampled_from("abcd"), st.sampled_from("abcd")),
        st.tuples(st.just("delete"), st.sampled_from("abcd")),
    ),
    max_size=8,
)


@given(ACTIONS)
@settings(max_examples=40, deadline=None)
def test_undoing_every_step_gives_the_folder_before_each(tmp_path_factory, actions):
    root = tmp_path_factory.mktemp("photos")
    for number in range(3):
        (root / f"{number}.png").write_bytes(b"not decoded here")
    folder, states = LabelledFolder(root), []

    def state():
        return folder.all_known(), folder.labels

    for kind, *given_ in actions:
        before = state()
        try:
            if kind == "tick":
                name = f"{given_[0]}.png"
                folder.annotate("w", [Edit(name, {given_[1]: given_[2]}, folder.known(name))])
            elif kind == "confirm":
                folder.confirm("w", [f"{given_[0]}.png"])
            else:
                getattr(folder, kind)("w", *given_)
        except UserError:
            assert state() == before
        if state() != before:
            states.append(before)
    for expected in reversed(states):
        folder.undo("w")
        assert state() == expected
    assert folder.undo("w") is None
    folder.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE picture SET known = '{\"dog\": 1'", r"picture '0.png'"),
        ('UPDATE picture SET known = \'{"dog": "yes"}\'', r"picture '0.png': Expected `bool`"),
        ("UPDATE picture SET written = NULL", r"picture '0.png'"),
        ("UPDATE picture SET known = CAST(x'ff' AS TEXT)", "UTF-8"),
        (
            "UPDATE value SET content = '{\"labels\": [1]}' WHERE key = 'labels'",
            r"journal.sqlite, labels, labels: expected a list",
        ),
        ("UPDATE value SET content = '9' WHERE key = 'format'", "a journal of format 9, this ctran reads 1"),
        ("DROP TABLE step; CREATE TABLE step (x)", None),
        ("UPDATE step SET content = '[]'", None),
    ],
)
def test_a_damaged_journal_is_named_when_it_is_read(photos, folder, change, message):
    tick(folder, "0.png", dog=True)
    folder.close()
    with closing(sqlite3.connect(photos / ".ctran/journal.sqlite")) as held:
        held.executescript(change)
    with pytest.raises(UserError, match=r"journal.sqlite") as error:
        opened = LabelledFolder(photos)
        try:
            opened.undo("w")
        finally:
            opened.close()
    assert re.search(message or "the journal cannot be read .*; delete it", str(error.value))
    (photos / ".ctran/journal.sqlite").unlink()
    LabelledFolder(photos).close()  # the folder is not locked, and its files have all that was saved
