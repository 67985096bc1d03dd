"""COCO-80 against what its miniature drew."""

import pytest

from ctran.data.sources import coco80
from ctran.data.table import DataError
from ctran.labels import LabelState
from tests.data.miniatures import coco80 as miniature
from tests.data.miniatures import edit_json

NAMES = {c["id"]: c["name"] for c in miniature.CATEGORIES}


@pytest.fixture
def root(tmp_path):
    miniature.make(tmp_path)
    return tmp_path


def read(root, **options):
    return coco80.build(coco80.Config(root, **{"check_counts": False, "val": 4, **options}))


def truth(tables, *splits):
    """Id -> names of what the tables say is there."""
    found = {}
    for table in (tables[split] for split in splits):
        for name, row in zip(table.ids, table.truth.dense(), strict=True):
            assert set(row.tolist()) <= {LabelState.NEGATIVE, LabelState.POSITIVE}
            found[name] = {table.labels.names[i] for i in (row == LabelState.POSITIVE).nonzero()[:, 0]}
    return found


def drawn(half, keep_empty=False, crowd=True, min_area=0):
    """The same from the miniature's plan."""
    pictures = {}
    for number, objects in miniature.plan(half).items():
        names = {NAMES[kind] for kind, side, many in objects if (crowd or not many) and side * side >= min_area}
        if names or keep_empty:
            pictures[f"{half}/{miniature.file_name(half, number)}"] = names
    return pictures


@pytest.mark.parametrize("options", [{}, {"keep_empty": True}, {"crowd": False}, {"min_area": 10.0}])
def test_truth_is_what_was_drawn(root, options):
    tables = read(root, **options)
    assert truth(tables, "train", "val") == drawn("train2014", **options)
    assert truth(tables, "test") == drawn("val2014", **options)


def test_options_leave_out_what_they_name(root):
    sizes = {name: len(drawn("train2014", **options)) for name, options in OPTIONS.items()}
    assert sizes == {"all": 16, "with an object": 15, "without crowds": 14, "without small ones": 14}
    assert sum(map(len, (read(root, keep_empty=True)[split] for split in ("train", "val")))) == 16


OPTIONS = {
    "all": {"keep_empty": True},
    "with an object": {},
    "without crowds": {"crowd": False},
    "without small ones": {"min_area": 10.0},
}


def test_labels_are_in_the_order_of_the_ids_with_super_categories_as_groups(root):
    labels = read(root)["train"].labels
    assert (
        labels.names[:3] == ("person", "bicycle", "car")
        and labels.names[11] == "stop sign"
        and labels.names[79] == "toothbrush"
    )
    assert len(labels) == coco80.COUNTS["categories"] and len(labels.groups) == coco80.COUNTS["super-categories"]
    assert all(not group.exclusive for group in labels.groups)
    assert {g.name: ", ".join(g.labels) for g in labels.groups}[
        "furniture"
    ] == "chair, couch, potted plant, bed, dining table, toilet"


def test_the_order_of_the_file_does_not_matter(root):
    before = truth(read(root), "train", "val")
    for half in ("train2014", "val2014"):
        edit_json(root / f"annotations/instances_{half}.json", lambda content: content["categories"].reverse())
    assert truth(read(root), "train", "val") == before


def test_counts_that_differ_from_the_official_ones_stop_the_reader(root, capsys):
    with pytest.raises(DataError, match=r"train2014 pictures: expected 82,783, found 16; .*--data.check_counts false"):
        read(root, check_counts=True)
    with pytest.raises(DataError) as error:
        read(root, check_counts=True, crowd=False)
    assert "with an object" not in str(error.value) and "val2014 annotations: expected 291,875" in str(error.value)
    read(root)
    assert "warning: coco80: train2014 pictures" in capsys.readouterr().err


FAULTS = {
    "no iscrowd": (
        lambda c: c["annotations"][3].pop("iscrowd"),
        r"missing required field `iscrowd` - at `\$.annotations\[3\]`",
    ),
    "a text for a number": (
        lambda c: c["annotations"][2].update(image_id="7"),
        r"got `str` - at `\$.annotations\[2\].image_id`",
    ),
    "no categories": (lambda c: c.pop("categories"), "missing required field `categories`.*COCO's instances format"),
    "unknown category": (lambda c: c["annotations"][1].update(category_id=12), r"annotations\[1\].category_id is 12"),
    "unknown picture": (lambda c: c["annotations"][4].update(image_id=-5), r"annotations\[4\].image_id is -5, but no entry"),
    "a picture twice": (
        lambda c: c["images"][5].update(id=c["images"][1]["id"]),
        r"images\[1\] and images\[5\] both have id \d+",
    ),
    "a category twice": (
        lambda c: c["categories"][4].update(name="car"),
        "categories: label names must be distinct, got 'car'",
    ),
    "other categories": (lambda c: c["categories"][4].update(name="plane"), "do not have the same categories"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_malformed_content_is_refused_with_its_place(root, fault):
    edit, message = FAULTS[fault]
    edit_json(root / "annotations/instances_train2014.json", edit)
    with pytest.raises(DataError, match=message):
        read(root)


@pytest.mark.parametrize(
    "damage", [lambda text: text[: len(text) // 2], lambda text: text.replace(b"COCO_val", b"COCO\xff", 1)]
)
def test_a_file_that_is_not_json_is_refused(root, damage):
    path = root / "annotations" / "instances_val2014.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"instances_val2014.json is not JSON: .*Get the file again"):
        read(root)


def test_a_negative_area_is_refused(root):
    with pytest.raises(ValueError, match=r"data.min_area must not be negative or infinite, got -1"):
        read(root, min_area=-1.0)
