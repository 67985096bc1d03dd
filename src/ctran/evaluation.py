"""Settings (how much is known) x metrics -> one report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.data.loading import Batch
from ctran.labels import LabelSpace, LabelState
from ctran.masking import counted, known_labels, tell
from ctran.metrics import Table, measure, per_label
from ctran.model import Features, Method


@dataclass(frozen=True)
class Setting:
    """One column of a report.

    Args:
        known_share: share of the labels that the model was told.
        hidden: metrics over target labels that it was not told.
        everything: metrics over all target labels, told ones included (as the released code counts precision and recall).
        labels: AP and number of positives a label, over the entries of ``hidden``.
    """

    known_share: float
    hidden: Table
    everything: Table
    labels: dict[str, tuple[float, int]]


@dataclass(frozen=True)
class Report:
    """Metrics of one model on one table of pictures in several settings.

    Args:
        pictures: how many.
        settings: one a known share.
        split: of which table, where that is known.
        seed: of the choice of known labels.
    """

    pictures: int
    settings: tuple[Setting, ...]
    split: str = ""
    seed: int = 0

    @property
    def score(self) -> float:
        """What ``val`` selects by: mAP over the labels not shown, averaged over the settings that have one (NaN: none has)."""
        found = [s.hidden.mAP for s in self.settings if not np.isnan(s.hidden.mAP)]
        return float(np.mean(found)) if found else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; figures that do not exist (NaN) are null."""
        rows = [
            {
                "known_share": s.known_share,
                "hidden": s.hidden.as_dict(),
                "everything": s.everything.as_dict(),
                "labels": {k: {"AP": ap, "positives": n} for k, (ap, n) in s.labels.items()},
            }
            for s in self.settings
        ]
        return no_nan({"split": self.split, "pictures": self.pictures, "seed": self.seed, "settings": rows})

    def markdown(self, *, everything: bool = False) -> str:
        """The table that people read: a row a setting, over the labels not shown (or all, with ``everything``)."""
        names = list(self.settings[0].hidden.as_dict())
        lines = ["| known | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for s in self.settings:
            table = s.everything if everything else s.hidden
            cells = [f"{v:.1f}" for v in table.as_dict().values()]
            lines.append(f"| {100 * s.known_share:g} % | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def no_nan(value: Any) -> Any:
    """Plain data in which numbers that JSON cannot say (NaN, infinity) are None."""
    if isinstance(value, dict):
        return {k: no_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [no_nan(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def features_of(model: Method, batch: Batch) -> Features:
    """Image tokens of a batch: cached ones as they are, else from the backbone."""
    if batch.is_tokens:
        side = int(batch.inputs.shape[1] ** 0.5)
        return Features(batch.inputs, (side, batch.inputs.shape[1] // side))
    return model.encode_images(batch.inputs)


def states_for(truth: Int[Tensor, "B L"], ids: Sequence[str], share: float, seed: int) -> Int[Tensor, "B L"]:
    """What the model is told of these pictures when a share of the labels is known."""
    known = torch.from_numpy(known_labels(ids, truth.shape[1], share, seed=seed)).to(truth.device)
    return tell(truth, known)


@torch.no_grad()
def predict(
    model: Method, batches: Iterable[Batch], ids: Sequence[str], shares: Sequence[float], seed: int
) -> tuple[Int[Tensor, "N L"], list[Int[Tensor, "N L"]], list[Float[Tensor, "N L"]]]:
    """Truth, states a share and logits a share, over all pictures in the order met; the backbone runs once a picture."""
    truths: list[Tensor] = []
    states: list[list[Tensor]] = [[] for _ in shares]
    logits: list[list[Tensor]] = [[] for _ in shares]
    for batch in batches:
        features = features_of(model, batch)
        names = [str(ids[i]) for i in batch.index.tolist()]
        truths.append(batch.truth)
        for k, share in enumerate(shares):
            told = states_for(batch.truth, names, share, seed)
            states[k].append(told)
            logits[k].append(model.predict_labels(features, told).float())
    return torch.cat(truths), [torch.cat(s) for s in states], [torch.cat(z) for z in logits]


def report(
    truth: Int[Tensor, "N L"],
    states: Sequence[Int[Tensor, "N L"]],
    logits: Sequence[Float[Tensor, "N L"]],
    shares: Sequence[float],
    labels: LabelSpace,
) -> Report:
    """Metrics from what :func:`predict` returns."""
    positive = (truth == LabelState.POSITIVE).cpu().numpy()
    targets: Bool[np.ndarray, " L"] = labels.targets.numpy()
    looked_at = (truth != LabelState.UNKNOWN).cpu().numpy() & targets
    settings = []
    for share, told, z in zip(shares, states, logits, strict=True):
        probabilities = z.double().sigmoid().cpu().numpy()
        mask = counted(truth, told).cpu().numpy() & targets
        rows = per_label(probabilities, positive, mask)
        named = {n: r for n, r, t in zip(labels.names, rows, targets.tolist(), strict=True) if t}
        settings.append(
            Setting(share, measure(probabilities, positive, mask), measure(probabilities, positive, looked_at), named)
        )
    return Report(len(truth), tuple(settings))


def evaluate(
    model: Method, batches: Iterable[Batch], ids: Sequence[str], labels: LabelSpace, *, shares: Sequence[float], seed: int = 0
) -> Report:
    """:func:`predict`, then :func:`report`."""
    truth, states, logits = predict(model, batches, ids, shares, seed)
    return report(truth, states, logits, shares, labels)
