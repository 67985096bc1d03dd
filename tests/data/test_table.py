"""The sample table: what it refuses, by the name of the picture."""

from dataclasses import replace

import pytest
from datasets import Dataset

from ctran.data.file_table import FEATURES
from ctran.data.table import DataError, SampleTable
from ctran.labels import Group, LabelSpace, LabelState

U, N, P = LabelState.UNKNOWN, LabelState.NEGATIVE, LabelState.POSITIVE
PLAIN = LabelSpace(("red", "green", "blue"))
COLOURS = replace(PLAIN, groups=(Group("colour", PLAIN.names, exclusive=True),))


def table(positives, negatives=None, labels=PLAIN, absent=N, ids=None):
    names = ids or [f"p{i}" for i in range(len(positives))]
    columns = {
        "image": [{"bytes": None, "path": name} for name in names],
        "id": names,
        "positives": positives,
        "negatives": negatives or [[] for _ in positives],
    }
    return SampleTable(Dataset.from_dict(columns, features=FEATURES), labels, absent)


def test_the_lists_define_the_truth_and_absence_the_rest():
    lists = [[0], [], [1, 2]], [[1], [], [0]]
    assert table(*lists, absent=U).truth.dense().tolist() == [[P, N, U], [U, U, U], [N, P, P]]
    assert table(*lists, absent=N).truth.dense().tolist() == [[P, N, N], [N, N, N], [N, P, P]]


def test_selected_rows_have_their_own_truth_in_their_own_order():
    whole = table([[0], [1], [2], [0, 1]])
    assert whole.select([3, 1]).truth.dense().tolist() == whole.truth.rows([3, 1]).tolist()


@pytest.mark.parametrize("lists", [([[0], [3]], None), ([[0], []], [[], [3]])])
def test_an_index_without_a_label_is_refused_with_its_picture(lists):
    with pytest.raises(DataError, match="picture 'p1' lists label number 3, the label space has numbers 0 to 2"):
        _ = table(*lists, absent=U).truth


def test_ids_that_come_twice_are_refused():
    with pytest.raises(DataError, match="picture ids must be distinct, got 'b' twice"):
        table([[0]] * 3, ids=["a", "b", "b"])


def test_a_table_without_any_negative_teaches_nothing():
    with pytest.raises(DataError, match="predicting every label would be perfect"):
        table([[0], [1]], absent=U).check_learnable()
    assert table([[0], [1]], [[], [0]], absent=U).check_learnable().absent == U


def test_what_nobody_listed_is_assumed_to_be_absent_and_stays_unknown():
    listed = replace(table([[0], [1, 2]], [[], [0]], absent=U), unlisted=True)
    assert listed.truth.dense().tolist() == [[P, U, U], [N, P, P]]
    assert listed.assumed.dense().tolist() == [[P, N, N], [N, P, P]]
    assert listed.check_learnable().unlearnable.names == set()
    other = LabelSpace(("blue", "pink", "red"))
    assert listed.assumed_for(other).dense().tolist() == [[N, U, P], [P, U, N]]  # of pink nobody could list anything
    plain = table([[0], [1]], [[], [0]], absent=U)
    assert plain.assumed is plain.truth


def test_of_an_exclusive_group_that_nobody_filled_in_nothing_is_assumed():
    listed = replace(table([[0], []], labels=COLOURS, absent=U), unlisted=True)
    assert listed.assumed.dense().tolist() == [[P, N, N], [U, U, U]]


def test_unlisted_labels_of_a_complete_annotation_are_refused():
    with pytest.raises(ValueError, match="unlisted labels must be unknown, not absent"):
        replace(table([[0]]), unlisted=True)


def test_pictures_that_all_have_all_labels_teach_nothing():
    with pytest.raises(DataError, match=r"every picture of train has every label \(.*\).*add pictures that lack them"):
        table([[0, 1, 2]] * 2, absent=N).check_learnable()


IMPLYING = replace(PLAIN, implications=(("red", "green"),))


def test_what_a_label_implies_is_present_although_nobody_listed_it():
    assert table([[0], [2]], labels=IMPLYING).truth.dense().tolist() == [[P, P, N], [N, N, P]]
    assert table([[0], [2]], absent=U).truth_for(IMPLYING).dense().tolist() == [[P, P, U], [U, U, P]]
    assert table([[], []], [[1], []], IMPLYING, U).truth.dense().tolist() == [[N, N, U], [U, U, U]]


def test_a_picture_that_breaks_an_implication_is_named():
    message = r"picture 'p1' has 'red', which implies 'green', but 'green' is annotated as absent \(2 such pictures\)"
    with pytest.raises(DataError, match=message):
        _ = table([[0], [0], [0]], [[], [1], [1, 2]], IMPLYING).truth
    with pytest.raises(DataError, match=message):
        table([[0], [0], [0]], [[], [1], [1]], absent=U).truth_for(IMPLYING)


def test_where_one_of_a_group_is_positive_the_others_are_negative_also_in_other_label_spaces():
    colours = table([[0], []], [[], [2]], COLOURS, U)
    assert colours.truth.dense().tolist() == [[P, N, N], [U, U, N]]
    assert colours.truth_for(LabelSpace(("blue", "warm", "green"))).dense().tolist() == [[N, U, N], [N, U, U]]


@pytest.mark.parametrize(
    ("positives", "negatives", "message"),
    [
        ([[0], [0, 1], [1, 2]], None, r"picture 'p1' has 2 labels of group 'colour', .* \(2 such pictures\)"),
        ([[0], [], [1]], [[], [0, 1, 2], []], "picture 'p1' has none of the labels of group 'colour'"),
    ],
)
def test_a_picture_that_breaks_a_group_is_named(positives, negatives, message):
    with pytest.raises(DataError, match=message):
        _ = table(positives, negatives, COLOURS, U).truth
    with pytest.raises(DataError, match=message):
        table(positives, negatives, absent=U).truth_for(COLOURS)
