"""Gains of questions on the planted world: computed, enumerated, joint, and by a trained model."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ctran.data import planted_canvas
from ctran.data.planted_world import World
from ctran.data.table import SampleTable
from ctran.inference import acquisition
from ctran.inference.acquisition import candidates, entropy, information
from ctran.inference.predictor import Predictor
from ctran.labels import LabelState

PLANTED_PICTURES = 200
LIMIT = 0.02
"""Largest relative difference that is asked for."""


def joint(world: World, drawn: np.ndarray, states: np.ndarray) -> np.ndarray:
    """P(y | what is drawn and told), of every row of ``world.all_states``, straight from the definition."""
    weights = world.probability.copy()
    for number, y in enumerate(world.all_states):
        for i, present in enumerate(y):
            chance = world.drawn_share[i] * present
            weights[number] *= chance if drawn[i] else 1 - chance
            if states[i] != LabelState.UNKNOWN and (states[i] == LabelState.POSITIVE) != bool(present):
                weights[number] = 0
    return weights / weights.sum()


def nats(p: np.ndarray) -> float:
    """Entropy of a distribution."""
    kept = p[p > 0]
    return float(-(kept * np.log(kept)).sum())


def exact_gains(world: World, p: np.ndarray, i: int, counts: np.ndarray) -> tuple[float, float]:
    """By enumeration, of asking for label ``i``: the fall of the sum of entropies, and of the joint entropy, of the labels that
    count beyond it."""
    others = [j for j in np.flatnonzero(counts) if j != i]
    summed = joined = 0.0
    groups = np.unique(world.all_states[:, others], axis=0, return_inverse=True)[1].ravel()

    def both(q: np.ndarray) -> tuple[float, float]:
        marginal = torch.from_numpy(q @ world.all_states[:, others])
        return float(entropy(marginal.clamp(0, 1)).sum()), nats(np.bincount(groups, q))

    summed, joined = both(p)
    for answer in (0.0, 1.0):
        left = p * (world.all_states[:, i] == answer)
        if left.sum() > 0:
            after = both(left / left.sum())
            summed -= left.sum() * after[0]
            joined -= left.sum() * after[1]
    return summed, joined


def planted_gains(predictor: Predictor, table: SampleTable, world: World, seed: int) -> dict[str, Any]:
    """All questions about all pictures, told nothing or two labels: computed, enumerated, joint, and by the trained model."""
    drawn, truth = planted_canvas.drawn(table), table.truth.rows(list(range(len(table)))).long()
    counts, rng = table.labels.targets, np.random.default_rng(seed)
    rows = []
    for row in range(len(table)):
        session = predictor.session(table.picture(row))
        for told in (0, 2):
            states = torch.zeros_like(truth[row])
            known = rng.permutation(len(states))[:told]
            states[known] = truth[row, known]
            exact = _exact_marginals(world, drawn[row])
            open_ = candidates(table.labels, states)
            p = joint(world, drawn[row], states.numpy())
            asked_for = (counts & (states == LabelState.UNKNOWN)).numpy()
            computed, learned = (
                information(marginals, states, marginals(states[None])[0], open_, counts)
                for marginals in (exact, session.marginals)
            )
            for question, gain, guess in zip(open_, computed, learned, strict=True):
                summed, joined = exact_gains(world, p, question.members[0], asked_for)
                rows.append((row, told, gain, summed, joined, guess))
    return _summary(np.array(rows))


def _exact_marginals(world: World, drawn: np.ndarray) -> acquisition.Marginals:
    def marginals(states: Tensor) -> Tensor:
        # what is drawn is present: an answer that denies it has no probability, so what follows from it does not matter
        told = np.where(drawn & (states.numpy() == LabelState.NEGATIVE), int(LabelState.UNKNOWN), states.numpy())
        found = torch.from_numpy(world.posterior(np.broadcast_to(drawn, told.shape), told))
        return torch.where(states == LabelState.UNKNOWN, found, (states == LabelState.POSITIVE).double()).float()

    return marginals


def _summary(rows: np.ndarray) -> dict[str, Any]:
    _, _, computed, summed, joined, learned = rows.T
    worth = summed > 1e-3  # nats; relative errors of nothing say nothing
    relative = np.abs(computed - summed)[worth] / summed[worth]
    chosen = dict[str, list[float]](joint=[], model=[], random=[])
    for key in np.unique(rows[:, :2], axis=0):
        here = (rows[:, :2] == key).all(axis=1)
        best = summed[here].max()
        if best > 1e-3:
            chosen["joint"].append(joined[here][summed[here].argmax()] / joined[here].max())
            chosen["model"].append(summed[here][learned[here].argmax()] / best)
            chosen["random"].append(summed[here].mean() / best)
    return {
        "questions": len(rows),
        "largest_relative_difference": float(relative.max()),
        "largest_difference": float(np.abs(computed - summed).max()),
        "mean_summed": float(summed.mean()),
        "mean_joint": float(joined.mean()),
        "correlation_summed_joint": float(np.corrcoef(summed, joined)[0, 1]),
        "mean_model": float(learned.mean()),
        "correlation_summed_model": float(np.corrcoef(summed, learned)[0, 1]),
        "share_of_the_best": {name: float(np.mean(values)) for name, values in chosen.items()},
    }
