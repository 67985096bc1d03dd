"""NEWS-500's files against what the miniature wrote; pickles that hold more than data are refused."""

import pickle

import numpy as np
import pytest

from ctran.data.sources import news500
from ctran.data.table import DataError
from ctran.labels import LabelState
from tests.data.miniatures import news500 as miniature


@pytest.fixture
def root(tmp_path):
    miniature.make(tmp_path)
    return tmp_path


def read(root, **options):
    return news500.build(news500.Config(root, **{"check_counts": False, "val": 4, **options}))


def truth(table):
    return {
        name: (row == LabelState.POSITIVE).nonzero()[:, 0].tolist()
        for name, row in zip(table.ids, table.truth.dense(), strict=True)
    }


def written(split):
    return {name: labels for name, (_, labels) in miniature.plan(split).items()}


def test_truth_and_pictures_are_what_was_written(root):
    tables = read(root)
    assert truth(tables["train"]) | truth(tables["val"]) == written("train")
    assert truth(tables["test"]) == written("test")
    assert len(tables["val"]) == 4 and len(tables["train"]) == 10
    first = next(iter(miniature.plan("test").values()))[0]
    assert tables["test"].rows[0]["image"]["path"] == str(root / first)
    assert tables["test"].picture(0).size == (40, 32)


def test_a_val_split_is_used_where_there_is_one(root):
    for old, new in zip(news500.files_of("test", root), news500.files_of("val", root), strict=True):
        new.write_bytes(old.read_bytes())
    pickled = [{"file_path": f"{miniature.PREFIX}{file}", "image_id": f"v{n}"} for n, (file, _) in plan_of("test")]
    (root / "val_split.p").write_bytes(pickle.dumps(pickled))
    tables = read(root)
    assert tables["val"].ids == [f"v{n}" for n in range(8)] and len(tables["train"]) == 14
    assert read(root, select_on="test")["val"].ids == tables["test"].ids


def plan_of(split):
    return enumerate(miniature.plan(split).values())


def test_labels_have_numbers_or_the_names_of_a_file(root):
    assert read(root)["train"].labels.names[:2] == ("news 000", "news 001")
    names = root / "names.txt"
    names.write_text("\n".join(f"noun {i}" for i in range(500)) + "\n")
    assert read(root, names=names)["train"].labels.names[499] == "noun 499"
    names.write_text("minister\npolice\n")
    with pytest.raises(DataError, match=r"names.txt: expected 500 names, found 2"):
        read(root, names=names)
    names.write_text("minister\n" * 500)
    with pytest.raises(DataError, match=r"names.txt: .*label names must be distinct, got 'minister' twice"):
        read(root, names=names)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"file_path": "x"}), "expected a list of records, got dict"),
        (pickle.dumps([["a.jpg", 3]]), r"train_split.p, record 0: expected .*file_path.*got \['a.jpg', 3\]"),
        (pickle.dumps([{"file_path": "a.jpg"}]), "record 0: expected"),
        (pickle.dumps([{"file_path": 3, "image_id": 3}]), "record 0: expected"),
        (
            pickle.dumps([{"file_path": "/data/a.jpg", "image_id": 3}]),
            "'/data/a.jpg' does not start with .*--data.strip_prefix",
        ),
        (pickle.dumps([1, 2, 3])[:-4], "train_split.p cannot be read as a pickle"),
        (b"", "train_split.p cannot be read as a pickle"),
    ],
)
def test_a_split_of_another_form_is_refused_by_record(root, content, message):
    (root / "train_split.p").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(root)


def test_another_prefix_may_stand_for_the_root(root):
    before = read(root)
    records = [{"file_path": f"D:/news/{file}", "image_id": name} for name, (file, _) in miniature.plan("test").items()]
    (root / "test_split.p").write_bytes(pickle.dumps(records))
    train = [{"file_path": f"D:/news/{file}", "image_id": name} for name, (file, _) in miniature.plan("train").items()]
    (root / "train_split.p").write_bytes(pickle.dumps(train))
    assert read(root, strip_prefix="D:/news")["test"].rows[:] == before["test"].rows[:]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((13, 500)), r"one row for each of the 14 pictures, got an array of shape \(13, 500\)"),
        (np.zeros(14), r"got an array of shape \(14,\)"),
        (np.full((14, 500), 0.5), "row 0: expected zeros and ones, got 0.5"),
        (np.full((14, 500), np.nan), "row 0: expected zeros and ones, got nan"),
        (np.zeros((14, 400)), "different numbers of labels: .*'train': 400, 'test': 500"),
        (np.array([["a"], [None]], dtype=object), "not an array that NumPy reads without unpickling"),
    ],
)
def test_an_array_of_another_form_is_refused(root, array, message):
    np.save(root / "caption_train_space.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        read(root)


def test_an_array_that_was_cut_short_is_refused(root):
    path = root / "caption_test_space.npy"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"caption_test_space.npy is not an array"):
        read(root)
