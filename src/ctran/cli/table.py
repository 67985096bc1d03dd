"""A table of the paper, with finished runs beside its rows.

  ctran table 1                       as printed, with what is doubtful in it, and the commands that make its rows
  ctran table 3 --runs runs           every finished run below runs/ that belongs to it, and how far it is from the printed row
  ctran table 5 --runs runs --csv > table5.csv

Tables: 1 to 5, layers (Section 4.4), voc2007 (the authors' repository). Figures are percent, differences percentage points.
Several runs of one recipe become mean and spread (standard deviation).
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctran.cli._arguments import add
from ctran.errors import UserError

if TYPE_CHECKING:
    from ctran.paper.comparison import Comparison, Ours

SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("table", help="1 to 5, layers or voc2007")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="folder of run folders, at any depth")
    add(parser, "--csv", more="numbers alone")


@dataclass(frozen=True)
class Line:
    """One line as it is shown.

    Args:
        system: whose figures.
        what: published, ours, spread or difference.
        values: percent or percentage points, a column each.
        marks: numbers of notes on the figures, a column each.
        mark: numbers of notes on the line.
    """

    system: str
    what: str
    values: tuple[float | None, ...]
    marks: tuple[str, ...]
    mark: str = ""

    def cell(self, column: int) -> str:
        """Text of one figure; the published "-" stays one, what was not measured is empty."""
        value = self.values[column]
        if value is None:
            return "-" if self.what == "published" else ""
        return (f"{value:+.1f}" if self.what == "difference" else f"{value:.1f}") + self.marks[column]

    @property
    def label(self) -> str:
        """First cell."""
        return (self.system if self.what == "published" else f"  {self.what}") + self.mark


class Notes:
    """Notes, numbered in the order of their first use."""

    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}

    def mark(self, texts: Sequence[str]) -> str:
        """Superscripts of ``texts``."""
        return " ".join(self.numbers.setdefault(t, str(len(self.numbers) + 1).translate(SUPERSCRIPT)) for t in texts)


def lines_of(found: "Comparison", notes: Notes) -> list[Line]:
    """Published rows, each followed by ours."""
    columns, lines = found.table.columns, list[Line]()
    blank = ("",) * len(columns)
    for row, ours in zip(found.table.rows, found.ours, strict=True):
        marks = tuple(notes.mark([n.text for n in row.notes if column.name in n.cells]) for column in columns)
        of_row = notes.mark([n.text for n in row.notes if not n.cells])
        lines.append(Line(row.system, "published", row.values, marks, of_row))
        for part in ours:
            means, spreads = tuple(map(part.mean, columns)), tuple(map(part.spread, columns))
            lines.append(Line(row.system, "ours", means, blank, notes.mark([runs_note(part)])))
            if any(spread is not None for spread in spreads):
                lines.append(Line(row.system, "spread", spreads, blank))
            pairs = zip(means, row.values, strict=True)
            differences = tuple(None if None in (a, b) else a - b for a, b in pairs)  # pyright: ignore[reportOperatorIssue]
            lines.append(Line(row.system, "difference", differences, blank))
    return lines


def runs_note(ours: "Ours") -> str:
    """Which runs of which data sets, and how they differ from the row's recipe."""
    sources: dict[str, list[str]] = {}
    for run in ours.runs:
        sources.setdefault(run.recipe.source, []).append(f"{run.folder} (seed {run.recipe.seed})")
    parts = [f"{name}, n = {len(runs)}: {', '.join(runs)}" for name, runs in sources.items()]
    return f"{'; '.join(parts)}." + (f" Not as the row's recipe: {'; '.join(ours.departs)}." if ours.departs else "")


def write_csv(found: "Comparison", lines: list[Line]) -> None:
    """One line a row, figures to four decimals, empty where there is none."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["system", "what", *(column.name for column in found.table.columns)])
    for line in lines:
        writer.writerow([line.system, line.what, *("" if v is None else round(v, 4) for v in line.values)])


def parts_of(found: "Comparison", lines: list[Line]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, headings and cells of each block, so that the widest table fits a terminal; ours only where it has figures."""
    parts, columns = [], found.table.columns
    for block in found.table.blocks:
        at = [i for i, column in enumerate(columns) if column.block == block.title]
        shown = [line for line in lines if line.what == "published" or any(line.values[i] is not None for i in at)]
        cells = [[line.label, *(line.cell(i) for i in at)] for line in shown]
        parts.append((block.title, ["", *(columns[i].heading for i in at)], cells))
    return parts


def markdown(title: str, headings: list[str], cells: list[list[str]]) -> str:
    """One block as a Markdown table."""
    rule = "|---" + "|---:" * (len(headings) - 1) + "|"
    rows = ["| " + " | ".join(row) + " |" for row in (headings, *cells)]
    return "\n".join([f"**{title}**", "", rows[0], rule, *rows[1:]])


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ctran.paper.comparison import compare, find_runs
    from ctran.paper.published import find

    table = find(options.table)
    if options.runs is not None and not options.runs.is_dir():
        raise UserError(f"--runs {options.runs}: there is no such folder")
    found = compare(table, *(find_runs(options.runs) if options.runs else ([], [])))
    notes = Notes()
    lines = lines_of(found, notes)
    if options.csv:
        write_csv(found, lines)
        return 0
    console = Console(highlight=False, soft_wrap=True)
    below = "\n".join(trailer(found, notes, options.runs))
    if not console.is_terminal:
        blocks = "\n\n".join(markdown(*part) for part in parts_of(found, lines))
        print(f"## {table.title}\n\n{blocks}\n\n{below}")
        return 0
    console.print(Text(table.title, style="bold"))
    for title, headings, cells in parts_of(found, lines):
        grid = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
        for number, heading in enumerate(headings):
            grid.add_column(heading, justify="right" if number else "left", no_wrap=True)
        for row in cells:
            grid.add_row(*map(Text, row), style="cyan" if row[0].startswith(" ") else None)
        console.print(grid)
    console.print(Text(below), soft_wrap=False)
    return 0


def trailer(found: "Comparison", notes: Notes, runs: Path | None) -> list[str]:
    """The lines below the figures: notes, what is missing, what was left out."""
    lines = [f"- {number} {text}" for text, number in notes.numbers.items()]
    lines += [f"- {text}" for text in found.table.notes]
    if runs is not None and not any(found.ours):
        lines += ["", f"No finished run of this table is below {runs}."]
    if found.missing:
        lines += ["", "To make the rows that are missing:" if any(found.ours) else "To make its rows:", ""]
        lines += [f"    {command}" for command in found.missing]
    if found.left_out:
        lines += ["", "Left out:", "", *(f"- {text}" for text in found.left_out)]
    return lines
