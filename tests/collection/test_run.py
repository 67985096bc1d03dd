"""A folder of pictures becomes part files: whole, resumed, refused where it does not fit."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import ctran
from ctran.collection import predict_shard
from ctran.collection.run import run
from ctran.errors import UserError
from tests.collection.conftest import NAMES, changed, check_rows, part_files, read_part, rows


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_every_picture_has_the_row_that_it_has_alone(job, model, photos, form):
    done = run(changed(job, form=form, top=2, known={"warm": True}))
    assert (done.predicted, done.failed, done.parts, done.before) == (9, 0, 3, 0) and not done.has_errors
    found = rows(job.output)
    assert [row["id"] for row in found] == sorted(NAMES)
    check_rows(found, ctran.load(model), photos, {name: {"warm": True} for name in NAMES}, top=2)
    assert len({row["model"] for row in found}) == 1 and [len(read_part(part)) for part in part_files(job.output)] == [4, 4, 1]
    assert not part_files(job.output, "errors")


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_dense_rows_have_all_labels_in_the_model_s_order(job, model, photos, form):
    run(changed(job, form=form, dense=True, known={"red": False}))
    tagger = ctran.load(model)
    for row in rows(job.output):
        alone = tagger.predict(photos / row["id"], {"red": False}).probabilities | {"red": 0.0}
        assert row["dense"] == pytest.approx([alone[name] for name in tagger.labels.names], abs=1e-5)


def test_parts_that_are_there_are_not_done_again(job, monkeypatch):
    run(job)
    first, *others = part_files(job.output)
    before = {path: path.stat().st_mtime_ns for path in others}
    content = first.read_bytes()
    first.unlink()
    done = run(job)
    assert (done.predicted, done.before) == (4, 2) and first.read_bytes() == content
    assert before == {path: path.stat().st_mtime_ns for path in others}
    monkeypatch.setattr(predict_shard, "_cells", None)  # nothing is computed
    assert run(job).predicted == 0


def test_failures_are_rows_of_the_error_table_and_cost_no_other(job, photos):
    (photos / "02.png").write_bytes(b"no picture")
    (photos / "06.png").write_bytes((photos / "06.png").read_bytes()[:-2000])
    done = run(job)
    assert (done.predicted, done.failed) == (7, 2) and done.has_errors and "02.png" in done.first
    assert {row["id"] for row in rows(job.output)} == set(NAMES) - {"02.png", "06.png"}
    errors = {row["id"]: row for row in rows(job.output, "errors")}
    assert "not a picture" in errors["02.png"]["reason"] and errors["06.png"]["where"] == str(photos / "06.png")
    again = run(job)
    assert (again.failed, again.failed_before, again.has_errors) == (0, 2, True)


def test_parts_with_errors_are_done_again_on_request(job, photos):
    good = (photos / "02.png").read_bytes()
    (photos / "02.png").write_bytes(b"x" * len(good))
    stat = (photos / "02.png").stat()
    run(job)
    (photos / "02.png").write_bytes(good)
    os.utime(photos / "02.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a picture that could not be reached before
    done = run(replace(job, retry_errors=True))
    assert (done.predicted, done.failed, done.before) == (4, 0, 2) and not done.has_errors
    assert [row["id"] for row in rows(job.output)] == sorted(NAMES) and not part_files(job.output, "errors")


def test_the_first_failure_stops_on_request_and_leaves_no_half_part(job, photos):
    (photos / "05.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"05\.png"):
        run(replace(job, fail_fast=True))
    assert [row["id"] for row in rows(job.output)] == NAMES[:4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda job: changed(job, top=1), "top 5, now 1"),
        (lambda job: changed(job, threshold=0.7), "threshold None, now 0.7"),
        (lambda job: changed(job, part_size=5), "part_size 4, now 5"),
        (lambda job: changed(job, form="csv"), "form 'parquet', now 'csv'"),
        (lambda job: changed(job, known={"red": True}), "known {}, now {'red': True}"),
    ],
)
def test_other_options_do_not_mix_with_the_parts_that_are_there(job, change, message):
    run(job)
    with pytest.raises(UserError) as refused:
        run(change(job))
    assert message in str(refused.value) and "Name a new folder" in str(refused.value)


def test_other_pictures_and_another_model_do_not_mix_either(job, photos, model, tmp_path):
    run(job)
    tagger = ctran.load(model)
    next(tagger.model.parameters()).data.add_(1)
    tagger.save(tmp_path / "other")
    with pytest.raises(UserError, match="another model"):
        run(replace(job, run=str(tmp_path / "other")))
    (photos / "03.png").write_bytes((photos / "04.png").read_bytes() + b"longer")
    with pytest.raises(UserError, match="pictures or rows were added, removed or changed"):
        run(job)


def test_other_folders_are_left_alone(job, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds 'thesis.txt' and no collection.json"):
        run(job)
    (tmp_path / "out" / "collection.json").write_text('{"format"')
    with pytest.raises(UserError, match="is damaged"):
        run(job)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": "{photos}/none"}, "no such file or folder"),
        ({"output": "{photos}/out"}, "lies in the input"),
        ({"output": "{photos}"}, "lies in the input"),
        ({"output": "{photos}/notes.txt"}, "lies in the input"),
        ({"input": "{photos}/../empty"}, "holds no picture"),
        ({"run": "{photos}"}, "is not a model or run folder"),
        ({"input": "nosuch://bucket"}, "nosuch"),
    ],
)
def test_what_cannot_work_is_refused(job, photos, change, message):
    (photos.parent / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        run(replace(job, **{key: value.format(photos=photos) for key, value in change.items()}))


def test_the_folder_states_what_it_was_made_of(job):
    run(job)
    about = json.loads(Path(job.output, "collection.json").read_text(encoding="utf-8"))
    assert about["labels"][:2] == ["red", "green"] and about["options"]["part_size"] == 4
    assert about["model"] == rows(job.output)[0]["model"] and about["input"]["parts"] == 3
