"""Lines of progress where there is no terminal, by a clock of the test."""

import re
import sys
from itertools import pairwise

import pytest

from ctran import progress
from ctran.progress import Lines, bar, duration, track


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def lines_of(capsys, clock, seconds_a_step, steps, *, already=0):
    lines = Lines("image tokens of train", already + steps)
    if already:
        lines.advance(already)
    printed = []
    for _ in range(steps):
        clock.now += seconds_a_step
        lines.advance(1)
        if text := capsys.readouterr().err:
            printed.append((clock.now - 100, text))
    return printed


@pytest.mark.parametrize("seconds_a_step", [0.02, 0.5, 3.0, 9.0])
def test_nobody_waits_for_a_line_longer_than_ten_seconds_and_a_step(capsys, clock, seconds_a_step):
    printed = lines_of(capsys, clock, seconds_a_step, 1000)
    times = [0.0, *(at for at, _ in printed)]
    assert all(progress.LEAST_SECONDS - 1e-6 <= later - sooner <= 10 + seconds_a_step for sooner, later in pairwise(times))
    assert all(text.count("\n") == 1 for _, text in printed)


def test_work_that_is_soon_done_prints_nothing(capsys, clock):
    assert lines_of(capsys, clock, 0.001, 1000) == []


def test_a_line_has_the_count_the_share_and_the_time_left(capsys, clock):
    (_, first), *_ = lines_of(capsys, clock, 0.125, 1200)
    assert re.fullmatch(r"image tokens of train: 80 of 1,200 \(7 %\), 10 s, about 2 min left\n", first)


def test_what_was_done_before_does_not_count_for_the_pace(capsys, clock):
    (_, first), *_ = lines_of(capsys, clock, 1.0, 100, already=900)
    assert first.endswith("910 of 1,000 (91 %), 10 s, about 90 s left\n")


def test_lines_are_flushed_at_once(monkeypatch, clock):
    """A pipe's buffer would hold them back for minutes."""
    written, flushed = [], []

    class Pipe:
        def write(self, text):
            written.append(text)

        def flush(self):
            flushed.append(len(written))

        def isatty(self):
            return False

    monkeypatch.setattr(sys, "stderr", Pipe())
    for _ in track(range(3), "evaluating", 3):
        clock.now += 20
    assert len([text for text in written if "evaluating" in text]) == 3 and flushed[-1] == len(written)
    with bar("nothing", 0) as advance:
        advance(0)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_a_unit_adds_the_pace_and_the_total_may_be_found_out_later(capsys, clock):
    lines = Lines("predicting", 0, "pictures")
    lines.advance(0)
    clock.now += 20
    lines.advance(100)
    assert capsys.readouterr().err == "predicting: 100 pictures, 20 s, 5 pictures a second\n"
    clock.now += 20
    lines.advance(100, 400)
    assert capsys.readouterr().err == "predicting: 200 of 400 (50 %), 40 s, 5 pictures a second, about 40 s left\n"
