from inspect import unwrap

import pytest
import torch

from ctran.labels import LabelSpace, LabelState, UnknownLabelError


def test_states_follow_the_names(labels):
    states = labels.states({"flag": True, "cat": False})
    assert states.tolist() == [1, 0, 2, 0, 0, 0, 0]


def test_a_wrong_name_suggests_the_nearest(labels):
    with pytest.raises(UnknownLabelError, match=r"unknown label 'flagg'; did you mean 'flag'\?"):
        labels.states({"flagg": True})


def test_an_answer_that_is_no_boolean_is_refused(labels):
    with pytest.raises(TypeError, match=r"known\['flag'\] must be True or False, got 'yes'"):
        unwrap(LabelSpace.states)(labels, {"flag": "yes"})  # without the tests' own type checks


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "at least one"), (("a", " "), "empty one at position 1"), (("a", "b", "a"), "'a' twice")],
)
def test_bad_names_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        LabelSpace(names)


def test_extra_labels_must_exist():
    with pytest.raises(UnknownLabelError):
        LabelSpace(("a",), extra=("b",))


def test_extra_labels_are_no_targets():
    assert LabelSpace(("a", "b"), extra=("b",)).targets.tolist() == [True, False]


def test_label_space_survives_the_disk(tmp_path):
    space = LabelSpace(("a", "b", "ü"), extra=("b",))
    space.save(tmp_path / "labels.json")
    assert LabelSpace.load(tmp_path / "labels.json") == space


def test_codes_are_rows_of_the_state_embedding():
    assert torch.tensor([LabelState.UNKNOWN, LabelState.NEGATIVE, LabelState.POSITIVE]).tolist() == [0, 1, 2]
