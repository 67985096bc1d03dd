"""How good questions are, and how likely whole label sets: measured on pictures of which the annotation is known."""

import math

import numpy as np
import torch
from torch import Tensor

from ctran import metrics
from ctran.inference import acquisition, sets
from ctran.inference.acquisition import Policy
from ctran.inference.session import Session
from ctran.labels import LabelState

ANSWERS = 20
POLICIES: tuple[Policy, ...] = ("information", "uncertainty", "total", "random")
ORDERS = 4


def walk(session: Session, truth: Tensor, policy: Policy, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Probabilities and states after 0, 1, ... answers, which are the annotation's."""
    states, said, told = torch.zeros_like(truth), [], []
    for number in range(ANSWERS + 1):
        said.append(session.marginals(states[None])[0])
        told.append(states)
        if number < ANSWERS:
            (question,) = acquisition.ask(session.marginals, session.labels, states, k=1, policy=policy, generator=generator)
            at = [session.labels.index(name) for name in question.labels]
            states = states.clone()
            states[at] = truth[at]
    return torch.stack(said), torch.stack(told)


def asked(sessions: list[Session], truth: Tensor, policy: Policy, seed: int) -> dict[str, list[float]]:
    """Over the number of answers: mAP of the unknown labels, share of pictures whose whole set is right, wrong labels each."""
    generator = torch.Generator().manual_seed(seed)
    walks = [walk(session, row, policy, generator) for session, row in zip(sessions, truth, strict=True)]
    said, told = (torch.stack(parts, dim=1).numpy() for parts in zip(*walks, strict=True))
    positive = (truth == LabelState.POSITIVE).numpy()
    found: dict[str, list[float]] = {"mAP": [], "right": [], "wrong": []}
    for p, states in zip(said, told, strict=True):
        hidden = states == int(LabelState.UNKNOWN)
        wrong = ((p >= 0.5) != positive) & hidden
        found["mAP"].append(metrics.measure(p.astype(np.float64), positive, hidden).mAP)
        found["right"].append(float(100 * (~wrong.any(axis=1)).mean()))
        found["wrong"].append(float(wrong.sum(axis=1).mean()))
    return found


def likelihoods(sessions: list[Session], truth: Tensor, seed: int) -> dict[str, float]:
    """Mean log-likelihood of the annotated set, nats a picture: by the chain rule, and with independent marginals."""
    generator = torch.Generator().manual_seed(seed)
    chained, independent = [], []
    for session, full in zip(sessions, truth, strict=True):
        nothing = torch.zeros_like(full)
        chained.append(
            sets.log_likelihood(session.marginals, session.labels, nothing, full, orders=ORDERS, generator=generator)
        )
        p = session.marginals(nothing[None])[0].double()
        chance = torch.where(full == LabelState.POSITIVE, p, 1 - p)
        independent.append(float(chance.clamp(min=sets.LEAST).log().sum()))
    difference = np.subtract(chained, independent)
    error = float(difference.std(ddof=1) / math.sqrt(len(difference)))
    return {
        "chained": float(np.mean(chained)),
        "independent": float(np.mean(independent)),
        "difference": float(difference.mean()),
        "standard_error": error,
    }
