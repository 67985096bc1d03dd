"""The load of the server, at toy sizes."""

import json

import pytest

from benchmarks import serving
from benchmarks.harness import Options
from tests.benchmarks.test_benchmarks import check_table


@pytest.mark.slow
def test_a_server_is_loaded_and_its_table_can_be_read():
    result = json.loads(json.dumps(serving.run(Options(tiny=True)), allow_nan=False))
    for found in (*result["loads"], result["soak"]):
        assert set(found["statuses"]) <= {"200", "201", "503"} and found["statuses"]["200"] > 0
    assert [found["clients"] for found in result["loads"]] == list(serving.CLIENTS)
    text = serving.table(result)
    check_table(text)
    assert "other responses: 0 (at most 0: reached)" in text


def test_growth_is_that_of_the_greatest_memory_after_the_first_fifth():
    memory = [(0, 100), (10, 900), (20, 1000), (25, 1000), (60, 1100), (100, 1000)]
    assert serving.growth(memory, 100) == pytest.approx(0.1)
