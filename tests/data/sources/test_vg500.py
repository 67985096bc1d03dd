"""VG-500: truth as drawn, both layouts of the pictures, names, and what is refused."""

import json
from pathlib import Path

import pytest

from ctran.data.sources import vg500
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelState
from tests.data.miniatures import vg500 as miniature

INDEX = "vg_category_500_labels_index.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    miniature.make(tmp_path)
    return tmp_path


def read(root: Path, **options) -> dict[str, SampleTable]:
    return vg500.build(vg500.Config(root, **{"check_counts": False, "val": 5, **options}))


def test_truth_is_what_was_drawn_and_what_is_not_listed_is_absent(root):
    tables, drawn = read(root), miniature.drawn()
    assert sorted(tables["train"].ids + tables["val"].ids) == sorted(miniature.TRAIN)
    assert (len(tables["val"]), tables["test"].ids) == (5, miniature.TEST)
    for table in tables.values():
        assert table.labels.names[:2] == ("vg 000", "vg 001") and len(table.labels) == 500
        for file, row in zip(table.ids, table.truth.dense().tolist(), strict=True):
            assert [i for i, state in enumerate(row) if state == LabelState.POSITIVE] == drawn[file]
            assert row.count(LabelState.NEGATIVE) == 500 - len(drawn[file])
        assert all(table.picture(i).size == miniature.SIZE for i in range(len(table)))


def test_pictures_may_be_merged_in_one_folder(root):
    before = read(root)
    for path in (root / "VG_100K_2").iterdir():
        path.rename(root / "VG_100K" / path.name)
    (root / "VG_100K_2").rmdir()
    after = read(root)
    assert all(after[s].ids == before[s].ids and (after[s].truth.dense() == before[s].truth.dense()).all() for s in before)
    assert after["test"].picture(0).size == miniature.SIZE


def test_selection_on_test_trains_on_the_whole_list(root):
    tables = read(root, select_on="test")
    assert tables["train"].ids == miniature.TRAIN and tables["val"].ids == miniature.TEST


def test_a_label_that_is_listed_twice_for_a_picture_counts_once(root):
    labels = miniature.drawn()
    (root / INDEX).write_text(json.dumps({**labels, miniature.TEST[0]: [7, 3, 7]}))
    row = read(root)["test"].truth.dense()[0]
    assert (row == LabelState.POSITIVE).nonzero().flatten().tolist() == [3, 7]


def test_names_may_be_given(root):
    names = root / "names.txt"
    names.write_text("".join(f"thing {n}\n" for n in range(500)))
    assert read(root, names=names)["train"].labels.names[:2] == ("thing 0", "thing 1")
    names.write_text("".join(f"object {n}\n" for n in range(500)))
    assert read(root, names=names)["train"].labels.names[499] == "object 499"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("man\ntree\n", r"names.txt: expected 500 names, found 2"),
        ("\n".join(["man", " ", *map(str, range(498))]), r"names.txt: .* must not be empty, got an empty one at position 1"),
        ("\n".join([*map(str, range(499)), "7"]), r"names.txt: .* must be distinct, got '7' twice"),
        (None, r"names.txt not found; expected a text file with one name a line"),
    ],
)
def test_names_that_do_not_fit_are_refused(root, text, message):
    if text is not None:
        (root / "names.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read(root, names=root / "names.txt")


def test_missing_pictures_are_counted_over_both_folders(root):
    (root / "VG_100K_2" / miniature.TRAIN[1]).unlink()
    with pytest.raises(
        DataError, match=rf"1 of 30 pictures are in neither of .*VG_100K and VG_100K_2 \(first: {miniature.TRAIN[1]}"
    ):
        read(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"1.jpg": [1, 2', r"index.json: no JSON \(.*an incomplete download"),
        ("[1, 2]", r"index.json: expected an object of pictures and label numbers, got a list"),
        ("{}", r"picture 2320000.jpg: expected a list of numbers from 0 to 499, got None"),
        ('{"2320000.jpg": [500]}', r"expected a list of numbers from 0 to 499, got \[500\]"),
        ('{"2320000.jpg": [-1]}', r"got \[-1\]"),
        ('{"2320000.jpg": [true]}', r"got \[True\]"),
        ('{"2320000.jpg": "3"}', r"got '3'"),
    ],
)
def test_an_index_that_is_not_as_published_is_refused(root, text, message):
    (root / INDEX).write_text(text)
    with pytest.raises(DataError, match=message):
        read(root)


def test_pictures_that_are_listed_twice_are_refused(root):
    with (root / "test_list_500.txt").open("a") as file:
        file.write(f"{miniature.TRAIN[0]}\n")
    with pytest.raises(DataError, match=rf"{miniature.TRAIN[0]} is in train_list_500.txt and in test_list_500.txt"):
        read(root)
    with (root / "train_list_500.txt").open("a") as file:
        file.write(f"{miniature.TRAIN[0]}\n")
    with pytest.raises(DataError, match=rf"train_list_500.txt, line 21: {miniature.TRAIN[0]} is listed twice"):
        read(root)
