"""Damaged label files and pictures: each is read, or refused by name; there is no traceback, no hang and no bomb."""

import os
import signal
import warnings
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from random import Random

import pytest

from tests.faults.campaign import campaign, code, summary
from tests.faults.subjects import Outcome, picture_subjects, subjects, try_annotation, try_picture

FEW, MANY = 48, 10_000


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """Kind -> the trial of a number."""
    folders, pictures = subjects(tmp_path_factory.mktemp("subjects")), picture_subjects()

    def annotation(number):
        with quiet():
            return try_annotation(folders[number % len(folders)], Random(f"annotation {number}"))

    def picture(number):
        with quiet():
            return try_picture(pictures[number % len(pictures)], Random(f"picture {number}"))

    return {"annotations": annotation, "pictures": picture}


@contextmanager
def quiet():
    """Without what libraries and readers print about doubtful input."""
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("kind", ["annotations", "pictures"])
def test_a_damaged_file_is_read_or_refused_by_name(kind, trials):
    counts, bad = summary({number: trials[kind](number) for number in range(FEW)})
    assert not bad and counts["read"] > 5 and counts["refused"] > 5


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["annotations", "pictures"])
def test_ten_thousand_damaged_files_are_read_or_refused_by_name(kind, trials, pytestconfig):
    counts, bad = summary(campaign(trials[kind], MANY, pytestconfig.rootpath / f".cache/faults/{kind}-{code()}.jsonl"))
    print(f"{kind}: {counts}")
    assert not bad, "\n".join(bad[:20])
    assert min(counts.get("read", 0), counts.get("refused", 0)) > MANY / 10


def odd(number):
    """Trials that crash and grow."""
    if number == 1:
        os._exit(3)
    if number == 2:
        return Outcome("x", "read", str(len(b"x" * 2**26)))
    return Outcome("x", "read")


def test_a_crash_and_growth_are_found_and_the_rest_goes_on(tmp_path):
    found = campaign(odd, 5, tmp_path / "kept", memory=2**25)
    assert [outcome.kind for outcome in found.values()] == ["read", "crash", "memory", "read", "read"]
    assert summary(found)[0] == {"read": 3, "crash": 1, "memory": 1} and len(summary(found)[1]) == 2


def test_a_hang_is_found(tmp_path):
    found = campaign(lambda number: signal.pause(), 2, tmp_path / "kept", seconds=0.2)
    assert [outcome.kind for outcome in found.values()] == ["hang", "hang"]


def test_a_campaign_that_was_stopped_goes_on_where_it_was(tmp_path):
    kept, made = tmp_path / "kept", tmp_path / "made"

    def attempt(number):
        with made.open("a") as file:
            file.write(f"{number} ")
        return Outcome("x", "read", str(number))

    campaign(attempt, 3, kept)
    with kept.open("a") as file:
        file.write('[3, "x", "re')  # killed while it wrote
    assert campaign(attempt, 5, kept)[2] == Outcome("x", "read", "2")
    assert made.read_text() == "0 1 2 3 4 "


def test_the_same_number_gives_the_same_damage(tmp_path):
    from tests.faults.mutations import mutated

    content = b'{"a": [1, 2], "b": {"c": "d"}}\n' * 3
    for suffix in (".json", ".jsonl", ".csv", ".png"):
        assert [mutated(content, suffix, Random(n)) for n in range(40)] == [
            mutated(content, suffix, Random(n)) for n in range(40)
        ]
        assert len({mutated(content, suffix, Random(n)) for n in range(40)}) > 20
