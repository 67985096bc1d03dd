"""Whole label sets: samples, the most likely one, and the likelihood of a given one.

A model trained with label masks estimates the conditional of any label given any others (paper, Eq. 6). Revealing labels in
turn therefore gives a joint distribution of them, one for each order. Exclusive groups are revealed as a whole, together with
what follows from implications, so that no set contradicts either.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.constraints.implications import propagate
from ctran.inference.acquisition import ROWS, Marginals, at_least, chances
from ctran.labels import LabelSpace, LabelState

LEAST = 1e-9
"""Lower bound of a probability before its logarithm: float32 cannot distinguish 1 from 1 - 1e-9."""


def units(labels: LabelSpace) -> list[list[int]]:
    """Labels that are revealed together: each exclusive group, any other label alone."""
    groups = [members.tolist() for members in labels.exclusive]
    grouped = {i for members in groups for i in members}
    return [*groups, *([i] for i in range(len(labels)) if i not in grouped)]


def _open_units(states: Int[Tensor, "R L"], parts: Sequence[Sequence[int]]) -> Bool[Tensor, "R U"]:
    """Units with an unknown label and without a present one."""
    unknown, present = states == LabelState.UNKNOWN, states == LabelState.POSITIVE
    return torch.stack([unknown[:, u].any(dim=1) & ~present[:, u].any(dim=1) for u in map(list, parts)], dim=1)


def sample(
    marginals: Marginals,
    labels: LabelSpace,
    states: Int[Tensor, " L"],
    *,
    count: int,
    generator: torch.Generator,
    at_once: int = 1,
) -> tuple[Int[Tensor, "N L"], Float[Tensor, " N"]]:
    """Sample whole sets, each in a separate random order: states without unknown ones, and the log-likelihood in nats of each
    in its order.

    Args:
        states: the known labels.
        at_once: units revealed in one pass; more than 1 is faster, and treats them as independent.

    Raises:
        ValueError: ``count`` or ``at_once`` below 1.
    """
    at_least(1, count=count, at_once=at_once)
    parts = units(labels)
    revealed = propagate(states.repeat(count, 1), labels)
    order = torch.rand(count, len(parts), generator=generator)
    log = torch.zeros(count, dtype=torch.double)
    while (left := _open_units(revealed, parts)).any():
        found = marginals(revealed).double()
        nearest = order.masked_fill(~left, 2.0).argsort(dim=1)[:, :at_once]
        for row, chosen in enumerate(nearest.tolist()):
            for unit in (parts[u] for u in chosen):
                if _open_units(revealed[row : row + 1], [unit])[0, 0]:
                    log[row] += _draw(revealed[row], found[row], unit, generator)
                    revealed[row] = propagate(revealed[row : row + 1], labels)[0]
    return revealed, log


def _draw(states: Int[Tensor, " L"], found: Float[Tensor, " L"], unit: list[int], generator: torch.Generator) -> float:
    """Reveal one unit in place; log-probability of what was drawn."""
    p = found[unit] * (states[unit] == LabelState.UNKNOWN)  # of a group, labels that are still possible
    if len(unit) == 1:
        outcome = int(torch.rand((), generator=generator, dtype=torch.double) < p[0])
    else:
        outcome = int(torch.multinomial(p, 1, generator=generator))
    _reveal(states, unit, outcome)
    return _log(chances(p)[outcome])


def _reveal(states: Int[Tensor, " L"], unit: list[int], outcome: int) -> None:
    """Set a unit to an outcome of :func:`~ctran.inference.acquisition.chances`, in place."""
    states[unit] = int(LabelState.NEGATIVE)
    if len(unit) > 1 or outcome:
        states[unit[outcome if len(unit) > 1 else 0]] = LabelState.POSITIVE


def _log(probabilities: Float[Tensor, ""]) -> float:
    """Logarithm in nats."""
    return float(probabilities.clamp(min=LEAST).log())


def most_likely(marginals: Marginals, labels: LabelSpace, states: Int[Tensor, " L"]) -> tuple[Int[Tensor, " L"], float]:
    """One whole set: the most certain unit is revealed first, then all others are predicted again.

    Greedy, so there may be a likelier set. Returns also its log-likelihood in that order, nats.
    """
    parts = units(labels)
    revealed, log = propagate(states[None], labels), 0.0
    while (left := _open_units(revealed, parts)).any():
        found = marginals(revealed)[0].double()
        outcomes = {u: chances(found[parts[u]]) for u in left[0].nonzero()[:, 0].tolist()}
        unit = max(outcomes, key=lambda u: (float(outcomes[u].max()), u))
        probabilities = outcomes[unit]
        _reveal(
            revealed[0],
            parts[unit],
            int(probabilities[1] >= probabilities[0]) if len(parts[unit]) == 1 else int(probabilities.argmax()),
        )
        log += _log(probabilities.max())
        revealed = propagate(revealed, labels)
    return revealed[0], log


def contradicts(labels: LabelSpace, full: Int[Tensor, " L"]) -> bool:
    """Whether a whole set breaks an exclusive group or an implication."""
    present = full == LabelState.POSITIVE
    groups = any(int(present[members].sum()) != 1 for members in labels.exclusive)
    child, parent = labels.implied.T
    return groups or bool((present[child] & ~present[parent]).any())


def log_likelihood(
    marginals: Marginals,
    labels: LabelSpace,
    states: Int[Tensor, " L"],
    full: Int[Tensor, " L"],
    *,
    orders: int,
    generator: torch.Generator,
) -> float:
    """Log-likelihood in nats of a whole set given ``states``, mean over random orders; minus infinity where the set breaks a
    group or an implication, or contradicts a known label.

    Source of the mean over orders: Uria et al., A deep and tractable density estimator, ICML 2014, Eq. 9.

    Raises:
        ValueError: ``orders`` below 1.
    """
    at_least(1, orders=orders)
    known = states != LabelState.UNKNOWN
    if contradicts(labels, full) or (full[known] != states[known]).any():
        return float("-inf")
    parts, logs = units(labels), list[float]()
    for _ in range(orders):
        now, rows, revealed_units = propagate(states[None], labels), list[Tensor](), list[list[int]]()
        order = torch.rand(len(parts), generator=generator)
        for unit in (parts[u] for u in order.argsort().tolist()):
            if not _open_units(now, [unit])[0, 0]:
                continue
            rows.append(now[0])
            revealed_units.append(unit)
            now = now.clone()
            now[:, unit] = full[unit]
            now = propagate(now, labels)
        if not rows:
            return 0.0
        found = torch.cat([marginals(part) for part in torch.stack(rows).split(ROWS)]).double()
        logs.append(sum(_log(_chance_of(full, unit, row)) for row, unit in zip(found, revealed_units, strict=True)))
    return sum(logs) / len(logs)


def _chance_of(full: Int[Tensor, " L"], unit: list[int], found: Float[Tensor, " L"]) -> Float[Tensor, ""]:
    """Probability of a unit's labels in ``full``."""
    present = full[unit] == LabelState.POSITIVE
    return chances(found[unit])[int(present[0]) if len(unit) == 1 else int(present.int().argmax())]
