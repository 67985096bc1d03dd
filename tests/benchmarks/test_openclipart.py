"""The page of the clip-art study has the tables that its figures give, with the rows of the program."""

import json

from benchmarks.openclipart import OUT, SUM, SYSTEMS, bars, summary


def test_the_page_has_the_tables_of_its_figures():
    results, page = json.loads(OUT.read_text()), OUT.with_suffix(".md").read_text()
    assert set(results) == {*SYSTEMS, SUM}
    for table in (summary(results, "val"), summary(results, "test"), bars(results)):
        assert [line for line in table.splitlines() if line not in page] == []
