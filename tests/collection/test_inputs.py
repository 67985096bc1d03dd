"""What can be wrong in a table: systematic faults are refused, those of one row cost that row."""

import io
import json
import tarfile
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctran.collection.known_cells import Columns
from ctran.collection.run import run
from ctran.errors import UserError
from tests.collection.conftest import changed, rows


def table(photos, text, name="table.csv"):
    (photos / name).write_text(text, encoding="utf-8")
    return str(photos / name)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"file_name": "03.png", "labels": ["gren"]}', "row 2: unknown label 'gren'; did you mean 'green'?"),
        ('{"file_name": "03.png", "negatives": "red, gren"}', "did you mean 'green'?"),
        ('{"file_name": "03.png", "known": {"gren": true}}', "did you mean 'green'?"),
        ('{"file_name": "03.png", "labels": "warm,cold"}', "row 2: group 'heat' is exclusive"),
        ('{"file_name": "03.png", "negatives": ["warm", "cold"]}', "one of its labels is present"),
        ('{"file_name": "03.png", "labels": "red", "negatives": "red"}', "'red' is given both as present and as absent"),
        ('{"file_name": "03.png", "labels": "red", "red": 0}', "'red' is given both as present and as absent"),
        ('{"file_name": "03.png", "red": "perhaps"}', "row 2, column 'red': expected 1, 0 or blank, got 'perhaps'"),
        ('{"file_name": "03.png", "known": {"red": 2}}', "label 'red': expected 1, 0 or blank"),
        ('{"file_name": "03.png", "known": "red"}', "no JSON"),
        ('{"file_name": "03.png", "labels": [0, 1]}', "write names instead of class numbers"),
        ('{"file_name": "03.png", "labels": "[\'red\' \'green\']"}', "no comma between labels"),
        ('{"file_name": "gone.png"}', "gone.png): no such file"),
        ('{"file_name": ""}', "expected the path, URL or content of a picture, got an empty cell"),
        ('{"file_name": null}', "got an empty cell"),
        ('{"file_name": 3}', "got 3"),
        ('{"fil_name": "03.png"}', "row 2: no column 'file_name'"),
        ('{"file_name": "nosuch://a/b.png"}', "nosuch"),
    ],
)
def test_what_is_wrong_with_a_row_is_in_the_error_table_and_costs_no_other(job, photos, row, reason):
    text = "\n".join(['{"file_name": "00.png"}', row, '{"file_name": "01.png", "labels": ["red"]}'])
    job = replace(job, input=table(photos, text, "t.jsonl"))
    done = run(job)
    assert (done.predicted, done.failed) == (2, 1)
    [error] = rows(job.output, "errors")
    assert reason in error["reason"] and "row 2" in error["where"]
    assert [row["id"] for row in rows(job.output)] == ["00.png", "01.png"]
    with pytest.raises(UserError, match="row 2"):
        run(replace(job, output=job.output + "2", fail_fast=True))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "file_nam,labels\n00.png,red\n", r"no column 'file_name'; did you mean 'file_nam'\? .*--picture-column"),
        ("t.csv", "file_name;labels\n00.png;red\n", "separated by semicolons"),
        ("t.csv", 'file_name,labels\n00.png,red\n01.png,"red\n', "not CSV"),
        ("t.csv", "file_name,labels\n00.png,red,green\n", "row 1: 3 cells, but the header has 2 columns"),
        ("t.csv", "file_name,labels\n", "holds no picture"),
        ("t.csv", "", "the file is empty"),
        ("t.jsonl", "", "holds no picture"),
        ("t.jsonl", '{"file_name": "00.png"}\n{"file_name"\n', "row 2: no JSON"),
        ("t.jsonl", "[1]\n", "expected keys and values in braces"),
        ("t.parquet", "PAR1 no", "not a Parquet file that can be read"),
        ("t.xlsx", "x", "a file that ends in .csv, .jsonl, .parquet"),
        ("00.png", "x", "pictures without --input, or by their folder"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_by_name(job, photos, name, text, message):
    with pytest.raises(UserError, match=message) as refused:
        run(replace(job, input=table(photos, text, name)))
    assert name in str(refused.value)


def test_text_of_other_encodings_is_refused_or_read(job, photos):
    (photos / "t.csv").write_bytes("file_name,labels\n00.png,r\xe9d\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8; convert it"):
        run(replace(job, input=str(photos / "t.csv")))
    (photos / "t.csv").write_bytes("file_name,labels\r\n00.png,日本\r\n".encode("utf-16"))
    run(replace(job, input=str(photos / "t.csv")))
    assert rows(job.output)[0]["known"] == {"日本": True}


def test_one_unreadable_shard_of_many_is_an_error_and_no_halt(job, photos, tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    for number in range(3):
        pq.write_table(pa.table({"image": [(photos / f"0{number}.png").read_bytes()]}), shards / f"{number}.parquet")
    (shards / "1.parquet").write_bytes(b"PAR1 no")
    done = run(replace(job, input=str(shards)))
    assert (done.predicted, done.failed) == (2, 1)
    assert [row["id"] for row in rows(job.output)] == ["0.parquet:1", "2.parquet:1"]
    [error] = rows(job.output, "errors")
    assert error["id"] == "1.parquet" and "not a Parquet file that can be read" in error["reason"]
    with pytest.raises(UserError, match="not a Parquet file"):
        run(replace(job, input=str(shards), output=str(tmp_path / "stopped"), fail_fast=True))


def test_columns_may_have_other_names_and_be_left_out(job, photos, capsys):
    text = "path,number,tags,red\n00.png,7,green|blue,yes\n"
    columns = Columns(picture="path", id="number", labels="tags", delimiter="|", ignore=("red",))
    run(replace(changed(job, columns=columns), input=table(photos, text)))
    assert [(row["id"], row["known"]) for row in rows(job.output)] == [("7", {"green": True, "blue": True})]
    assert "known labels of each row: columns tags\n" in capsys.readouterr().err


def test_a_column_that_is_nearly_one_of_known_labels_is_pointed_out_once(job, photos, capsys):
    run(replace(job, input=table(photos, "file_name,lables\n00.png,red\n")))
    err = capsys.readouterr().err
    assert err.count("there is no column 'labels'; did you mean 'lables'? It is not read") == 1
    assert err.count("known labels of each row: none (no column has them)") == 1


def test_known_labels_of_all_hold_where_a_row_does_not_state_another(job, photos):
    text = '{"file_name": "00.png", "labels": "blue"}\n{"file_name": "01.png", "known": {"red": false, "green": null}}\n'
    run(replace(changed(job, known={"red": True, "green": True}), input=table(photos, text, "t.jsonl")))
    assert [row["known"] for row in rows(job.output)] == [
        {"red": True, "green": True, "blue": True},
        {"red": False, "green": True},
    ]


def test_a_pattern_names_several_tables(job, photos):
    for number in range(3):
        table(photos, f"file_name\n0{number}.png\n", f"t{number}.csv")
    run(replace(job, input=str(photos / "t*.csv")))
    assert [row["id"] for row in rows(job.output)] == ["00.png", "01.png", "02.png"]
    table(photos, json.dumps({"file_name": "00.png"}), "t3.jsonl")
    with pytest.raises(UserError, match="several kinds"):
        run(replace(job, input=str(photos / "t?.*"), output=job.output + "2"))
    with pytest.raises(UserError, match="no file matches"):
        run(replace(job, input=str(photos / "u*.csv"), output=job.output + "3"))


def tar_of(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_what_is_wrong_with_a_sample_of_a_tar_file_costs_no_other(job, photos, tmp_path):
    png = (photos / "00.png").read_bytes()
    members = {"a.png": png, "a.json": b'{"labels": ["red"]}', "b.json": b"{}", "b.txt": b"caption", "c.jpg": png, "c.png": png}
    members |= {"d.png": png, "d.json": b'{"labels": ["gren"]}', "e.png": png, "e.json": b"{", "f.png": png, "f.json": b"[1]"}
    members |= {"._a.png": b"of a Mac", "g.png": png, "g.mask.png": b"", "h.png": b"no picture"}
    tar_of(tmp_path / "t.tar", members)
    run(replace(job, input=str(tmp_path / "t.tar")))
    assert [(row["id"], row["known"]) for row in rows(job.output)] == [("a", {"red": True}), ("g", {})]
    reasons = {row["id"]: row["reason"] for row in rows(job.output, "errors")}
    assert "holds no picture (members: json, txt)" in reasons["b"] and "2 pictures (members: jpg, png)" in reasons["c"]
    assert "did you mean 'green'" in reasons["d"] and "t.tar, e.json: no JSON" in reasons["e"]
    assert "expected keys and values" in reasons["f"] and "not a picture" in reasons["h"]
    job = replace(changed(job, columns=Columns(picture="png")), input=str(tmp_path / "t.tar"), output=job.output + "2")
    run(job)
    assert [row["id"] for row in rows(job.output)] == ["a", "c", "g"]


def test_a_tar_file_that_ends_early_gives_what_is_there_and_an_error(job, photos, tmp_path):
    png = (photos / "00.png").read_bytes()
    (tmp_path / "shards").mkdir()
    for number in range(3):
        tar_of(tmp_path / "shards" / f"{number}.tar", {"a.png": png, "b.png": png})
    cut = tmp_path / "shards" / "1.tar"
    cut.write_bytes(cut.read_bytes()[: len(png) + 2000])
    (tmp_path / "shards" / "2.tar").write_bytes(b"no tar")
    done = run(replace(job, input=str(tmp_path / "shards")))
    assert (done.predicted, done.failed) == (3, 2)
    assert all("not a tar file that can be read to its end" in row["reason"] for row in rows(job.output, "errors"))
