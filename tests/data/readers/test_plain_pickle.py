"""Pickles of data are read, pickles of anything else are refused before they run."""

import os
import pickle

import pytest

from ctran.data.readers.plain_pickle import unpickle
from ctran.data.table import DataError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Attack:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_that_would_run_something_is_refused_and_nothing_runs(tmp_path, protocol):
    path = tmp_path / "list.p"
    path.write_bytes(pickle.dumps([Attack(tmp_path / "mark")], protocol))
    with pytest.raises(DataError, match=r"list.p cannot be read.*asks for \w+.mkdir, and only plain"):
        unpickle(path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_containers_come_back(tmp_path, protocol):
    content = [{"file_path": "a.jpg", "image_id": 2**70}, (1.5, None, True), {0: "word"}]
    (tmp_path / "list.p").write_bytes(pickle.dumps(content, protocol))
    assert unpickle(tmp_path / "list.p") == content


@pytest.mark.parametrize("content", [b"", pickle.dumps([1, 2, 3])[:-4], b"no pickle"])
def test_what_is_not_a_pickle_is_refused(tmp_path, content):
    (tmp_path / "list.p").write_bytes(content)
    with pytest.raises(DataError, match=r"list.p cannot be read as a pickle of plain containers"):
        unpickle(tmp_path / "list.p")
