"""Processes: they share a job without a row lost or twice, whatever happens to them, and memory stays flat."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ctran.collection.decoding import Pictures
from ctran.collection.rows import Row
from ctran.collection.run import run, run_on_each
from ctran.images.transforms import Preprocessing
from ctran.inference.many import PictureReader
from tests.collection.conftest import NAMES, changed, part_files, rows, same


def test_shares_of_a_job_together_are_the_job(job, tmp_path):
    for part in ((1, 2), (2, 2), (2, 2)):
        run(replace(job, part=part))
    run(replace(job, output=str(tmp_path / "whole")))
    names = [path.name for path in part_files(job.output)]
    assert names == [path.name for path in part_files(tmp_path / "whole")]
    assert same(rows(job.output), rows(tmp_path / "whole"))


def test_a_share_may_be_empty(job):
    assert run(replace(job, part=(4, 4))).parts == 0


def test_decoding_processes_change_nothing(job, photos, tmp_path):
    (photos / "02.png").write_bytes(b"no picture")
    run(replace(job, output=str(tmp_path / "whole")))
    run(replace(job, workers=2))
    for table in ("predictions", "errors"):
        assert same(rows(job.output, table), rows(tmp_path / "whole", table))


def test_only_the_batches_ahead_are_held_in_memory(photos):
    pictures = Pictures(PictureReader(Preprocessing(size=32)), workers=2)
    taken = []
    content = (photos / "00.png").read_bytes()

    def batches():
        for number in range(50):
            taken.append(number)
            yield [Row(str(number), "", content)]

    for done, (found, (squares, broken)) in enumerate(pictures.decode(batches()), start=1):
        assert len(taken) - done <= 2 * 2 and [row.id for row in found] == [str(done - 1)]
        assert all(row.source == b"" for row in found) and len(squares) == 1 and not broken


@pytest.mark.slow
def test_every_device_does_its_share(job, photos, tmp_path):
    (photos / "02.png").write_bytes(b"no picture")
    whole = run(replace(job, output=str(tmp_path / "whole")))
    assert run_on_each(job, ["cpu", "cpu"]) == whole
    for table in ("predictions", "errors"):
        assert same(rows(job.output, table), rows(tmp_path / "whole", table))
    assert run_on_each(replace(job, retry_errors=True), ["cpu", "cpu"]).before == 2


def kill_and_resume(job, times, seed):
    """Start the job in a process, kill it at a random moment, again and again; then let it end."""
    chance, context = random.Random(seed), multiprocessing.get_context("fork")
    killed = 0
    for _ in range(times):
        process = context.Process(target=run, args=(job,))
        process.start()
        time.sleep(chance.uniform(0, 0.6))
        killed += process.is_alive()
        process.kill()
        process.join()
    run(job)
    return killed


def check_killed(job, tmp_path, times):
    run(replace(job, output=str(tmp_path / "undisturbed")))
    killed = 0
    for seed in range(times):
        output = str(tmp_path / f"killed{seed}")
        killed += kill_and_resume(replace(job, output=output), 2, seed)
        for table in ("predictions", "errors"):
            assert same(rows(output, table), rows(tmp_path / "undisturbed", table))
            names = [path.name for path in part_files(output, table)]
            assert names == [path.name for path in part_files(tmp_path / "undisturbed", table)]
    assert killed


def test_after_kills_at_random_moments_the_rows_are_those_of_an_undisturbed_run(job, photos, tmp_path):
    (photos / "02.png").write_bytes(b"no picture")
    check_killed(replace(changed(job, part_size=1), batch_size=1), tmp_path, times=2)


@pytest.mark.slow
def test_after_very_many_kills_the_rows_are_those_of_an_undisturbed_run(job, photos, tmp_path):
    (photos / "02.png").write_bytes(b"no picture")
    check_killed(replace(changed(job, part_size=1), batch_size=1), tmp_path, times=20)


def heed_interrupts():
    """As in a terminal: a shell starts its background jobs, and what they start, with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(job, **options):
    """``ctran predict`` of a job in a process by itself."""
    words = [job.run, "--input", job.input, "--output", job.output, "--part-size", str(job.options.part_size)]
    command = [sys.executable, "-m", "ctran.cli.main", "predict", *words, "--workers", str(job.workers)]
    return subprocess.Popen(command, text=True, preexec_fn=heed_interrupts, **options)


def many(job, photos, count, **options):
    """The job with so many rows."""
    (photos / f"{count}.csv").write_text("\n".join(["file_name", *(NAMES[number % 7] for number in range(count))]))
    return replace(changed(job, **options), input=str(photos / f"{count}.csv"), output=f"{job.output}{count}")


def wait_for_parts(process, job, count):
    deadline = time.monotonic() + 120
    while len(part_files(job.output)) < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_after_kills_with_decoding_processes_the_rows_are_those_of_an_undisturbed_run(job, photos, tmp_path):
    job, chance = replace(many(job, photos, 400, part_size=4), workers=1), random.Random(0)
    run(replace(job, output=str(tmp_path / "undisturbed"), workers=0))
    for _ in range(5):
        process = start(job)
        wait_for_parts(process, job, len(part_files(job.output)) + chance.randint(1, 10))
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.wait()
    assert start(job).wait() == 0 and same(rows(job.output), rows(tmp_path / "undisturbed"))


@pytest.mark.slow
def test_memory_is_flat(job, photos):
    peaks = []
    for count in (500, 2500):
        process = start(many(job, photos, count, part_size=250))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        assert status == 0
        peaks.append(usage.ru_maxrss / 1024)
    assert peaks[1] - peaks[0] < 40, f"{peaks} MiB"


@pytest.mark.slow
def test_an_interrupted_command_leaves_nothing_half_written(job, photos):
    job = many(job, photos, 3000, part_size=50)
    process = start(job)
    wait_for_parts(process, job, 3)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert not list(Path(job.output).rglob("*.part"))
    assert start(job).wait() == 0 and len(rows(job.output)) == 3000


@pytest.mark.slow
def test_killed_decoding_processes_cost_nothing(job, photos):
    job = replace(many(job, photos, 1500, part_size=50), workers=1)
    process = start(job)
    for parts in (3, 8):
        wait_for_parts(process, job, parts)
        decoders(process.pid)[0].kill()
    assert process.wait() == 0 and len(rows(job.output)) == 1500 and not rows(job.output, "errors")


def decoders(number):
    """The processes that decode: of all that a command has started, those that nothing was started by but the server."""
    below = psutil.Process(number).children(recursive=True)
    return [each for each in below if each.ppid() != number]


@pytest.mark.slow
def test_a_command_that_is_killed_leaves_no_process_behind(job, photos):
    job = replace(many(job, photos, 3000, part_size=50), workers=2)
    process = start(job)
    wait_for_parts(process, job, 2)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(decoders(process.pid)) == 2
    process.kill()
    process.wait()
    assert not psutil.wait_procs(below, timeout=20)[1]
