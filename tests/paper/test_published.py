from dataclasses import fields

import msgspec
import pytest

from ctran import registry
from ctran.data import sources
from ctran.metrics import Table
from ctran.paper.comparison import variant
from ctran.paper.published import Block, Note, PublishedTable, Row, find, tables
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe, shipped

MEASURED = {f.name for f in fields(Table)} | {"accuracy"}
BY_NAME = [pytest.param(table, id=name) for name, table in tables().items()]
SHAPES = {"1": (11, 13), "2": (5, 13), "3": (2, 16), "4": (4, 4), "5": (3, 8), "layers": (3, 1), "voc2007": (1, 3)}


def printed(table: str, system: str) -> dict[str, float | None]:
    """Column -> figure."""
    found = find(table)
    row = next(row for row in found.rows if row.system == system)
    return dict(zip((column.name for column in found.columns), row.values, strict=True))


def harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b)


def triples(table: PublishedTable):
    """Every printed precision, recall and F1 with its row and the F1's column."""
    for row in table.rows:
        values = dict(zip(((c.block, c.heading) for c in table.columns), row.values, strict=True))
        for block in table.blocks:
            for kind in "CO":
                found = [values.get((block.title, f"{kind}{figure}")) for figure in ("P", "R", "F1")]
                if None not in found:
                    yield row, f"{block.title} {kind}F1", *found


def test_all_rows_and_columns_of_the_paper_are_there():
    assert {name: (len(table.rows), len(table.columns)) for name, table in tables().items()} == SHAPES


@pytest.mark.parametrize("name", "12")
def test_an_f1_is_the_harmonic_mean_of_its_precision_and_recall_unless_a_note_says_otherwise(name):
    """Up to what rounding to one decimal can do."""
    checked = 0
    for row, column, precision, recall, f1 in triples(find(name)):
        low, high = harmonic(precision - 0.05, recall - 0.05) - 0.05, harmonic(precision + 0.05, recall + 0.05) + 0.05
        doubted = any("harmonic mean" in note.text and column in note.cells for note in row.notes)
        assert (low - 1e-9 <= f1 <= high + 1e-9) != doubted, f"{row.system}, {column}"
        checked += 1
    assert checked == {"1": 35, "2": 16}[name]


def test_the_recall_of_ctran_that_does_not_fit_its_f1_is_flagged_with_the_one_that_would():
    row = find("1").rows[-1]
    note = next(n for n in row.notes if "Top 3 OR" in n.cells)
    cells = printed("1", "C-Tran")
    assert f"{harmonic(cells['Top 3 OP'] or 0, cells['Top 3 OR'] or 0):.1f}" in note.text
    assert round(harmonic(92.1, 67.0), 1) == cells["Top 3 OF1"] and "67.0" in note.text


def test_tables_agree_where_they_print_the_same_figure():
    three, five = printed("3", "C-Tran"), printed("5", "C-Tran")
    assert printed("1", "C-Tran")["All mAP"] == three["COCO-80 0 %"] == printed("layers", "C-Tran (3 layers)")["COCO-80 mAP"]
    assert printed("2", "C-Tran")["All mAP"] == three["VG-500 0 %"]
    assert all(three[column] == figure for column, figure in five.items())


def test_every_row_without_known_labels_of_the_two_rnns_is_the_same_and_flagged():
    one, other = printed("1", "RNN-Attention"), printed("1", "Order-Free RNN")
    assert one == other
    assert any("Repeats" in note.text for row in find("1").rows for note in row.notes if row.system == "Order-Free RNN")


def test_ctran_is_best_where_the_paper_reports_so():
    """Bold in Tables 2 to 4; in Table 1 SSGRL is more precise."""
    for name in "234":
        table = find(name)
        for column, figures in zip(table.columns, zip(*(row.values for row in table.rows), strict=True), strict=True):
            assert table.rows[-1].system == "C-Tran" and figures[-1] == max(f for f in figures if f is not None), column.name


@pytest.mark.parametrize("table", BY_NAME)
def test_columns_are_figures_that_a_run_can_measure_on_a_data_set_that_there_is(table):
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert {c.metric for c in table.columns} <= MEASURED
    assert {c.source for c in table.columns} <= set(registry.names(sources))
    assert all(0 < value < 100 for row in table.rows for value in row.values if value is not None)


@pytest.mark.parametrize("table", BY_NAME)
def test_every_row_but_that_without_public_code_names_recipes_that_are_shipped(table):
    for row in table.rows:
        assert (row.recipe is None) == (row.system == "Multi-Evidence")
        assert (row.reference is None) == row.system.startswith("C-Tran")
        assert (row.recipe or "paper/").startswith("paper/") == (row.reference is None or row.recipe is None)
        wanted = {row.recipe.format(source=block.source) for block in table.blocks} if row.recipe else set()
        assert wanted <= set(shipped())


@pytest.mark.parametrize("table", BY_NAME)
def test_a_run_of_a_row_s_recipe_belongs_to_this_row_alone(table):
    for source in {block.source for block in table.blocks}:
        names = [row.recipe.format(source=source) for row in table.rows if row.recipe]
        variants = [variant(read_recipe(find_recipe(name), ["--data.root", "."])) for name in names]
        assert len(set(variants)) == len(variants), variants


def test_a_column_holds_the_known_labels():
    assert [(c.known_share, c.known_groups) for c in find("4").columns] == [(None, n) for n in (0, 10, 15, 20)]
    assert [c.known_share for c in find("5").columns] == [0, 0.5] * 4
    assert {c.known_share for c in find("1").columns} == {0}


def test_an_unknown_table_is_refused():
    with pytest.raises(
        ValueError, match=r"no table 'layer'; did you mean 'layers'\? \(there are: 1, 2, 3, 4, 5, layers, voc2007\)"
    ):
        find("layer")


BLOCK = Block("All", "coco80", ("mAP", "CP"))


def test_a_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"T, row A: expected \[2\] figures in its blocks, got \[1\]"):
        PublishedTable("T", (BLOCK,), (Row("A", ((1.0,),)),))


def test_a_note_on_a_column_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="T, row A: a note on column 'All CR', which is not there"):
        PublishedTable("T", (BLOCK,), (Row("A", ((1.0, 2.0),), notes=(Note("why", ("All CR",)),)),))


def test_a_key_that_is_not_known_is_refused():
    with pytest.raises(msgspec.ValidationError, match="unknown field `bold`"):
        msgspec.convert({"system": "A", "figures": [], "bold": True}, Row)
