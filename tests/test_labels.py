from inspect import unwrap

import numpy as np
import pytest
import torch

from ctran.constraints.implications import enforce_implications, propagate, propagate_implications
from ctran.known import booleans
from ctran.labels import Group, LabelSpace, LabelState, UnknownLabelError


def test_states_follow_the_names(labels):
    states = labels.states({"flag": True, "cat": False})
    assert states.tolist() == [1, 0, 2, 0, 0, 0, 0]


def test_a_wrong_name_suggests_the_nearest(labels):
    with pytest.raises(UnknownLabelError, match=r"unknown label 'flagg'; did you mean 'flag'\?"):
        labels.states({"flagg": True})


def test_a_known_label_that_is_not_a_boolean_is_refused(labels):
    with pytest.raises(TypeError, match=r"known\['flag'\] must be True or False, got 'yes'"):
        unwrap(LabelSpace.states)(labels, {"flag": "yes"})  # without the tests' own type checks
    for value in (1, 0, 1.0, None, float("nan"), np.int64(1)):
        with pytest.raises(TypeError, match=r"known\['flag'\] must be True or False"):
            unwrap(booleans)({"flag": value})


def test_contradictions_in_booleans_of_numpy_are_refused_as_pythons_are():
    space = LabelSpace(("a", "b"), groups=(Group("either", ("a", "b"), True),))
    for known in ({"a": np.False_, "b": np.False_}, {"a": np.True_, "b": np.True_}):
        with pytest.raises(ValueError, match="exclusive"):
            space.states(known)


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


BIRDS = LabelSpace(
    ("wren", "robin", "red", "brown", "small"),
    extra=("red", "brown"),
    groups=(Group("species", ("wren", "robin"), exclusive=True), Group("colour", ("red", "brown"))),
)


def test_groups_survive_a_round_trip(tmp_path):
    BIRDS.save(tmp_path / "labels.json")
    assert LabelSpace.load(tmp_path / "labels.json") == BIRDS


@pytest.mark.parametrize("key", BIRDS.as_dict())
def test_a_key_that_is_missing_has_no_default(key):
    content = BIRDS.as_dict()
    del content[key]
    with pytest.raises(KeyError, match=key):
        LabelSpace.from_dict(content)


def test_units_are_groups_and_labels_without_one():
    assert BIRDS.units.tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([Group("g", ("wren", "gull"))], "unknown label 'gull'"),
        ([Group("g", ("wren",)), Group("h", ("wren",))], "label 'wren' is in group 'g' and in group 'h'"),
        ([Group("g", ("wren",)), Group("g", ("robin",))], "distinct names, got 'g' twice"),
        ([Group("g", ("wren", "red"), exclusive=True)], "'g' must be extra as a whole, or not at all"),
    ],
)
def test_groups_that_cannot_be_are_refused(groups, message):
    with pytest.raises((ValueError, UnknownLabelError), match=message):
        LabelSpace(BIRDS.names, BIRDS.extra, tuple(groups))


def test_an_exclusive_group_of_one_is_refused():
    with pytest.raises(ValueError, match="an exclusive group needs at least two labels, group 'g' has 1"):
        Group("g", ("wren",), exclusive=True)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"wren": True, "robin": True}, "'wren' and 'robin' cannot both be present"),
        ({"wren": False, "robin": False}, "one of its labels is present, but all are given as absent"),
    ],
)
def test_what_contradicts_an_exclusive_group_is_refused(known, message):
    with pytest.raises(ValueError, match=message):
        BIRDS.states(known)


def test_a_recipe_adds_groups_and_extra_labels_by_name_of_either():
    more = BIRDS.extended(["species"], [Group("colour", ("red",)), Group("size", ("small",))])
    assert more.extra == ("red", "brown", "wren", "robin")
    assert [g.labels for g in more.groups] == [("wren", "robin"), ("red",), ("small",)]


def test_what_follows_from_implications_is_closed():
    labels = LabelSpace(("poodle", "dog", "animal", "car"), implications=(("poodle", "dog"), ("dog", "animal")))
    assert labels.implied_names == (("poodle", "dog"), ("poodle", "animal"), ("dog", "animal"))
    assert LabelSpace.from_dict(labels.as_dict()) == labels
    states = torch.tensor([[2, 0, 0, 0], [0, 0, 1, 2], [0, 1, 0, 0], [2, 0, 1, 0], [0, 0, 0, 0]])
    expected = [[2, 2, 2, 0], [1, 1, 1, 2], [1, 1, 0, 0], [2, 2, 2, 0], [0, 0, 0, 0]]
    assert propagate_implications(states, labels.implied).tolist() == expected
    p = torch.tensor([[0.5, 0.2, 0.1, 0.3], [0.1, 0.2, 0.3, 0.9]])
    assert enforce_implications(p, labels).tolist() == torch.tensor([[0.5, 0.5, 0.5, 0.3], [0.1, 0.2, 0.3, 0.9]]).tolist()


@pytest.mark.parametrize(
    ("implications", "message"),
    [
        ([("dog", "hound")], "unknown label 'hound'"),
        ([("dog", "dog")], "in a circle: 'dog' => 'dog'"),
        ([("dog", "animal"), ("animal", "cat"), ("cat", "dog")], "in a circle: 'animal' => 'cat' => 'dog' => 'animal'|circle"),
        ([("dog", "cat")], "'dog' implies 'cat', but only one label of group 'kind'"),
    ],
)
def test_implications_that_cannot_be_are_refused(implications, message):
    groups = (Group("kind", ("cat", "dog"), exclusive=True),) if implications == [("dog", "cat")] else ()
    with pytest.raises((UnknownLabelError, ValueError), match=message):
        LabelSpace(("cat", "dog", "animal"), groups=groups, implications=tuple(implications))


def test_what_all_possible_labels_of_a_group_imply_is_sure():
    groups = (Group("kind", ("cat", "dog", "ship"), exclusive=True),)
    labels = LabelSpace(("cat", "dog", "ship", "animal"), groups=groups, implications=(("cat", "animal"), ("dog", "animal")))
    states = torch.tensor([[0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1], [2, 0, 0, 0], [0, 0, 0, 0]])
    expected = [[0, 0, 1, 2], [2, 1, 1, 2], [1, 1, 2, 1], [2, 1, 1, 2], [0, 0, 0, 0]]
    assert propagate(states, labels).tolist() == expected
    p = torch.tensor([[0.5, 0.4, 0.1, 0.2]])
    assert enforce_implications(p, labels).tolist() == [pytest.approx([0.5, 0.4, 0.1, 0.9])]
