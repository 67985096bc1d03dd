"""``ctran data show``: numbers of a data set, and pictures of them."""

import argparse
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ctran.cli._types import output_folder

if TYPE_CHECKING:
    from ctran.data.description import Pairs
    from ctran.data.table import SampleTable
    from ctran.labels import LabelSpace

SHOWN = 10
"""Labels that are printed, and two thirds of the pairs; the files have all."""


def show(name: str, options: argparse.Namespace) -> int:
    """Read a source, print its statistics, write them and the pictures."""
    from ctran.data import description
    from ctran.labels import LabelSpace
    from ctran.plots import data as pictures
    from ctran.plots.sheets import annotation_sheet
    from ctran.plots.style import save_rows
    from ctran.training.pipeline import build_tables
    from ctran.training.recipe import read_recipe

    output: Path = output_folder(options.output or Path(f"{name}-data"))
    tables = build_tables(read_recipe(None, ["--source", name, *options.keys]))
    table = tables[options.split]
    labels, truth = table.labels, table.truth
    paired = description.most_frequent(truth)
    some = LabelSpace(tuple(labels.names[i] for i in paired.tolist()))
    pairs = description.count_pairs(truth, paired)
    print_splits(tables)
    print_groups(table)
    print_labels(table, options.split)
    print_pairs(some, pairs, options.split)
    if len(some) < len(labels):
        print(f"pairs are counted of the {len(some):,} labels that are positive most often, not of all {len(labels):,}")
    output.mkdir(parents=True, exist_ok=True)
    save_rows(*label_rows(tables), output / "labels.csv")
    counts = ([label, *row.tolist()] for label, row in zip(some.names, pairs.both, strict=True))
    save_rows(["label", *some.names], counts, output / "cooccurrence.csv")
    what = f"the {len(table):,} pictures of {options.split}"
    pictures.frequency_bars(labels, description.frequencies(truth), output / "frequencies.png", what=what)
    pictures.pair_map(some, pairs, output / "cooccurrence.png", what=what)
    annotation_sheet(table, output / "contact_sheet.png", seed=options.seed)
    print(f"{output} holds labels.csv, cooccurrence.csv, cooccurrence.png, frequencies.png and contact_sheet.png")
    return 0


def label_rows(tables: "dict[str, SampleTable]") -> tuple[list[str], list[list[object]]]:
    """``labels.csv``: header and rows."""
    from ctran.labels import LabelState

    labels = tables["train"].labels
    extra = set(labels.extra)
    states = (LabelState.POSITIVE, LabelState.NEGATIVE, LabelState.UNKNOWN)
    header = ["label", "group", "extra", *(f"{split} {state.name.lower()}" for split in tables for state in states)]
    counts = zip(*(table.truth.counts()[list(states)].T.tolist() for table in tables.values()), strict=True)
    rows: list[list[object]] = [
        [name, labels.group_of.get(name, ""), int(name in extra), *chain.from_iterable(numbers)]
        for name, numbers in zip(labels.names, counts, strict=True)
    ]
    return header, rows


def print_splits(tables: "dict[str, SampleTable]") -> None:
    """Pictures and positives, a row a split; pictures that were left out."""
    from ctran.data.description import summarise

    rows = []
    for split, table in tables.items():
        s = summarise(table.truth)
        counts = (f"{s.pictures:,}", f"{s.mean:.2f}", s.most, f"{s.empty:,}", f"{100 * s.unknown:.1f} %", len(table.broken))
        rows.append((split, *counts))
    columns = ("split", "pictures", "labels each", "most", "with none", "unknown", "left out")
    print_table(columns, rows)
    for split, table in tables.items():
        for broken in table.broken[:SHOWN]:
            print(f"left out of {split}: {broken.row}: {broken.reason}")


def print_groups(table: "SampleTable") -> None:
    """How many labels there are, and how they are grouped."""
    labels = table.labels
    extra = set(labels.extra)
    print(f"{len(labels)} labels, {len(extra)} of them extra; {len(labels.groups)} groups")
    rows = [
        (g.name, len(g.labels), "yes" if g.exclusive else "no", f"{len(extra & set(g.labels))} of {len(g.labels)}")
        for g in labels.groups
    ]
    if rows:
        print_table(("group", "labels", "exclusive", "extra"), rows)


def print_labels(table: "SampleTable", split: str) -> None:
    """The most and the least frequent labels."""
    from ctran.data.description import frequencies
    from ctran.labels import LabelState

    often, shares = table.truth.counts()[LabelState.POSITIVE], frequencies(table.truth).tolist()
    order, positives = often.argsort(descending=True, stable=True).tolist(), often.tolist()
    names = table.labels.names
    cells = [(names[i], f"{positives[i]:,}", f"{100 * shares[i]:.2f} %") for i in order]
    kept = min(SHOWN, -(-len(cells) // 2))
    print_table((f"frequent in {split}", "pictures", "share"), cells[:kept])
    print_table((f"rare in {split}", "pictures", "share"), cells[kept:][-SHOWN:])
    if never := [names[i] for i in order if not positives[i]]:
        print(
            f"{len(never)} labels are positive nowhere in {split}: {', '.join(never[:SHOWN])}{', ...' * (len(never) > SHOWN)}"
        )


def print_pairs(labels: "LabelSpace", pairs: "Pairs", split: str) -> None:
    """Pairs of labels with the most mutual information."""
    from ctran.data.description import strongest

    names = labels.names
    rows = [
        (
            *(names[a], names[b], f"{pairs.both[a, b]:,}"),
            *(f"{100 * pairs.conditional[i, j]:.0f}" for i, j in ((a, b), (b, a))),
            *(f"{pairs.lift[a, b]:.1f}", f"{1000 * pairs.information[a, b]:.2f}"),
        )
        for a, b in strongest(pairs, count=SHOWN + SHOWN // 2)
    ]
    if not rows:
        print(f"no two labels appear together in {split} more often than by chance, and at least five times")
        return
    print_table(("a", "b", "both", "b if a %", "a if b %", "lift", "mnat"), rows, names=2)
    print(f"pairs in {split}, the most informative first (mutual information, in thousandths of a nat a picture);")
    print("both: pictures; lift: times as often together as by chance")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, names: int = 1) -> None:
    """Print a table: the first ``names`` columns are names, never read as markup; then numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for place, column in enumerate(columns):
        number = place >= names
        table.add_column(column, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    Console(markup=False, highlight=False).print(table)
