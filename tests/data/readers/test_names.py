"""Files of label names: both forms, what does not count, what is refused."""

import pytest

from ctran.data.readers.names import read_labels
from ctran.data.table import DataError
from ctran.labels import Group, LabelSpace

LABELS = '{"names": ["cat"], "extra": [], "groups": {}, "implications": []}'


def test_marks_of_editors_and_outer_white_space_do_not_count(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufefftraffic light\r\n caf\u00e9 \r\n\r\n".encode())
    assert read_labels(path, 2) == LabelSpace(("traffic light", "caf\u00e9"))


def test_labels_of_a_model_bring_their_groups(tmp_path):
    group = Group("colour", ("red", "blue"), exclusive=True)
    space = LabelSpace(("red", "blue", "big"), extra=("big",), groups=(group,))
    space.save(tmp_path / "labels.json")
    assert read_labels(tmp_path / "labels.json") == read_labels(tmp_path / "labels.json", 3) == space


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("n.txt", b"", "n.txt: expected one name a line, .*at least one label"),
        ("n.txt", b"cat\n\ndog\n", "n.txt: expected one name a line, .*must not be empty, got an empty one at position 1"),
        ("n.txt", b"cat\ndog\ncat\n", "n.txt: .*must be distinct, got 'cat' twice"),
        ("n.txt", b"cat\ncaf\xe9\n", "n.txt, line 2: not UTF-8 .byte 0xE9"),
        ("n.txt", b"cat\ndog\nmap\n", "n.txt: expected 2 names, found 3"),
        ("n.json", b'["cat"]', "n.json: .*labels.json of a model .expected an object"),
        ("n.json", b'{"name": []}', "n.json: .*KeyError: 'names'"),
        ("n.json", b"{", "n.json: .*no JSON"),
        ("n.json", LABELS.encode(), "n.json: expected 2 names, found 1"),
        ("n.txt", None, "n.txt not found; expected a text file with one name a line, or the labels.json of a model"),
    ],
)
def test_what_holds_no_such_names_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path / name, 2)
