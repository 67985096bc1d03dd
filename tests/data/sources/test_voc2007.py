"""VOC2007: three readings of 'difficult', the class files against the XML, and what is refused."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ctran.data.sources import voc2007
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelState
from tests.data.miniatures import voc2007 as miniature

MAIN = "VOCdevkit/VOC2007/ImageSets/Main"
UNKNOWN, NEGATIVE, POSITIVE = LabelState


@pytest.fixture
def root(tmp_path: Path) -> Path:
    miniature.make(tmp_path)
    return tmp_path


def read(root: Path, **options) -> dict[str, SampleTable]:
    return voc2007.build(voc2007.Config(root, **{"check_counts": False, "val": 4, **options}))


def marks_of_xml(root: Path, picture: str) -> list[int]:
    """The marks again, from the XML file alone."""
    objects = ET.parse(root / "VOCdevkit/VOC2007/Annotations" / f"{picture}.xml").getroot().findall("object")
    marks = dict.fromkeys(voc2007.CLASSES, -1)
    for thing in objects:
        name = thing.findtext("name")
        marks[name] = max(marks[name], 1 - int(thing.findtext("difficult")))
    return list(marks.values())


@pytest.mark.parametrize(
    ("difficult", "in_train", "elsewhere"),
    [("unknown", UNKNOWN, UNKNOWN), ("negative", NEGATIVE, NEGATIVE), ("mlgcn", POSITIVE, UNKNOWN)],
)
def test_class_files_agree_with_the_xml_in_each_convention(root, difficult, in_train, elsewhere):
    tables = read(root, difficult=difficult)
    assert {name: len(table) for name, table in tables.items()} == {"train": 12, "val": 4, "test": 12}
    seen = set()
    for split, table in tables.items():
        meaning = {1: POSITIVE, -1: NEGATIVE, 0: in_train if split == "train" else elsewhere}
        for picture, row in zip(table.ids, table.truth.dense().tolist(), strict=True):
            marks = marks_of_xml(root, picture)
            assert row == [meaning[mark] for mark in marks], (split, picture)
            seen |= set(marks)
    assert seen == {-1, 0, 1}


def test_classes_stand_in_the_official_order_and_splits_are_the_published_ones(root):
    tables = read(root)
    assert tables["train"].labels.names == tuple(sorted(miniature.CLASSES)) and len(miniature.CLASSES) == 20
    assert sorted(tables["train"].ids + tables["val"].ids) == miniature.sets()["trainval"]
    assert tables["test"].ids == miniature.sets()["test"]
    assert tables["test"].picture(0).size == miniature.SIZE


def test_a_class_with_an_easy_and_a_difficult_instance_is_there(root):
    tables = read(root, select_on="test")
    dog = voc2007.CLASSES.index("dog")
    assert tables["train"].truth.dense()[tables["train"].ids.index("000005"), dog] == POSITIVE
    assert tables["test"].truth.dense()[tables["test"].ids.index("000001"), dog] == UNKNOWN


def test_selection_on_test_trains_on_all_of_trainval(root):
    tables = read(root, select_on="test")
    assert tables["train"].ids == miniature.sets()["trainval"]
    assert tables["val"].ids == tables["test"].ids


@pytest.mark.parametrize("inside", ["", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_root_may_be_any_of_the_three_folders(root, inside):
    assert read(root / inside)["test"].ids == miniature.sets()["test"]


def test_counts_of_pictures_and_positives_are_checked_and_may_be_waived(root, capsys):
    with pytest.raises(DataError, match=r"pictures in trainval: expected 5,011, found 16; .*positives in test: expected 7,013"):
        read(root, check_counts=True)
    read(root)
    assert "warning: voc2007: pictures in trainval: expected 5,011, found 16" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("cow_test.txt", "000002 ", "000002 2 ", r"cow_test.txt, line 2: expected a picture and 1, 0 or -1, got '000002 2 -1'"),
        ("cow_test.txt", "000002 -1", "000002 5", r"cow_test.txt, line 2: expected .* got '000002 5'"),
        ("cow_test.txt", "000002", "000001", r"cow_test.txt, line 2: picture 000001 is listed twice"),
        ("cow_test.txt", "000002", "000099", r"cow_test.txt has no line for picture 000002, unlike test.txt"),
        ("test.txt", "000002\n", "", r"aeroplane_test.txt has a line for picture 000002, unlike test.txt"),
        ("test.txt", "000002", "000001", r"test.txt: picture 000001 is listed twice"),
    ],
)
def test_malformed_lists_are_refused_by_line(root, file, old, new, message):
    path = root / MAIN / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read(root)
