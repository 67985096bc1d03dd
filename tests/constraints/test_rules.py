"""Decisions and probabilities never contradict what is known, exclusive groups or implications."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ctran.constraints.decode import marginals, scored
from ctran.constraints.implications import settle
from ctran.constraints.rules import Constraints, ContradictionError
from ctran.inference.prediction import Prediction
from ctran.labels import Group, LabelSpace, LabelState

NAMES = tuple("abcdefgh")
PROBABILITY = st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.7, 1.0])


SPECS = st.fixed_dictionaries(
    {
        "cut": st.integers(2, 4),
        "groups": st.integers(0, 2),
        "pairs": st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=5),
        "extra": st.sampled_from(["none", "first group", "last label"]),
    }
)


def space_of(spec):
    """A label space with up to two exclusive groups and a few implications, which may be extra."""
    cut = spec["cut"]
    groups = [Group("one", NAMES[:cut], exclusive=True), Group("two", NAMES[cut : cut + 2], exclusive=True)]
    extra = {"none": (), "first group": NAMES[:cut], "last label": NAMES[7:]}[spec["extra"]]
    try:
        return LabelSpace(NAMES, extra, tuple(groups[: spec["groups"]]), tuple(spec["pairs"]))
    except ValueError:  # a circle, or an implication within a group
        assume(False)


def sets_of(labels):
    """All whole label sets that obey the rules, by enumeration."""
    wanted = []
    for number in range(2 ** len(labels)):
        present = torch.tensor([bool(number >> i & 1) for i in range(len(labels))])
        child, parent = labels.implied.T
        if all(int(present[m].sum()) == 1 for m in labels.exclusive) and not (present[child] & ~present[parent]).any():
            wanted.append(present.tolist())
    return wanted


KNOWN = st.dictionaries(st.sampled_from(NAMES), st.booleans(), max_size=4)


def possible(labels, known):
    """Sets that agree with what is known."""
    return [s for s in sets_of(labels) if all(s[labels.index(n)] == present for n, present in known.items())]


@settings(max_examples=150, deadline=None)
@given(
    spec=SPECS,
    known=KNOWN,
    threshold=PROBABILITY,
    own=st.dictionaries(st.sampled_from(NAMES), PROBABILITY),
    logits=st.lists(st.floats(-9, 9), min_size=8, max_size=8),
)
def test_predicted_labels_contradict_neither_known_ones_nor_groups_nor_implications(spec, known, threshold, own, logits):
    labels = space_of(spec)
    worlds = possible(labels, known)
    assume(worlds)
    states = labels.states(known)[None]
    row = marginals(torch.tensor([logits], dtype=torch.double), states, labels)[0]
    order = [i for i in row.argsort(descending=True, stable=True).tolist() if labels.targets[i]]
    asked = {NAMES[i]: float(row[i]) for i in order if NAMES[i] not in known}
    groups = tuple(g.labels for g in labels.groups if g.exclusive)
    found = Prediction(asked, known, threshold, groups, own, labels.implied_names).labels
    assert set(known) & set(found) == {n for n, present in known.items() if present}
    listed = [i for i, name in enumerate(NAMES) if labels.targets[i] or name in known]
    assert any(all(world[i] == (NAMES[i] in found) for i in listed) for world in worlds)


@settings(max_examples=100, deadline=None)
@given(spec=SPECS, known=KNOWN)
def test_what_follows_is_true_in_every_possible_set_and_is_the_same_by_name_and_by_tensor(spec, known):
    labels = space_of(spec)
    worlds = possible(labels, known)
    try:
        states = labels.states(known)
    except ValueError:
        assert not worlds
        return
    assume(worlds)
    follows = labels.constraints.follow(known)
    assert all(world[labels.index(name)] == present for name, present in follows.items() for world in worlds)
    codes = {n: c == LabelState.POSITIVE for n, c in zip(NAMES, settle(states[None], labels)[0].tolist(), strict=True) if c}
    assert codes == follows
    logits = torch.linspace(-3, 3, 8)[None]
    p = marginals(logits, states[None], labels)[0]
    assert all(float(p[labels.index(name)]) == present for name, present in follows.items())
    truth = torch.tensor([worlds[0]]).long() + 1
    assert scored(truth, states[None], labels)[0].tolist() == [name not in follows for name in NAMES]


KIND = (("cat", "dog", "ship"),)
DOGS = (("poodle", "dog"), ("tabby", "cat"))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"dog": False}, {"dog": False, "poodle": False}),
        ({"poodle": True}, {"poodle": True, "dog": True, "cat": False, "ship": False, "tabby": False}),
        ({"cat": False, "dog": False}, {"cat": False, "dog": False, "ship": True, "poodle": False, "tabby": False}),
    ],
)
def test_what_follows_goes_through_groups_and_implications(known, expected):
    assert Constraints(KIND, DOGS).follow(known) == expected


def test_known_labels_that_contradict_each_other_through_a_third_are_refused_with_the_reasons():
    labels = LabelSpace(("cat", "dog", "ship", "poodle"), (), (Group("kind", KIND[0], exclusive=True),), (("poodle", "dog"),))
    with pytest.raises(ContradictionError, match=r"would be .*(absent|present) \(because '(cat|poodle|dog)' is present\)"):
        labels.states({"poodle": True, "cat": True})


def test_a_threshold_of_zero_lets_nothing_through_that_a_known_label_excludes():
    prediction = Prediction({"cat": 0.6, "poodle": 0.0}, {"dog": False}, 0.0, (), {}, (("poodle", "dog"),))
    assert prediction.labels == ["cat"]
