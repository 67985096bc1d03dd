r"""What to ask next: the labels whose verification is expected to give most information.

The policies take marginals from any source, a callable from states to probabilities, so that a model's marginals and exact
ones are ranked by the same code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.errors import UserError, UserTypeError
from ctran.labels import LabelSpace, LabelState

Policy = Literal["information", "uncertainty", "total", "random"]
"""``information``: expected information about the other labels; ``uncertainty``: entropy of the label or group itself;
``total``: expected decrease of the summed entropy of all labels; ``random``: any, as a baseline."""

Marginals = Callable[[Int[Tensor, "R L"]], Float[Tensor, "R L"]]
"""States to the probability that each label is present: 0 or 1 for known labels."""

ROWS = 512
"""Rows of states in one batch."""


@dataclass(frozen=True)
class Question:
    """Something to ask of a picture.

    Args:
        name: of the label, or of the exclusive group of which one label is present.
        labels: that one label, or the group's labels that are still possible.
        score: by the policy, in nats; for ``random`` a random number.
        cost: of the answer; questions are ranked by score / cost.
    """

    name: str
    labels: tuple[str, ...]
    score: float
    cost: float = 1.0


@dataclass(frozen=True)
class Candidate:
    """A question by label indices: its labels, and their states for each possible outcome."""

    name: str
    members: list[int]
    outcomes: Int[Tensor, "A M"]


def at_least(least: int, **numbers: int) -> None:
    """Raise unless all ``numbers`` are integers of at least ``least``."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise UserError(f"{name}: expected a whole number from {least} on, got {number!r}")


def entropy(probabilities: Float[Tensor, "*R L"]) -> Float[Tensor, "*R L"]:
    """Nats of each binary marginal; 0 at 0 and 1."""
    p = probabilities.double()
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))


def candidates(labels: LabelSpace, states: Int[Tensor, " L"], within: Sequence[str] | None = None) -> list[Candidate]:
    """All that may be asked: each unknown label outside the exclusive groups, and each such group as one question.

    Args:
        within: names of labels and groups; None: all. An exclusive group is one question, also for one of its labels.

    Raises:
        UnknownLabelError: a name that is neither a label nor a group.
    """
    unknown = (states == LabelState.UNKNOWN).tolist()
    wanted = None if within is None else _named(labels, within)
    found, grouped = list[Candidate](), set[int]()
    for group in (g for g in labels.groups if g.exclusive):
        every = [labels.index(name) for name in group.labels]
        grouped.update(every)
        left = [i for i in every if unknown[i]]
        settled = any(states[i] == LabelState.POSITIVE for i in every)
        if len(left) > 1 and not settled and (wanted is None or wanted & set(left)):
            outcomes = torch.full((len(left), len(left)), int(LabelState.NEGATIVE)).fill_diagonal_(int(LabelState.POSITIVE))
            found.append(Candidate(group.name, left, outcomes))
    both = torch.tensor([[int(LabelState.NEGATIVE)], [int(LabelState.POSITIVE)]])
    for i, name in enumerate(labels.names):
        if unknown[i] and i not in grouped and (wanted is None or i in wanted):
            found.append(Candidate(name, [i], both))
    return found


def _named(labels: LabelSpace, names: Sequence[str]) -> set[int]:
    members = {group.name: group.labels for group in labels.groups}
    return {labels.index(label) for name in names for label in members.get(name, (name,))}


def information(
    marginals: Marginals,
    states: Int[Tensor, " L"],
    before: Float[Tensor, " L"],
    questions: Sequence[Candidate],
    counts: Bool[Tensor, " L"],
    *,
    itself: bool = False,
) -> list[float]:
    r"""Expected information gain of each question about the other labels, in nats.

    .. math:: \sum_{j \ne i} H(y_j \mid s) - \mathbb{E}_{a} \sum_{j \ne i} H(y_j \mid s, y_i = a)

    over labels ``j`` that count and are unknown. The sum is over single labels: what dependent labels share is counted more
    than once, so it is not the joint information gain (``docs/experiments/ask.md`` compares the two).

    Args:
        before: marginals of ``states``.
        counts: labels whose entropy counts.
        itself: the labels of the question count as well: the gain is the expected decrease of the summed entropy.
    """
    before = before.double()
    counts = counts & (states == LabelState.UNKNOWN)
    rows = torch.cat([_rows_of(states, question) for question in questions])
    after = torch.cat([entropy(marginals(part)) for part in rows.split(ROWS)])
    gains, first = list[float](), 0
    for question in questions:
        others = counts.clone()
        others[question.members] &= itself
        probabilities = chances(before[question.members])
        expected = probabilities @ after[first : first + len(probabilities)][:, others].sum(dim=1)
        gains.append(float(entropy(before[others]).sum() - expected))
        first += len(probabilities)
    return gains


def _rows_of(states: Int[Tensor, " L"], question: Candidate) -> Int[Tensor, "A L"]:
    rows = states.repeat(len(question.outcomes), 1)
    rows[:, question.members] = question.outcomes
    return rows


def chances(p: Float[Tensor, " M"]) -> Float[Tensor, " A"]:
    """Probability of each outcome of a question: of a label absent, present; of a group each of its labels."""
    return torch.stack([1 - p[0], p[0]]) if len(p) == 1 else p / p.sum()


def uncertainty(before: Float[Tensor, " L"], question: Candidate) -> float:
    """Entropy of the question's outcomes, in nats."""
    probabilities = chances(before[question.members].double())
    return float(-torch.xlogy(probabilities, probabilities).sum())


def ask(
    marginals: Marginals,
    labels: LabelSpace,
    states: Int[Tensor, " L"],
    *,
    k: int = 5,
    policy: Policy = "total",
    costs: Mapping[str, float] | None = None,
    within: Sequence[str] | None = None,
    most: int = 64,
    generator: torch.Generator | None = None,
) -> list[Question]:
    """The ``k`` questions with the greatest score / cost, best first; fewer where fewer are open.

    Args:
        marginals: of the picture, given states.
        states: its known labels.
        costs: of the answer to a label or group, greater than 0; 1 for those not named.
        within: names of labels and groups to choose from.
        most: ``information`` and ``total`` score at most this many candidates, those with the greatest uncertainty / cost.
        generator: required by ``random``, otherwise unused.

    Raises:
        UnknownLabelError: a name in ``costs`` or ``within`` that is neither a label nor a group.
        ValueError: a cost that is not greater than 0; ``k`` or ``most`` below 1; unknown policy; ``random`` without a
            generator.
    """
    at_least(1, k=k, most=most)
    if policy not in get_args(Policy):
        raise UserError(f"policy: expected {', '.join(get_args(Policy))}, got {policy!r}")
    if isinstance(within, str):
        raise UserTypeError(f"within: expected a list of names, got the text {within!r}")
    costs = dict(costs or {})
    _named(labels, list(costs))
    if bad := [(name, cost) for name, cost in costs.items() if not 0 < cost < float("inf")]:
        raise UserError(f"a cost is a number greater than 0, got {bad[0][1]} for {bad[0][0]!r}")
    open_ = candidates(labels, states, within)
    if policy == "random":
        if generator is None:
            raise UserError("the policy 'random' draws from a generator, and none was given")
        scores = torch.rand(len(open_), generator=generator).tolist()
    else:
        before = marginals(states[None])[0]
        scores = [uncertainty(before, question) for question in open_]
        if policy != "uncertainty" and open_:
            order = _best(open_, scores, costs)[:most]
            open_ = [open_[i] for i in order]
            scores = information(marginals, states, before, open_, labels.targets, itself=policy == "total")
    ranked = _best(open_, scores, costs)[:k]
    names = [tuple(labels.names[i] for i in open_[n].members) for n in ranked]
    return [
        Question(open_[n].name, members, scores[n], costs.get(open_[n].name, 1.0))
        for n, members in zip(ranked, names, strict=True)
    ]


def _best(questions: Sequence[Candidate], scores: Sequence[float], costs: Mapping[str, float]) -> list[int]:
    """Indices of the questions, best first."""
    worth = [score / costs.get(question.name, 1.0) for question, score in zip(questions, scores, strict=True)]
    return sorted(range(len(questions)), key=lambda n: -worth[n])
