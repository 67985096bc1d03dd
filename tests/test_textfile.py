"""Every reader of text and JSON names the file, and the row where there is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctran import registry
from ctran.data.planted_canvas import Canvas
from ctran.data.readers.names import read_labels
from ctran.data.sources import csv, imagefolder, labelstudio
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.textfile import parse_json, read_json_lines, read_text
from tests.data import miniatures

DAMAGE = {
    "latin-1": "é".encode("latin-1"),
    "nul": b"\0",
    "deep": b"[" * 100_000,
    "utf-16": "cat, dog\n".encode("utf-16-le") * 20,
    "bytes": bytes(range(256)),
}

TEXT = (".txt", ".json", ".csv", ".xml", ".xmp")
BINARY = ("parquet", "webdataset")
"""Sources whose annotation is in no text file; the contract of formats changes their bytes."""


@pytest.mark.parametrize("name", registry.names(miniatures))
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_of_a_source_is_named(name, damage, tmp_path):
    """One after the other, each text file of a miniature is damaged; what is refused names it."""
    source, options = miniatures.miniature(name, tmp_path)
    files = [p for p in tmp_path.rglob("*") if p.suffix in TEXT and p.is_file()]
    assert files or name in ("news500", "openclipart", *BINARY) or issubclass(source.Config, Canvas)
    for path in files[:6]:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + DAMAGE[damage] + content[len(content) // 2 :])
        try:
            source.build(source.Config(**options))
        except UserError as error:
            assert path.stem in str(error) or path.parent.name in str(error), (path, error)
        path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "file", ["labels.json", "labels.txt", "metadata.csv", "metadata.jsonl", "wide.csv", "export.json", "export.csv"]
)
def test_a_damaged_file_of_a_user_is_refused_by_name(file, damage, tmp_path):
    path = tmp_path / file
    text = {
        "labels.json": b'{"names": ["cat"], "extra": [], "groups": {}, "implications": []}',
        "labels.txt": b"cat\ndog\n",
        "metadata.jsonl": b'{"file_name": "a.png", "labels": ["cat"]}\n',
        "export.json": b'[{"id": 1, "data": {"image": "a.png"}, "annotations": []}]',
    }.get(file, b"file_name,labels\na.png,1\n")
    path.write_bytes(text + DAMAGE[damage])
    read = {
        "labels": lambda: read_labels(path),
        "metadata": lambda: imagefolder.build(imagefolder.Config(tmp_path, "negative")),
        "wide": lambda: csv.build(csv.Config(path)),
        "export": lambda: labelstudio.build(labelstudio.Config(path, "negative")),
    }[path.stem]
    if file == "labels.txt" and damage == "deep":
        assert len(read_labels(path)) == 3  # a name like any other
        return
    with pytest.raises(UserError, match=file):
        read()


@given(st.text(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_any_text_comes_back_from_the_encodings_that_can_be_known(tmp_path_factory, text, encoding):
    path = tmp_path_factory.getbasetemp() / "text.txt"
    text = text.replace("\0", "").removeprefix("\ufeff").encode(errors="replace").decode()
    path.write_bytes(text.encode(encoding))
    assert read_text(path) == text


def test_a_key_that_is_there_twice_and_deep_json_are_refused_with_their_place():
    with pytest.raises(UserError, match=r"row 3: no JSON .the key 'a' is there twice"):
        parse_json('{"a": 1, "a": 2}', "row 3", distinct=True)
    with pytest.raises(UserError, match="row 3: JSON that is nested too deeply"):
        parse_json("[" * 100_000, "row 3")


def test_lines_of_json_end_with_a_line_feed_alone(tmp_path):
    (tmp_path / "x.jsonl").write_bytes('{"a": "x\u2028y\x85z"}\r\n\n{"a": 2}'.encode())
    found = list(read_json_lines(tmp_path / "x.jsonl"))
    assert [row["a"] for _, row in found] == ["x\u2028y\x85z", 2] and found[1][0].endswith("x.jsonl, row 2")


def test_a_label_space_comes_back_from_a_file_with_a_byte_order_mark(tmp_path):
    space = LabelSpace(("cat", "größe"))
    space.save(tmp_path / "labels.json")
    (tmp_path / "labels.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "labels.json").read_bytes())
    assert LabelSpace.load(tmp_path / "labels.json") == space
