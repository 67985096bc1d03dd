"""A cell of labels is read as what it is, refused or doubted; never silently as something else."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctran.data.notices import Doubts
from ctran.data.readers.cells import Joined, names_of, near_names, value_of
from ctran.data.table import DataError

NAME = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12).filter(str.strip)
NAMES = st.lists(NAME, max_size=5)


def stripped(names):
    return tuple(dict.fromkeys(name.strip() for name in names))


@given(NAMES)
def test_any_names_come_back_from_a_json_list_a_python_list_and_a_real_list(names):
    for cell in (json.dumps(names), json.dumps(names, ensure_ascii=False), repr(names), names, json.dumps({"choices": names})):
        assert names_of(cell, ",", "row 1") == stripped(names)


@given(st.lists(NAME, min_size=2, max_size=5))
def test_what_numpy_prints_is_never_read_as_other_names(names):
    for cell in (str(np.array(names)), str(np.array(names, dtype=object)), repr(np.array(names, dtype=object))):
        try:
            found = names_of(cell, ",", "row 1")
        except DataError as error:
            assert "row 1" in str(error)
        else:
            assert found == stripped(names)


@given(st.lists(st.text("abcxyz ", min_size=1).filter(str.strip), max_size=5))
def test_delimited_names_come_back(names):
    for delimiter in (",", "|", ";", " | "):
        assert names_of(delimiter.join(names), delimiter, "row 1") == stripped(names)


@pytest.mark.parametrize(
    "cell",
    [
        "['cat' 'dog']",
        "['cat'\n 'dog']",
        '["cat" "dog"]',
        "['cat', 'dog' 'sea']",
        "array(['cat', 'dog'], dtype=object)",
        "[cat, dog]",
        "[cat",
        "['cat', 'dog'",
        '["cat", true]',
        '["cat", null]',
        '["cat", NaN]',
        "['cat', None]",
        "['cat', True]",
        "[1, 0, 1]",
        "[1.5]",
        '[["cat"], ["dog"]]',
        "[b'cat']",
        '{"cat": true, "dog": false}',
        '{"choices": ["red", 3]}',
        '{"choices": ["red"], "choices": ["blue"]}',
        '{"choices": ["red", "blue"',
        "{'cat': 1}",
        "{cat,dog}",
        "('cat')",
        "(cat, dog)",
        "'cat','dog'",
        '"cat"',
        "cat, [dog",
        "cat], dog",
        "cat\0",
        "\ud800",
        5,
        True,
        ["cat", 3],
        ["cat", None],
        [["cat"]],
        {"cat": 1},
        b"cat",
    ],
)
def test_a_cell_that_cannot_be_meant_is_refused_with_its_row(cell):
    with pytest.raises(DataError, match=r"^meta.csv, row 7: "):
        names_of(cell, ",", "meta.csv, row 7")


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ('{"choices": ["red", "blue"]}', ("red", "blue")),
        ("{'choices': ['red', 'blue']}", ("red", "blue")),
        ('{"choices": "red"}', ("red",)),
        ({"choices": ["red"]}, ("red",)),
        ("('cat', 'dog')", ("cat", "dog")),
        ("{'dog', 'cat'}", ("cat", "dog")),
        ('["traffic, light"]', ("traffic, light",)),
        ("bird [flying], cat", ("bird [flying]", "cat")),
        ("", ()),
        ("[]", ()),
        (None, ()),
        (float("nan"), ()),
    ],
)
def test_lists_in_other_notations_are_read_as_what_they_are(cell, names):
    assert names_of(cell, ",", "row 1") == names


@pytest.mark.parametrize(
    ("cell", "doubt"),
    [
        ("cat,", "an empty entry"),
        (",cat", "an empty entry"),
        ("cat,,dog", "an empty entry"),
        (["cat", " "], "an empty entry"),
        ("cat, cat", "a label is listed twice"),
        ('["cat", "cat "]', "a label is listed twice"),
        ("nan", "'nan' is read as a label"),
        ("None", "'None' is read as a label"),
        (None, "labels are missing"),
        (float("nan"), "labels are missing"),
    ],
)
def test_a_doubtful_cell_is_counted_and_named_once(cell, doubt, capsys):
    doubts = Doubts()
    for row in (3, 4):
        names_of(cell, ",", f"meta.csv, row {row}", doubts)
    doubts.warn()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: meta.csv, row 3") and doubt in line and "2 rows" in line


@pytest.mark.parametrize(
    ("cells", "delimiter", "better"),
    [
        (["cat|dog", "cat", "dog|sea"], ",", "|"),
        (["cat;dog", "cat"], ",", ";"),
        (["cat\tdog", "cat"], ",", "\\t"),
        (["cat，dog", "cat"], ",", "，"),
        (["cat dog", "cat", "dog sea"], ",", " "),
        (["cat/dog", "cat", "dog"], ",", "/"),
        (["cat,dog", "cat", "dog,sea"], "|", ","),
        (["cat|dog", "cat|sea", "a, b|cat"], ",", "|"),
        (["cat", "dog"], ",", None),
        (["cat,dog", "cat"], ",", None),
        (["traffic light", "polar bear", "car"], ",", None),
        (["cat|dog", "cat"], "|", None),
        (['["a|b"]', "['c;d']", "e"], ",", None),
        ([["a|b"], None, 3], ",", None),
        ([], ",", None),
    ],
)
def test_another_delimiter_is_proposed_where_the_cells_have_it(cells, delimiter, better):
    joined = Joined(delimiter)
    for row, cell in enumerate(cells, start=1):
        joined.add(cell, f"row {row}")
    hint = joined.hint("--data.delimiter")
    assert (hint is None) == (better is None)
    assert hint is None or (hint.endswith(f"did you mean --data.delimiter '{better}'?") and hint.startswith("row "))


VALUES = {
    1: ["1", "1.0", "1.00", "1e0", "True", "TRUE", "yes", "Y", "t"],
    0: ["0", "0.0", "-0", "False", "no", "N", "f"],
    -1: ["-1", "-1.0"],
    None: ["", " ", "nan", "NaN", "NA", "N/A", "null", "None"],
}


def test_values_of_a_wide_table_in_all_their_notations():
    for value, cells in VALUES.items():
        assert {value_of(cell, "row 1", "cat") for cell in cells} == {value}


@given(st.text(max_size=6))
def test_any_other_value_is_refused_with_row_and_column(cell):
    known = {c.casefold() for cells in VALUES.values() for c in cells}
    try:
        value = value_of(cell, "l.csv, row 2", "cat")
    except DataError as error:
        assert str(error).startswith("l.csv, row 2, column 'cat': expected 1, 0 or blank, got ")
    else:
        assert cell.strip().lower() in known or float(cell) == value


@pytest.mark.parametrize("cell", ["2", "0.5", "-2", "maybe", "inf", "x", "1_0", "١"])
def test_values_between_are_refused(cell):
    with pytest.raises(DataError, match="column 'cat'"):
        value_of(cell, "row 1", "cat")


def test_names_that_look_alike_are_paired():
    names = ["Café", "Cafe\u0301", "cat", "Cat", "cat ", "traffic  light", "traffic light", "dog", "do\u200bg", "sea"]
    assert near_names(names) == [
        ("Café", "Cafe\u0301"),
        ("cat", "Cat"),
        ("cat", "cat "),
        ("traffic  light", "traffic light"),
        ("dog", "do\u200bg"),
    ]
