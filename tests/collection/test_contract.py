"""Whatever the way in and out: the same rows, and those that ``tagger.predict`` gives one by one."""

from dataclasses import replace
from itertools import product

import pytest

import ctran
from ctran.collection.run import run
from tests.collection.conftest import NAMES, changed, check_rows, rows
from tests.collection.inputs import INPUTS, known_labels

FORMS = ("parquet", "csv", "jsonl")


@pytest.mark.parametrize(("name", "form"), list(product(INPUTS, FORMS)))
def test_every_picture_has_the_row_that_it_has_alone(job, model, photos, name, form):
    known = known_labels()
    place = INPUTS[name](photos, known)
    done = run(replace(changed(job, form=form, top=2), input=str(place)))
    assert (done.predicted, done.failed) == (9, 0)
    found = rows(job.output)
    assert [row["id"] for row in found] == sorted(NAMES)
    check_rows(found, ctran.load(model), photos, {} if name == "folder" else known, top=2)


@pytest.mark.parametrize("name", INPUTS)
def test_a_second_start_has_nothing_to_do_and_a_changed_row_is_noticed(job, photos, name):
    known = known_labels()
    job = replace(job, input=str(INPUTS[name](photos, known)))
    run(job)
    assert run(job).predicted == 0
    if name == "folder":
        (photos / "more.png").write_bytes((photos / "00.png").read_bytes())
    else:
        known["03.png"] = {**known["03.png"], "red": True, "green": False}
        for path in (photos.parent / "shards").glob("*"):
            path.unlink()
        (photos.parent / "shards").exists() and (photos.parent / "shards").rmdir()
        INPUTS[name](photos, known)
    with pytest.raises(ctran.errors.UserError, match="rows were added, removed or changed"):
        run(job)


@pytest.mark.parametrize("name", INPUTS)
def test_a_broken_picture_is_an_error_in_its_row(job, photos, name):
    (photos / "03.png").write_bytes(b"no picture")
    done = run(replace(job, input=str(INPUTS[name](photos, known_labels()))))
    assert (done.predicted, done.failed) == (8, 1)
    [error] = rows(job.output, "errors")
    assert error["id"] == "03.png" and "not a picture" in error["reason"]
    assert [row["id"] for row in rows(job.output)] == sorted(set(NAMES) - {"03.png"})
