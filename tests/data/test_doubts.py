"""What is doubtful about whole tables is counted, with names."""

from dataclasses import replace

import pytest

from ctran.data.doubts import completed_by, lacking, warn_of_tables
from ctran.data.table import DataError
from ctran.labels import LabelSpace, LabelState
from tests.data.test_table import PLAIN, table

U, N = LabelState.UNKNOWN, LabelState.NEGATIVE
CHAIN = LabelSpace(("poodle", "dog", "animal", "sea"), implications=(("poodle", "dog"), ("dog", "animal")))


def test_labels_that_a_split_lacks_are_named_with_what_that_means(capsys):
    tables = {"train": table([[0], [1]]), "val": table([[0, 1, 2]]), "test": table([[2]])}
    assert lacking(tables) == {"train": ["blue"], "test": ["red", "green"]}
    warn_of_tables(tables)
    assert capsys.readouterr().err.splitlines() == [
        "warning: never positive in train: 'blue' (1 of 3 labels); nothing can be learned about them",
        "warning: never positive in test: 'red', 'green' (2 of 3 labels); they are left out of its figures",
    ]


def test_extra_labels_and_a_split_under_two_names_are_not_counted_twice():
    both = table([[0]], labels=replace(PLAIN, extra=("blue",)))
    assert lacking({"train": both, "val": both, "test": both}) == {"train": ["green"]}


def test_annotations_that_an_implication_completes_are_counted_with_those_that_follow_from_others():
    tables = {
        "train": table([[0], [0, 1], [0, 1, 2], [1, 2], [3], []], labels=CHAIN),
        "test": table([[0, 2], [2, 3]], labels=CHAIN),
    }
    found = {(one.child, one.parent): (one.pictures, one.completed, one.contrary) for one in completed_by(tables)}
    assert found == {("poodle", "dog"): (4, 2, True), ("dog", "animal"): (5, 2, True), ("poodle", "animal"): (4, 2, True)}


def test_an_implication_that_changes_absent_labels_is_a_warning_and_a_parent_that_nobody_lists_is_none(capsys):
    warn_of_tables({"train": table([[0, 1, 2, 3], [0, 2]], labels=CHAIN)})
    err = capsys.readouterr().err
    assert "warning: implication 'poodle' => 'dog': 1 of 2 pictures with 'poodle' do not list 'dog'; there it counts as " in err
    assert "Is the implication true of these data?" in err and "'poodle' => 'animal'" not in err
    warn_of_tables({"train": table([[0, 3], [0]], labels=CHAIN)})
    assert "warning: implication" not in (err := capsys.readouterr().err) and "2 of 2 pictures" in err
    warn_of_tables({"train": table([[0, 1, 2, 3], [0]], absent=U, labels=CHAIN)})
    assert "warning" not in (err := capsys.readouterr().err) and "implication 'poodle' => 'dog': 1 of 2" in err


def test_annotations_that_contradict_an_implication_are_counted_in_the_refusal():
    with pytest.raises(DataError, match=r"'poodle', which implies 'dog', but .* \(2 such pictures\)"):
        warn_of_tables({"train": table([[0], [0], [0]], [[1], [1], []], labels=CHAIN)})
