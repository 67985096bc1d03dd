"""Decisions and probabilities never contradict what is known, exclusive groups or implications."""

from itertools import product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder, scored
from ctran.constraints.implications import propagate
from ctran.constraints.rules import Constraints, ContradictionError
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
    present = torch.tensor(list(product((False, True), repeat=len(labels))))
    child, parent = labels.implied.T
    fits = ~(present[:, child] & ~present[:, parent]).any(1)
    for members in labels.exclusive:
        fits &= present[:, members].sum(1) == 1
    return present[fits].tolist()


KNOWN = st.dictionaries(st.sampled_from(NAMES), st.booleans(), max_size=4)


def possible(labels, known):
    """Sets that agree with what is known."""
    told = [(labels.index(n), present) for n, present in known.items()]
    return [s for s in sets_of(labels) if all(s[i] == present for i, present in told)]


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
    decoder = Decoder(labels, Calibration(thresholds=dict.fromkeys(NAMES, threshold) | own))
    p = decoder.probabilities(torch.tensor([logits], dtype=torch.double), states)
    found = decoder.labels(p, states)[0].tolist()
    assert all(found[labels.index(n)] == present for n, present in known.items())
    listed = [i for i, name in enumerate(NAMES) if labels.targets[i] or name in known]
    assert any(all(world[i] == found[i] for i in listed) for world in worlds)


def by_rules(labels, known, p, threshold):
    """The decision for one picture by name, without tensors."""
    order = [i for i in sorted(range(len(p)), key=lambda i: -p[i]) if NAMES[i] not in known]
    asked, extra = ({NAMES[i]: p[i] for i in order if labels.targets[i] == each} for each in (True, False))
    chosen = labels.constraints.decide(asked, known, threshold.__getitem__, extra)
    return [known.get(name, chosen.get(name, False)) for name in NAMES]


def by_enumeration(labels, worlds, known, p, threshold):
    """The same from the list of all possible sets: a choice is made where some set has it and all choices before it."""
    order = [i for i in sorted(range(len(p)), key=lambda i: -p[i]) if NAMES[i] not in known]

    def with_groups(worlds, asked):
        """Sets with the most probable label of each group that is among these."""
        groups = [[i for i in order if i in members.tolist() and labels.targets[i] == asked] for members in labels.exclusive]
        for members in sorted(filter(None, groups), key=lambda members: -p[members[0]]):
            best = next((i for i in members if any(world[i] for world in worlds)), None)
            worlds = [world for world in worlds if best is None or world[best]]
        return worlds

    worlds = with_groups(worlds, asked=True)
    for i in order:
        if labels.targets[i] and p[i] >= threshold[NAMES[i]] and any(world[i] for world in worlds):
            worlds = [world for world in worlds if world[i]]
    worlds = with_groups(worlds, asked=False)
    sure = [all(world[i] for world in worlds) for i in range(len(p))]
    return [known.get(name, sure[i] and bool(labels.targets[i])) for i, name in enumerate(NAMES)]


def test_one_of_what_an_extra_group_implies_is_present_though_none_reaches_its_threshold():
    groups = (Group("place", ("a", "b"), exclusive=True),)
    labels = LabelSpace(("a", "b", "c", "d"), ("a", "b"), groups, (("a", "c"), ("b", "d")))
    states, p = torch.zeros(2, 4, dtype=torch.long), torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.3, 0.7, 0.3, 0.7]])
    found = Decoder(labels).labels(p, states, threshold=0.8)
    assert found.tolist() == [[False, False, True, False], [False, False, False, True]]


@settings(max_examples=200, deadline=None)
@given(
    spec=SPECS,
    known=st.lists(KNOWN, min_size=1, max_size=4),
    threshold=st.fixed_dictionaries(dict.fromkeys(NAMES, PROBABILITY)),
    p=st.lists(st.lists(PROBABILITY, min_size=8, max_size=8), min_size=4, max_size=4),
    free=st.booleans(),
)
def test_many_pictures_are_decided_as_one_by_the_rules_and_as_enumeration_decides(spec, known, threshold, p, free):
    """With probabilities of a model, which agree with the rules, and with any numbers at all, equal ones among them."""
    labels = space_of(spec)
    kept = [(each, worlds) for each in known if (worlds := possible(labels, each))]
    assume(kept)
    states = torch.stack([labels.states(each) for each, _ in kept])
    decoder, rows = Decoder(labels, Calibration(thresholds=threshold)), torch.tensor(p[: len(kept)], dtype=torch.double)
    if not free:
        rows = decoder.probabilities((rows - 0.5) * 9, states)
    found = decoder.labels(rows, states).tolist()
    for (each, worlds), row, present in zip(kept, rows.tolist(), found, strict=True):
        assert present == by_rules(labels, each, row, threshold) == by_enumeration(labels, worlds, each, row, threshold)


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
    codes = {n: c == LabelState.POSITIVE for n, c in zip(NAMES, propagate(states[None], labels)[0].tolist(), strict=True) if c}
    assert codes == follows
    logits = torch.linspace(-3, 3, 8)[None]
    p = Decoder(labels).probabilities(logits, states[None])[0]
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
    labels = LabelSpace(("cat", "poodle", "dog"), implications=(("poodle", "dog"),))
    states = labels.states({"dog": False})[None]
    assert Decoder(labels).labels(torch.tensor([[0.6, 0.0, 0.0]]), states, threshold=0.0).tolist() == [[True, False, False]]


def test_of_an_exclusive_group_the_most_probable_label_is_present_and_of_equal_ones_the_first():
    labels = LabelSpace(("cat", "dog", "ship", "star"), (), (Group("kind", ("ship", "dog", "cat"), exclusive=True),))
    logits, states = torch.tensor([[-3.0, -3, -3, 0], [-3, -2.9, -3, -1]]), torch.zeros(2, 4, dtype=torch.long)
    decoder = Decoder(labels)
    present = decoder.labels(decoder.probabilities(logits, states), states)
    assert present.tolist() == [[True, False, False, True], [False, True, False, False]]


def test_a_row_whose_known_labels_contradict_each_other_keeps_them_and_costs_no_other_row():
    labels = LabelSpace(("cat", "dog", "ship"), (), (Group("kind", ("cat", "dog", "ship"), exclusive=True),))
    states = torch.tensor([[2, 2, 0], [1, 0, 0]])
    found = Decoder(labels).labels(torch.tensor([[0.1, 0.2, 0.9], [0.0, 0.3, 0.7]]), states)
    assert found[0, :2].tolist() == [True, True] and found[1].tolist() == [False, False, True]
