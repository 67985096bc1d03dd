"""The table of findings in the docs is that of the code."""

from pathlib import Path

from ctran.data.findings import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "check-labels.md"


def test_the_page_has_every_kind_of_finding():
    table = "\n".join(
        ["| finding | what it is |", "|---|---|", *(f"| {kind} | {meaning} |" for kind, meaning in KINDS.items())]
    )
    assert f"\n\n{table}\n\n" in PAGE.read_text(encoding="utf-8"), f"the table should be\n\n{table}"
