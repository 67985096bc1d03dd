"""Questions and whole sets against a world small enough to be enumerated."""

import itertools
import math
from inspect import signature

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from ctran.data.planted_world import World
from ctran.inference import acquisition, sets
from ctran.inference.acquisition import ask, candidates, entropy, information
from ctran.inference.session import Session
from ctran.labels import Group, LabelSpace, LabelState, UnknownLabelError
from ctran.serving.request_bodies import AskBody

UNKNOWN, NEGATIVE, POSITIVE = (int(s) for s in LabelState)
SPACE = LabelSpace(("a", "b", "c", "d"))
TYPED = LabelSpace(
    ("cat", "dog", "ship", "animal", "sea"),
    groups=(Group("kind", ("cat", "dog", "ship"), exclusive=True),),
    implications=(("cat", "animal"), ("dog", "animal"), ("ship", "sea")),
)


@pytest.fixture
def world():
    rng = np.random.default_rng(3)
    upper = np.triu(rng.normal(size=(4, 4)), 1)
    return World(rng.normal(size=4), upper + upper.T, np.zeros(4))


def exact(world):
    """Marginals of a world of which nothing is drawn."""

    def marginals(states):
        answer = world.posterior(np.zeros(states.shape, bool), states.numpy())
        found = torch.from_numpy(answer).float()
        return torch.where(states == UNKNOWN, found, (states == POSITIVE).float())

    return marginals


def flat(probabilities):
    """The same marginals whatever is told; consistent with the labels of ``TYPED``."""

    def marginals(states):
        found = torch.tensor(probabilities).expand(states.shape).clone()
        return torch.where(states == UNKNOWN, found, (states == POSITIVE).float())

    return marginals


def h(p):
    return 0.0 if p in (0.0, 1.0) else -p * math.log(p) - (1 - p) * math.log(1 - p)


def enumerated_gain(world, known, i):
    """Sum of the entropies of the other marginals, less its expectation after the answer, straight from P(y)."""
    rows = [
        (y, p)
        for y, p in zip(itertools.product((0, 1), repeat=4), world.probability, strict=True)
        if all(y[k] == v for k, v in known.items())
    ]

    def marginal(j, of):
        total = sum(p for _, p in of)
        return sum(p for y, p in of if y[j]) / total

    others = [j for j in range(4) if j != i and j not in known]
    gain = sum(h(marginal(j, rows)) for j in others)
    for answer in (0, 1):
        left = [(y, p) for y, p in rows if y[i] == answer]
        weight = sum(p for _, p in left) / sum(p for _, p in rows)
        gain -= weight * sum(h(marginal(j, left)) for j in others)
    return gain


@pytest.mark.parametrize("known", [{}, {2: 1}, {0: 0, 3: 1}])
def test_the_gain_is_the_enumerated_one_when_the_conditionals_are_exact(world, known):
    states = torch.tensor([POSITIVE if known.get(i) else NEGATIVE if i in known else UNKNOWN for i in range(4)])
    found = {q.name: q.score for q in ask(exact(world), SPACE, states, k=4, policy="information")}
    assert set(found) == {n for i, n in enumerate(SPACE.names) if i not in known}
    for name, gain in found.items():
        assert gain == pytest.approx(enumerated_gain(world, known, SPACE.index(name)), rel=1e-4, abs=1e-6)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_labels_that_nothing_depends_on_have_no_information():
    found = ask(flat([0.5, 0.2, 0.9, 0.4]), SPACE, torch.zeros(4, dtype=torch.long), k=4, policy="information")
    assert [q.score for q in found] == pytest.approx([0.0] * 4, abs=1e-9)


def test_uncertainty_asks_for_the_most_open_label_first():
    found = ask(flat([0.5, 0.2, 0.9, 0.45]), SPACE, torch.zeros(4, dtype=torch.long), k=4, policy="uncertainty")
    assert [q.name for q in found] == ["a", "d", "b", "c"]
    assert found[0].score == pytest.approx(math.log(2))


def test_random_questions_follow_from_the_generator():
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return [q.name for q in ask(flat([0.5] * 4), SPACE, torch.zeros(4).long(), k=4, policy="random", generator=generator)]

    assert draw(1) == draw(1) and len({tuple(draw(s)) for s in range(20)}) > 5
    with pytest.raises(ValueError, match="draws from a generator"):
        ask(flat([0.5] * 4), SPACE, torch.zeros(4).long(), policy="random")


def test_costs_divide_the_score_and_names_within_limit_the_choice():
    nothing = torch.zeros(4, dtype=torch.long)
    found = ask(flat([0.5, 0.2, 0.9, 0.45]), SPACE, nothing, k=4, policy="uncertainty", costs={"a": 10.0})
    assert [q.name for q in found] == ["d", "b", "c", "a"] and found[-1].cost == 10
    assert [q.name for q in ask(flat([0.5] * 4), SPACE, nothing, within=["c"], policy="uncertainty")] == ["c"]
    with pytest.raises(UnknownLabelError, match="'z'"):
        ask(flat([0.5] * 4), SPACE, nothing, costs={"z": 1.0})
    with pytest.raises(ValueError, match="greater than 0, got 0"):
        ask(flat([0.5] * 4), SPACE, nothing, costs={"a": 0})


def test_an_exclusive_group_is_one_question_until_it_is_settled():
    states = torch.zeros(5, dtype=torch.long)
    assert [q.name for q in candidates(TYPED, states)] == ["kind", "animal", "sea"]
    states[0] = NEGATIVE
    (kind, *_) = candidates(TYPED, states)
    assert kind.members == [1, 2] and kind.outcomes.tolist() == [[POSITIVE, NEGATIVE], [NEGATIVE, POSITIVE]]
    assert [q.name for q in candidates(TYPED, states, ["dog", "sea"])] == ["kind", "sea"]
    states[1] = POSITIVE
    assert [q.name for q in candidates(TYPED, states)] == ["animal", "sea"]


def test_few_candidates_are_computed_when_there_are_many(world):
    asked = []

    def counting(states):
        asked.append(len(states))
        return exact(world)(states)

    found = ask(counting, SPACE, torch.zeros(4, dtype=torch.long), k=4, most=2, policy="information")
    assert len(found) == 2 and max(asked) == 4  # two answers to each of two questions


def test_the_gain_does_not_count_labels_that_are_never_asked_for(world):
    questions = candidates(SPACE, torch.zeros(4, dtype=torch.long))
    only_d = torch.tensor([False, False, False, True])
    nothing = torch.zeros(4, dtype=torch.long)
    gains = information(exact(world), nothing, exact(world)(nothing[None])[0], questions, only_d)
    assert gains[3] == pytest.approx(0, abs=1e-9) and gains[0] > 0


def test_the_total_is_the_information_about_the_others_and_about_itself(world):
    states = torch.tensor([UNKNOWN, NEGATIVE, UNKNOWN, UNKNOWN])
    gain, own, both = (
        {q.name: q.score for q in ask(exact(world), SPACE, states, k=4, policy=policy)}
        for policy in ("information", "uncertainty", "total")
    )
    assert both == pytest.approx({name: gain[name] + own[name] for name in gain}, abs=1e-6)
    alone = ask(flat([0.5, 0.2, 0.9, 0.45]), SPACE, torch.zeros(4, dtype=torch.long), k=4, policy="total")
    assert [q.name for q in alone] == ["a", "d", "b", "c"]  # nothing depends on them: the most open first


def test_the_total_leaves_out_labels_that_do_not_count(world):
    space = LabelSpace(("a", "b", "c", "d"), extra=("a",))
    nothing = torch.zeros(4, dtype=torch.long)
    gain, both = ({q.name: q.score for q in ask(exact(world), space, nothing, k=4, policy=p)} for p in ("information", "total"))
    assert both["a"] == pytest.approx(gain["a"]) and both["b"] > gain["b"]


def test_entropy_of_what_is_certain_is_zero():
    assert entropy(torch.tensor([0.0, 1.0, 0.5])).tolist() == pytest.approx([0, 0, math.log(2)])


# ------------------------------------------------------------------ whole sets


@pytest.mark.parametrize("y", [(0, 0, 0, 0), (1, 0, 1, 1), (1, 1, 1, 1)])
def test_exact_conditionals_give_the_exact_likelihood_in_every_order(world, y, generator):
    full = torch.tensor([POSITIVE if v else NEGATIVE for v in y])
    number = list(itertools.product((0, 1), repeat=4)).index(y)
    nothing = torch.zeros(4, dtype=torch.long)
    log = sets.log_likelihood(exact(world), SPACE, nothing, full, orders=5, generator=generator)
    assert log == pytest.approx(math.log(world.probability[number]), abs=1e-4)
    told = torch.where(torch.tensor([True, False, False, True]), full, 0)
    agree = [all(s[i] == y[i] for i in (0, 3)) for s in itertools.product((0, 1), repeat=4)]
    given = sets.log_likelihood(exact(world), SPACE, told, full, orders=2, generator=generator)
    assert given == pytest.approx(math.log(world.probability[number] / world.probability[agree].sum()), abs=1e-4)


def test_drawn_sets_are_as_frequent_as_they_are_probable(generator):
    rng = np.random.default_rng(3)
    upper = np.triu(rng.normal(size=(3, 3)), 1)
    world, space = World(rng.normal(size=3), upper + upper.T, np.zeros(3)), LabelSpace(("a", "b", "c"))
    full, log = sets.sample(exact(world), space, torch.zeros(3, dtype=torch.long), count=1500, generator=generator)
    assert (full != UNKNOWN).all()
    number = ((full == POSITIVE).long() * torch.tensor([4, 2, 1])).sum(dim=1)
    share = np.bincount(number.numpy(), minlength=8) / 1500
    assert 0.5 * np.abs(share - world.probability).sum() < 0.04  # total variation; at most 0.03 is expected of 1,500 draws
    assert log[0] == pytest.approx(math.log(world.probability[number[0]]), abs=1e-4)


def test_the_set_of_independent_labels_is_each_label_s_likelier_state():
    full, log = sets.most_likely(flat([0.9, 0.2, 0.6, 0.1]), SPACE, torch.zeros(4, dtype=torch.long))
    assert full.tolist() == [POSITIVE, NEGATIVE, POSITIVE, NEGATIVE]
    assert float(log) == pytest.approx(math.log(0.9 * 0.8 * 0.6 * 0.9), abs=1e-6)


def test_no_set_breaks_a_group_or_an_implication(generator):
    marginals = flat([0.5, 0.3, 0.2, 0.4, 0.5])
    for at_once in (1, 3):
        full, _ = sets.sample(
            marginals, TYPED, torch.zeros(5, dtype=torch.long), count=200, generator=generator, at_once=at_once
        )
        assert not any(sets.contradicts(TYPED, row) for row in full)
        assert {tuple(r) for r in (full[:, :3] == POSITIVE).tolist()} == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    full, _ = sets.most_likely(marginals, TYPED, torch.zeros(5, dtype=torch.long))
    assert not sets.contradicts(TYPED, full)


def test_sets_that_contradict_what_is_known_are_impossible(generator):
    marginals, nothing = flat([0.5, 0.3, 0.2, 0.4, 0.5]), torch.zeros(5, dtype=torch.long)

    def log(present, states=nothing):
        full = torch.full((5,), NEGATIVE)
        full[[TYPED.index(n) for n in present]] = POSITIVE
        return sets.log_likelihood(marginals, TYPED, states, full, orders=2, generator=generator)

    assert log(["cat", "animal"]) > -10
    assert log(["cat"]) == log(["cat", "dog", "animal"]) == log(["animal"]) == float("-inf")
    told = nothing.clone()
    told[4] = POSITIVE
    assert log(["cat", "animal"], told) == float("-inf")
    assert log(["cat", "animal"], torch.tensor([2, 1, 1, 2, 1])) == 0


def test_policies_are_those_that_are_documented():
    assert set(acquisition.Policy.__args__) == {"information", "uncertainty", "total", "random"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, s, g: ask(m, SPACE, s, k=0), "k: expected a whole number from 1 on, got 0"),
        (lambda m, s, g: ask(m, SPACE, s, most=-1), "most: expected a whole number from 1 on, got -1"),
        (lambda m, s, g: ask(m, SPACE, s, k=2.5), "2.5"),  # beartype sees some first in the tests
        (lambda m, s, g: ask(m, SPACE, s, policy="magic"), "magic"),
        (lambda m, s, g: ask(m, SPACE, s, within="a"), "expected a list of names, got the text 'a'"),
        (lambda m, s, g: sets.sample(m, SPACE, s, count=0, generator=g), "count: expected"),
        (lambda m, s, g: sets.sample(m, SPACE, s, count=1, at_once=0, generator=g), "at_once: expected"),
        (lambda m, s, g: sets.log_likelihood(m, SPACE, s, s + 1, orders=0, generator=g), "orders: expected"),
    ],
)
def test_numbers_and_names_that_ask_for_nothing_are_refused(call, message, generator):
    with pytest.raises((ValueError, TypeError, TypeCheckError), match=message):
        call(flat([0.5] * 4), torch.zeros(4, dtype=torch.long), generator)


def test_the_default_policy_is_the_same_in_python_and_over_http():
    """Total entropy makes whole label sets right soonest (docs/experiments/ask.md); the page asks by it too."""
    defaults = {signature(function).parameters["policy"].default for function in (ask, Session.ask)}
    assert defaults | {AskBody(known={}).policy} == {"total"}
