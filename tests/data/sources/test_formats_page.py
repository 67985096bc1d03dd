"""The table of formats in the docs is that of the registry."""

from pathlib import Path

from ctran.data import conversion

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "label-files.md"


def table():
    """A row a format."""
    rows = ["| format | what it is | written | says of a label |", "|---|---|---|---|"]
    for name, module in conversion.formats().items():
        rows.append(f"| `{name}` | {module.SUMMARY} | {'yes' if hasattr(module, 'write') else 'no'} | {module.SAYS.value} |")
    return "\n".join(rows) + "\n"


def test_the_page_has_every_format_and_what_it_can_say():
    assert f"\n\n{table()}\n" in PAGE.read_text(encoding="utf-8"), f"the table should be\n\n{table()}"
