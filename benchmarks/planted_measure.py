"""Divergence of a model, and of the best model of pairs, from the exact posterior of a planted world.

Divergences are in nats a label, means over the target labels that are not known.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression

from ctran.data.loading import FeatureSet, PictureSet, loader
from ctran.data.planted_canvas import drawn
from ctran.data.planted_world import LabelWorld, kl
from ctran.data.table import SampleTable
from ctran.evaluation.evaluate import predict
from ctran.folders.tagger import Tagger
from ctran.labels import LabelState
from ctran.masking import EvalSetting, label_mask_training
from ctran.training.stored_features import cached_features, weights_digest

SHARES = (0.0, 0.25, 0.5, 0.75)
SEEN = 0.9
"""A drawn object counts as recognised from this probability on, with nothing known."""
SAMPLES = 40_000
"""Pictures to which the best model of pairs is fitted, and as many on which it is measured at each known share."""


def scored(states: Int[np.ndarray, "N L"], table: SampleTable) -> Bool[np.ndarray, "N L"]:
    """Entries that count: target labels that are not known."""
    return (states == LabelState.UNKNOWN) & table.labels.targets.numpy()


def predictions(
    tagger: Tagger, table: SampleTable, split: str
) -> tuple[list[Int[np.ndarray, "N L"]], list[Float[np.ndarray, "N L"]]]:
    """States and the model's probabilities at each known share; image features are stored once for all models."""
    data = PictureSet(table, tagger.labels, tagger.preprocessing)
    key = {
        "backbone": tagger.model.backbone.name,
        "weights": weights_digest(tagger.model.backbone),
        "transform": dataclasses.asdict(tagger.preprocessing),
    }
    features = FeatureSet(cached_features(tagger.model, data, 1, split, key, tagger.device), data.truth)
    batches = (batch.to(tagger.device) for batch in loader(features, batch_size=64))
    _, found = predict(tagger.model, batches, table.ids, tagger.labels, [EvalSetting(share) for share in SHARES])
    return [a.states.cpu().numpy() for a in found], [a.logits.cpu().double().sigmoid().numpy() for a in found]


def measure(tagger: Tagger, table: SampleTable, world: LabelWorld, split: str = "test") -> dict[str, Any]:
    """Divergence from the exact posterior at each known share, and how well drawn objects are recognised."""
    shown = drawn(table)
    states, probabilities = predictions(tagger, table, split)
    missed = shown & (probabilities[0] < SEEN)
    clean = ~missed.any(1, keepdims=True)
    rows = []
    for share, known, p in zip(SHARES, states, probabilities, strict=True):
        exact, blind = world.posterior(shown, known), world.posterior(shown, np.zeros_like(known))
        error, ignoring, entries = kl(exact, p), kl(exact, blind), scored(known, table)
        parts = {"all": entries, "not_drawn": entries & ~shown, "drawn": entries & shown, "all_seen": entries & clean}
        rows.append(
            {
                "known_share": share,
                "entries": {k: int(m.sum()) for k, m in parts.items()},
                "kl": {k: float(error[m].mean()) for k, m in parts.items()},
                "kl_ignoring_known": {k: float(ignoring[m].mean()) for k, m in parts.items()},
            }
        )
    names = table.labels.names
    recall = {n: float(1 - missed[:, i].sum() / shown[:, i].sum()) for i, n in enumerate(names) if shown[:, i].any()}
    return {"settings": rows, "recognised": recall, "recognised_all": float(1 - missed.sum() / shown.sum())}


# ------------------------------------------------------------------------------------------------------------- without pictures


def limits(world: LabelWorld, targets: Sequence[bool], samples: int = SAMPLES, seed: int = 0) -> list[dict[str, float]]:
    """What the best model of pairs reaches where every drawn object is recognised, and what ignoring the known labels costs.

    The model: the logit of a label that is not drawn is linear in whether each other label is known or seen to be present, and
    known to be absent. It is fitted by maximum likelihood to samples of the world with known shares uniform in [0, 1].
    """
    rng, counted = np.random.default_rng(seed), np.asarray(targets)
    present, shown, states = _sample(world, samples, (0.0, 1.0), rng)
    fits = [_fit(_inputs(shown, states, i)[~shown[:, i]], present[~shown[:, i], i]) for i in range(len(counted))]
    rows = []
    for share in SHARES:
        hidden = np.ceil((1 - share) * len(counted) - 1e-9) / len(counted)  # as EvalSetting counts: known ones rounded down
        _, shown, states = _sample(world, samples, (hidden, hidden), rng)
        exact, blind = world.posterior(shown, states), world.posterior(shown, np.zeros_like(states))
        found = np.stack([fit.predict_proba(_inputs(shown, states, i))[:, 1] for i, fit in enumerate(fits)], axis=1)
        entries = (states == LabelState.UNKNOWN) & counted
        rows.append(
            {
                "known_share": share,
                "pairs": float(kl(exact, np.where(shown, 1.0, found))[entries].mean()),
                "ignoring_known": float(kl(exact, blind)[entries].mean()),
            }
        )
    return rows


def _sample(
    world: LabelWorld, samples: int, unknown_share: tuple[float, float], rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "N L"], Bool[np.ndarray, "N L"], Int[np.ndarray, "N L"]]:
    """Labels, what is drawn of them, and which are known."""
    present = world.sample(rng.random(samples))
    shown = present & (rng.random(present.shape) < world.drawn_share)
    truth = torch.from_numpy(np.where(present, int(LabelState.POSITIVE), int(LabelState.NEGATIVE)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return present, shown, label_mask_training(truth, unknown_share=unknown_share, generator=generator).numpy()


def _inputs(shown: Bool[np.ndarray, "N L"], states: Int[np.ndarray, "N L"], label: int) -> Float[np.ndarray, "N D"]:
    """Of the model of pairs for one label: what the other labels are known or seen to be."""
    others = np.arange(shown.shape[1]) != label
    return np.concatenate([shown | (states == LabelState.POSITIVE), states == LabelState.NEGATIVE], axis=1)[
        :, np.tile(others, 2)
    ].astype(float)


def _fit(inputs: Float[np.ndarray, "N D"], present: Bool[np.ndarray, " N"]) -> LogisticRegression:
    return LogisticRegression(C=1e3, max_iter=1000).fit(inputs, present)
