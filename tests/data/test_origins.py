"""Missing files and wrong counts of published data sets."""

import pytest

from ctran.data import origins
from ctran.data.table import DataError

ORIGIN = origins.Origin("example.org/data", "1 GB", "CC BY 4.0", ("pictures/", "labels.csv"), "Register first.")


def test_counts_that_differ_are_an_error_or_a_warning(capsys):
    known = {"train pictures": 82_081, "test pictures": 40_137}
    origins.check_counts(known, known, "coco80", check=True)
    found = known | {"train pictures": 80_000}
    with pytest.raises(DataError, match=r"coco80: train pictures: expected 82,081, found 80,000.*--data.check_counts false"):
        origins.check_counts(found, known, "coco80", check=True)
    origins.check_counts(found, known, "coco80", check=False)
    assert "warning: coco80: train pictures: expected 82,081" in capsys.readouterr().err


def test_missing_pictures_are_counted_and_the_first_is_named(tmp_path):
    (tmp_path / "a.jpg").touch()
    origins.require_pictures(tmp_path, ["a.jpg"], "birds", ORIGIN)
    with pytest.raises(DataError, match=r"birds: 2 of 3 pictures are not in .*first: b.jpg") as error:
        origins.require_pictures(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], "birds", ORIGIN)
    assert "get it from example.org/data (1 GB; licence: CC BY 4.0)" in str(error.value)
    assert "Register first." in str(error.value) and "labels.csv" in str(error.value)


def test_missing_pictures_are_counted_by_folder(tmp_path):
    (tmp_path / "2014/05").mkdir(parents=True)
    (tmp_path / "2014/05/a.jpg").touch()
    (tmp_path / "b.jpg").touch()
    origins.require_pictures(tmp_path, ["2014/05/a.jpg", "b.jpg"], "news", ORIGIN)
    with pytest.raises(DataError, match=r"news: 1 of 2 pictures are not in .*2014/05 .first: c.jpg"):
        origins.require_pictures(tmp_path, ["2014/05/a.jpg", "b.jpg", "2014/05/c.jpg"], "news", ORIGIN)
    with pytest.raises(DataError, match=r"news: .*2014/06 not found"):
        origins.require_pictures(tmp_path, ["b.jpg", "2014/06/a.jpg"], "news", ORIGIN)
