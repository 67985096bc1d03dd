"""Files that other packages wrote: Datumaro 1.13 in three formats (``tests/data/exports``), and the webdataset package 1.0.

Three pictures, ``a/0`` to ``a/2`` in train, val, train: all have ``cat``; ``a/1`` has ``a,b`` with score 0.
"""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from ctran.data import conversion
from ctran.data.output import Output

EXPORTS = Path(__file__).parents[1] / "exports"
PICTURES = {
    "datumaro": ["images/train/a_0.jpg", "images/val/a_1.jpg", "images/train/a_2.jpg"],
    "coco": ["images/train/a/0.jpg", "images/val/a/1.jpg", "images/train/a/2.jpg"],
    "cvat": ["images/a/0.jpg", "images/a/1.jpg", "images/a/2.jpg"],
}
"""As Datumaro names them."""


@pytest.fixture
def export(tmp_path):
    """Name -> a copy of an export, with pictures."""

    def copied(name):
        shutil.copytree(EXPORTS / name, tmp_path / name, copy_function=shutil.copyfile)
        for number, picture in enumerate(PICTURES.get(name, ())):
            path = tmp_path / name / picture
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((6, 8), 40 + number).save(path)
        return tmp_path / name

    return copied


def read(name, root):
    module = conversion.formats()[name]
    return conversion.read(module, module.Config(root=root, absent="unknown"))


@pytest.mark.parametrize("name", PICTURES)
def test_what_datumaro_wrote_is_read(name, export):
    found = read(name, export(name))
    # CVAT's and COCO's formats do not hold the score, so there the label counts as present
    other = {"a,b": False} if name == "datumaro" else {"a,b": True}
    expected = {0: ("train", {"cat": True}), 1: ("val", {"cat": True} | other), 2: ("train", {"cat": True})}
    rows = sorted(found.known(), key=lambda each: each[0].path.stem[-1])
    assert {i: (row.split, known) for i, (row, known) in enumerate(rows)} == expected
    assert found.labels == ("a,b", "cat")


def test_what_the_webdataset_package_wrote_is_read_and_other_keys_are_kept(export, tmp_path):
    found = read("webdataset", export("webdataset"))
    assert [row.positives for row in found.rows] == [("cat", "a,b"), (), ("dog",)]
    assert {row.split for row in found.rows} == {"train"} and found.rows[0].extra == {"author": "x"}
    (tmp_path / "out").mkdir()
    conversion.formats()["imagefolder"].write(found, Output(tmp_path / "out"))
    assert (tmp_path / "out/metadata.jsonl").read_text().count('"author": "x"') == 3
