"""Processes that decode: a picture that ends or blocks one costs only itself, and every other is decoded once."""

import os
import time
from dataclasses import replace

import psutil
import pytest

from ctran.collection.decoder import IN_A_ROW
from ctran.collection.decoding import Pictures
from ctran.collection.predict_shard import predict_shard
from ctran.collection.rows import Row
from ctran.collection.run import prepare, shards
from ctran.errors import UserError
from ctran.images.transforms import Preprocessing
from ctran.inference.many import PictureReader
from tests.collection.conftest import NAMES, rows
from tests.collection.crashing import FATAL, CrashingReader

REASONS = {
    b"segfault": "ends the process (signal SIGSEGV)",
    b"abort": "ends the process (signal SIGABRT)",
    b"exit": "ends the process (exit status 3)",
    b"exit as if all were well": "ends the process (exit status 0)",
    b"blocked": "takes longer than 2 s",
}


@pytest.fixture
def fragile(tmp_path):
    return CrashingReader(Preprocessing(size=32), log=tmp_path / "log")


def numbered(contents):
    return [Row(str(number), f"row {number}", content) for number, content in enumerate(contents)]


def batches(contents, size=3):
    found = numbered(contents)
    return [found[start : start + size] for start in range(0, len(found), size)]


@pytest.mark.parametrize("content", FATAL, ids=bytes.decode)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_picture_that_ends_or_blocks_a_process_costs_only_itself(fragile, photos, content, workers):
    good = (photos / "00.png").read_bytes()
    pictures = Pictures(fragile, workers, seconds=2)
    contents = [good, content, good, good, good, b"no picture", good, content]
    found = list(pictures.decode(batches(contents)))
    assert [row.id for rows_, _ in found for row in rows_] == [str(number) for number in range(8)]
    broken = {rows_[place].id: reason for rows_, (_, wrong) in found for place, reason in wrong.items()}
    assert set(broken) == {"1", "5", "7"} and REASONS[content] in broken["1"] and broken["7"].startswith("row 7: ")
    assert [len(squares) for _, (squares, _) in found] == [2, 2, 1]
    assert all(squares.equal(found[0][1][0][:1].expand_as(squares)) for _, (squares, _) in found)
    names = fragile.log.read_text().splitlines()
    assert sorted(set(names) - {"row 1", "row 7"}) == sorted(n for n in names if n not in ("row 1", "row 7"))  # each once
    pictures.close()


def test_processes_that_end_whatever_they_decode_stop_the_run(fragile):
    pictures = Pictures(fragile, 1)
    with pytest.raises(UserError, match=r"again and again.*Finished parts are kept"):
        for found, _ in pictures.decode(batches([b"exit"] * (IN_A_ROW + 5))):
            assert len(found) == 3


def test_one_death_is_not_the_picture_s_fault(fragile, photos):
    pictures = Pictures(fragile, 1)
    good = (photos / "00.png").read_bytes()
    batch = batches([good] * 3)
    count = 0
    for rows_, (squares, broken) in pictures.decode(batch * 10):
        assert len(squares) == len(rows_) == 3 and not broken
        count += 1
        if count in (2, 5):
            psutil.Process(pictures._all[0]._process.pid).kill()
    assert count == 10


def test_leaving_in_the_middle_does_not_wait_for_a_blocked_picture(fragile):
    pictures = Pictures(fragile, 2)
    begun = time.monotonic()
    found = pictures.decode([numbered([b"no picture"]), numbered([b"blocked"]), numbered([b"blocked"])])
    next(found)
    processes = [each._process for each in pictures._all]
    found.close()
    for each in processes:
        each.join(20)
    assert not any(each.is_alive() for each in processes) and time.monotonic() - begun < 60
    assert len(list(pictures.decode([numbered([b"no picture"])]))) == 1  # with new processes


def test_a_file_that_never_ends_is_given_up(photos, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    some = [
        Row("pipe", "pipe", str(tmp_path / "pipe.png")),
        Row("zero", "zero", "/dev/zero"),
        Row("a", "a", str(photos / "00.png")),
    ]
    [(_, (squares, broken))] = Pictures(PictureReader(Preprocessing(size=32)), 1, seconds=1).decode([some])
    assert "takes longer than 1 s" in broken[0] and "a device, not a file" in broken[1] and len(squares) == 1


def test_a_crash_is_a_row_of_the_error_table(job, photos, fragile):
    (photos / "02.png").write_bytes(b"segfault")
    prepared = prepare(job)
    reader = replace(fragile, preprocessing=prepared.work.predictor.preprocessing)
    prepared = replace(prepared, work=replace(prepared.work, pictures=Pictures(reader, 1)))
    done = [predict_shard(prepared.work, *each) for each in shards(prepared, [0, 1, 2])]
    assert sum(each.predicted for each in done) == 8 and [row["id"] for row in rows(job.output)] == [
        name for name in sorted(NAMES) if name != "02.png"
    ]
    (error,) = rows(job.output, "errors")
    assert error["id"] == "02.png" and "signal SIGSEGV" in error["reason"]
